// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/simd/kernels.hpp"

#if PLEAT_HAVE_HIGHWAY
#include "cpu/simd/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/pool.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include "cpu/simd/numerics-inl.hpp"

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

/// Vectors of channels that one turn of the loop folds. All their largest scores come first, then
/// all their weights: a single vector is one long chain of dependent operations.
inline constexpr int kTurn = 2;
/// Rows of each of them whose weights are computed side by side.
inline constexpr int kAtOnce = 4;

HWY_INLINE VD LowerDouble(VF x) {
  return hn::PromoteTo(D64(), hn::LowerHalf(x));
}
HWY_INLINE VD UpperDouble(VF x) {
  const hn::Half<F> half;
  return hn::PromoteTo(D64(), hn::UpperHalf(half, x));
}

/// When a row's position bias is added: never, when it was saved, or now (recipe sglang).
enum class Ape { none, saved, late };

template <DType kDType, Rounding kRounding, Ape kApe>
struct Rows {
  static constexpr bool kLate = kApe == Ape::late;
  static constexpr bool kBf16 = kDType == DType::bf16;
  static constexpr int kSize = kBf16 ? 2 : 4;
  static constexpr int kChannels = kTurn * kLanes;                        // a turn's
  static constexpr int kLines = 2 * kGroupRows * kChannels * kSize / 64;  // and its cache lines

  static HWY_INLINE VF Load(const std::byte* row, std::int64_t c) {
    if constexpr (kBf16) {
      return LoadBf16(reinterpret_cast<const std::uint16_t*>(row) + c);
    } else {
      return hn::LoadU(F(), reinterpret_cast<const float*>(row) + c);
    }
  }
  static HWY_INLINE VF Kv(const RowGroup& g, int r, std::int64_t c) {
    const VF x = Load(g.row[r], c);
    return kRounding == Rounding::none ? x : ToBf16(x);
  }
  /// Half of the channels, for sums in double: 0 is the lower.
  template <int kHalf>
  static HWY_INLINE VD KvHalf(const RowGroup& g, int r, std::int64_t c) {
    const hn::Half<F> half;
    if constexpr (!kBf16 && kRounding == Rounding::none) {  // without a way through registers
      const auto* row = reinterpret_cast<const float*>(g.row[r]) + c + kHalf * (kLanes / 2);
      return hn::PromoteTo(D64(), hn::LoadU(half, row));
    } else {
      return kHalf == 0 ? LowerDouble(Kv(g, r, c)) : UpperDouble(Kv(g, r, c));
    }
  }
  /// Before the position bias where that comes late.
  static HWY_INLINE VF Score(const RowGroup& g, int r, std::int64_t c) {
    VF x = Load(g.row[r] + g.score_offset, c);
    if (kRounding == Rounding::before_ape) x = ToBf16(x);
    if (kApe == Ape::saved) x = hn::Add(x, hn::LoadU(F(), g.ape[r] + c));
    if (kRounding == Rounding::after_ape) x = ToBf16(x);
    return x;
  }
};

struct FoldedVec {
  VF magic;
  VF weight;
  VD low;   ///< values of the lower half of the channels
  VD high;  ///< and of the upper half
};

/// numerics::pooled_of.
HWY_INLINE VF Pooled(VD low, VD high, VF weight) {
  const hn::Half<F> half;
  return hn::Div(hn::Combine(F(), hn::DemoteTo(half, high), hn::DemoteTo(half, low)), weight);
}

/// What the scores of a vector of channels are measured from.
template <class R, int kCount>
HWY_INLINE VF LargestScore(const RowGroup& g, std::int64_t c) {
  const F d;
  const int rows = kCount != 0 ? kCount : g.rows;
  VF max = hn::Set(d, -__builtin_inff());
  PLEAT_UNROLL(8)
  for (int r = 0; r < rows; ++r) {
    const VF score = R::Score(g, r, c);
    max = Larger(R::kLate ? hn::Add(score, hn::LoadU(d, g.ape[r] + c)) : score, max);
  }
  return max;
}

/// Adds the rows of one vector of channels whose largest score is known. kClamp: where that is
/// beyond the limit, all scores of the group are clamped.
template <class R, int kCount, bool kClamp>
HWY_INLINE FoldedVec AddRows(const RowGroup& g, std::int64_t c, VF max) {
  const F d;
  const int rows = kCount != 0 ? kCount : g.rows;
  const auto within = hn::Le(hn::Abs(max), hn::Set(d, numerics::kScoreLimit));  // NaN is not
  if constexpr (kClamp) max = hn::IfThenElse(within, max, ClampScore(max));
  const ScaleVec scale = ScaleOfGroup(max);
  FoldedVec f{scale.magic, hn::Zero(d), hn::Zero(D64()), hn::Zero(D64())};
  PLEAT_UNROLL(8)
  for (int r = 0; r < rows; ++r) {
    const VF score = R::Score(g, r, c);
    VF z = score;
    VF low = hn::Zero(d);
    if constexpr (R::kLate) {  // numerics::late_sum
      const VF bias = hn::LoadU(d, g.ape[r] + c);
      z = hn::Add(score, bias);
      const VF part = hn::Sub(z, score);
      low = hn::Add(hn::Sub(score, hn::Sub(z, part)), hn::Sub(bias, part));
    }
    if constexpr (kClamp) {
      z = hn::IfThenElse(within, z, ClampScore(z));
      low = hn::IfThenElseZero(within, low);
    }
    const VF e = WeightOfScore<R::kLate>(z, low, scale);
    f.weight = hn::Add(f.weight, e);
    f.low = hn::MulAdd(LowerDouble(e), R::template KvHalf<0>(g, r, c), f.low);
    f.high = hn::MulAdd(UpperDouble(e), R::template KvHalf<1>(g, r, c), f.high);
  }
  return f;
}

/// The same for all vectors of a turn, kAtOnce rows of each at a time. `lines` of the rows to come
/// are asked for bit by bit: many at once overrun the queue of the cache, which drops them.
template <class R, int kCount>
HWY_INLINE void AddRowsOfTurn(const RowGroup& g, std::int64_t c, const VF* max, Ahead& ahead,
                              int lines, FoldedVec* f) {
  if constexpr (kCount == 0 || R::kLate) {
    PLEAT_UNROLL(8)
    for (int v = 0; v < kTurn; ++v) {
      ahead.fetch(lines / kTurn);
      f[v] = AddRows<R, kCount, false>(g, c + v * kLanes, max[v]);
    }
  } else {
    ScaleVec scale[kTurn];
    PLEAT_UNROLL(8)
    for (int v = 0; v < kTurn; ++v) {
      scale[v] = ScaleOfGroup(max[v]);
      f[v] = {scale[v].magic, hn::Zero(F()), hn::Zero(D64()), hn::Zero(D64())};
    }
    PLEAT_UNROLL(8)
    for (int first = 0; first < kCount; first += kAtOnce) {
      ahead.fetch(lines / (kCount / kAtOnce));
      VF e[kTurn * kAtOnce];
      PLEAT_UNROLL(8)
      for (int i = 0; i < kTurn * kAtOnce; ++i)
        e[i] = R::Score(g, first + i / kTurn, c + i % kTurn * kLanes);
      WeightsOfScores<kTurn * kAtOnce>(e, [&](int i) HWY_ATTR { return scale[i % kTurn]; });
      PLEAT_UNROLL(8)
      for (int i = 0; i < kTurn * kAtOnce; ++i) {
        FoldedVec& to = f[i % kTurn];
        const std::int64_t at = c + i % kTurn * kLanes;
        to.weight = hn::Add(to.weight, e[i]);
        to.low =
            hn::MulAdd(LowerDouble(e[i]), R::template KvHalf<0>(g, first + i / kTurn, at), to.low);
        to.high =
            hn::MulAdd(UpperDouble(e[i]), R::template KvHalf<1>(g, first + i / kTurn, at), to.high);
      }
    }
  }
}

/// A window of one group is pooled by it; else magic, weight and value go to `out`: [2][width]
/// floats, then [width] doubles, of each vector the lower half first.
template <bool kOnly>
HWY_INLINE void PutFolded(const FoldedVec& f, std::int64_t at, std::int64_t width,
                          float* HWY_RESTRICT out) {
  if constexpr (kOnly) {
    hn::StoreU(Pooled(f.low, f.high, f.weight), F(), out + at);
  } else {
    auto* values = reinterpret_cast<double*>(out + 2 * width) + at;
    hn::StoreU(f.magic, F(), out + at);
    hn::StoreU(f.weight, F(), out + width + at);
    hn::StoreU(f.low, D64(), values);
    hn::StoreU(f.high, D64(), values + kLanes / 2);
  }
}

/// Scores beyond the limit are rare: kept apart, so that the common case keeps its registers.
template <class R, bool kOnly>
HWY_NOINLINE void FoldClamped(const RowGroup& g, std::int64_t c, const VF* max, std::int64_t at,
                              std::int64_t width, float* HWY_RESTRICT out) {
  for (int v = 0; v < kTurn; ++v) {
    PutFolded<kOnly>(AddRows<R, 0, true>(g, c + v * kLanes, max[v]), at + v * kLanes, width, out);
  }
}

/// One group; kCount is the number of its rows, or 0: ask the group.
template <class R, int kCount, bool kOnly>
void FoldGroup(const RowGroup& group, Ahead& ahead, bool last_group, std::int64_t first,
               std::int64_t last, float* HWY_RESTRICT out) {
  const F d;
  const std::int64_t width = last - first;
  const int lines = last_group ? R::kLines * 3 / 4 : R::kLines;  // the finish asks for the rest
  for (std::int64_t c = first; c < last; c += R::kChannels) {
    VF max[kTurn];
    auto within = hn::Eq(hn::Zero(d), hn::Zero(d));
    PLEAT_UNROLL(8)
    for (int v = 0; v < kTurn; ++v) {
      max[v] = LargestScore<R, kCount>(group, c + v * kLanes);
      within = hn::And(within, hn::Le(hn::Abs(max[v]), hn::Set(d, numerics::kScoreLimit)));
    }
    if (HWY_UNLIKELY(!hn::AllTrue(d, within))) {
      FoldClamped<R, kOnly>(group, c, max, c - first, width, out);
      continue;
    }
    FoldedVec f[kTurn];
    AddRowsOfTurn<R, kCount>(group, c, max, ahead, lines, f);
    PLEAT_UNROLL(8)
    for (int v = 0; v < kTurn; ++v)
      PutFolded<kOnly>(f[v], c - first + v * kLanes, width, out);
  }
}

using FoldGroupFunction = void (*)(const RowGroup&, Ahead&, bool, std::int64_t, std::int64_t,
                                   float* HWY_RESTRICT);

template <DType kDType, Rounding kRounding, bool kOnly>
FoldGroupFunction ChooseFold(const RowGroup& g) {
  const bool full = g.rows == kGroupRows;
  if constexpr (kRounding != Rounding::after_ape) {
    if (g.source.late) {
      using R = Rows<kDType, kRounding, Ape::late>;
      return full ? &FoldGroup<R, kGroupRows, kOnly> : &FoldGroup<R, 0, kOnly>;
    }
  }
  if constexpr (kRounding != Rounding::before_ape) {
    if (g.source.ape) {
      using R = Rows<kDType, kRounding, Ape::saved>;
      return full ? &FoldGroup<R, kGroupRows, kOnly> : &FoldGroup<R, 0, kOnly>;
    }
  }
  using R = Rows<kDType, kRounding, Ape::none>;
  return full ? &FoldGroup<R, kGroupRows, kOnly> : &FoldGroup<R, 0, kOnly>;
}

template <DType kDType, bool kOnly>
FoldGroupFunction ChooseFold(const RowGroup& g) {
  switch (g.source.rounding) {
    case Rounding::none:
      break;
    case Rounding::before_ape:
      return ChooseFold<kDType, Rounding::before_ape, kOnly>(g);
    case Rounding::after_ape:
      return ChooseFold<kDType, Rounding::after_ape, kOnly>(g);
  }
  return ChooseFold<kDType, Rounding::none, kOnly>(g);
}

template <bool kOnly>
FoldGroupFunction ChooseFold(const RowGroup& g) {
  return g.source.dtype == DType::bf16 ? ChooseFold<DType::bf16, kOnly>(g)
                                       : ChooseFold<DType::f32, kOnly>(g);
}

/// A sum of 2^n terms as numerics::sum_neighbours adds them, taking them one by one: like counting
/// in binary, equal partial sums join as soon as there are two.
template <class V>
class NeighbourSum {
 public:
  HWY_INLINE void Add(V x, int index) {
    for (; (index & 1) != 0; index >>= 1)
      x = hn::Add(stack_[--depth_], x);
    stack_[depth_++] = x;
  }
  [[nodiscard]] HWY_INLINE V Total() const { return stack_[0]; }

 private:
  V stack_[12];
  int depth_ = 0;
};

/// Joins the groups of a window: each is brought from its own scale to the largest's.
/// kGroups is their number, or 0: `groups` says.
template <int kGroups>
void Combine(const float* HWY_RESTRICT partial, int groups, std::int64_t width,
             float* HWY_RESTRICT pooled) {
  const F d;
  const int n = kGroups != 0 ? kGroups : groups;
  for (std::int64_t c = 0; c < width; c += kLanes) {
    const auto part = [&](int g, int which) HWY_ATTR {
      return hn::LoadU(d, partial + (kPartialFloats * g + which) * width + c);
    };
    const auto value = [&](int g, int half) HWY_ATTR {
      const float* values = partial + (kPartialFloats * g + 2) * width;
      return hn::LoadU(D64(), reinterpret_cast<const double*>(values) + c + half * (kLanes / 2));
    };
    VF top = hn::Set(d, __builtin_inff());
    for (int g = 0; g < n; ++g)
      top = hn::Min(top, part(g, 0));
    NeighbourSum<VF> weight;
    NeighbourSum<VD> low;
    NeighbourSum<VD> high;
    PLEAT_UNROLL(16)
    for (int g = 0; g < n; ++g) {
      const VF f = GroupFactor(part(g, 0), top);
      weight.Add(hn::Mul(f, part(g, 1)), g);
      low.Add(hn::Mul(LowerDouble(f), value(g, 0)), g);
      high.Add(hn::Mul(UpperDouble(f), value(g, 1)), g);
    }
    hn::StoreU(Pooled(low.Total(), high.Total(), weight.Total()), d, pooled + c);
  }
}

void PoolWindow(const RowGroup* group, std::int32_t groups, Ahead& ahead, std::int32_t first,
                std::int32_t last, float* partial, float* pooled) {
  if (groups == 1) {
    return ChooseFold<true>(*group)(*group, ahead, true, first, last, pooled);
  }
  const std::int64_t width = last - first;
  for (std::int32_t g = 0; g < groups; ++g) {
    float* out = partial + kPartialFloats * g * width;
    const FoldGroupFunction fold = ChooseFold<false>(group[g]);
    if (g + 1 < groups) {
      Ahead own(group[g + 1], first, last);
      fold(group[g], own, false, first, last, out);
    } else {
      fold(group[g], ahead, true, first, last, out);
    }
  }
  if (groups == 16) return Combine<16>(partial, groups, width, pooled);
  Combine<0>(partial, groups, width, pooled);
}

}  // namespace pleat::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // PLEAT_SIMD_TARGET

#if HWY_ONCE
namespace pleat::cpu::simd {

Pool pool([[maybe_unused]] SimdTarget target) {
  return PLEAT_SIMD_CHOOSE(PoolWindow, target);
}

}  // namespace pleat::cpu::simd
#endif  // HWY_ONCE
#endif  // PLEAT_HAVE_HIGHWAY
