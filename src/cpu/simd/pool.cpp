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

/// Vectors of channels that one turn of the loop folds. All their largest values come first, then
/// all their weights: a single vector is one long chain of dependent operations.
inline constexpr int kTurn = 2;
/// Rows of each of them whose weights are computed side by side.
inline constexpr int kAtOnce = 2;

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
  /// Before the position bias where that comes late.
  static HWY_INLINE VF Score(const RowGroup& g, int r, std::int64_t c) {
    VF x = Load(g.row[r] + g.score_offset, c);
    if (kRounding == Rounding::before_ape) x = ToBf16(x);
    if (kApe == Ape::saved) x = hn::Add(x, hn::LoadU(F(), g.ape[r] + c));
    if (kRounding == Rounding::after_ape) x = ToBf16(x);
    return x;
  }
};

/// What a vector of channels of a group is measured by.
struct Largest {
  VF score;
  VF kv;  ///< its magnitude
};

template <class R, int kCount>
HWY_INLINE Largest LargestOf(const RowGroup& g, std::int64_t c) {
  const F d;
  const int rows = kCount != 0 ? kCount : g.rows;
  Largest m{hn::Set(d, -__builtin_inff()), hn::Zero(d)};
  PLEAT_UNROLL(8)
  for (int r = 0; r < rows; ++r) {
    const VF score = R::Score(g, r, c);
    m.score = Larger(R::kLate ? hn::Add(score, hn::LoadU(d, g.ape[r] + c)) : score, m.score);
    m.kv = Larger(hn::Abs(R::Kv(g, r, c)), m.kv);
  }
  return m;
}

/// Adds rows first..first+kCount-1 of kVectors vectors of channels. kClamp: where the largest score
/// is beyond the limit, all scores of the group are clamped.
template <class R, int kVectors, int kCount, bool kClamp>
HWY_INLINE void AddRows(const RowGroup& g, int first, std::int64_t c, const Largest* largest,
                        const ScaleVec* scale, FoldedVec* f) {
  constexpr int kScores = kVectors * kCount;
  VF z[kScores];
  VF low[kScores];
  PLEAT_UNROLL(8)
  for (int i = 0; i < kScores; ++i) {
    const int r = first + i / kVectors;
    const std::int64_t at = c + i % kVectors * kLanes;
    z[i] = R::Score(g, r, at);
    if constexpr (R::kLate) {  // numerics::late_sum
      const PairVec sum = TwoSum(z[i], hn::LoadU(F(), g.ape[r] + at));
      z[i] = sum.high;
      low[i] = sum.low;
    }
    if constexpr (kClamp) {
      const auto within = hn::Le(hn::Abs(largest[i % kVectors].score),
                                 hn::Set(F(), numerics::kScoreLimit));  // NaN is not
      z[i] = hn::IfThenElse(within, z[i], ClampScore(z[i]));
      if constexpr (R::kLate) low[i] = hn::IfThenElseZero(within, low[i]);
    }
  }
  WeightVec w[kScores];
  WeightsOfScores<R::kLate, kScores>(
      z, low, [&](int i) HWY_ATTR { return scale[i % kVectors]; }, w);
  PLEAT_UNROLL(8)
  for (int i = 0; i < kScores; ++i) {
    AddRow(f[i % kVectors], w[i], R::Kv(g, first + i / kVectors, c + i % kVectors * kLanes));
  }
}

/// Folds kVectors vectors of channels. `lines` of the rows to come are asked for bit by bit: many
/// at once overrun the queue of the cache, which drops them.
template <class R, int kVectors, int kCount, bool kClamp>
HWY_INLINE void FoldVectors(const RowGroup& g, std::int64_t c, const Largest* largest, Ahead& ahead,
                            int lines, FoldedVec* f) {
  ScaleVec scale[kVectors];
  VF anchor[kVectors];
  PLEAT_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    VF max = largest[v].score;
    if constexpr (kClamp) max = ClampScore(max);  // leaves those within the limit as they are
    scale[v] = ScaleOfGroup(max);
    anchor[v] = AnchorOf(largest[v].kv);
    f[v] = EmptyGroup(scale[v], anchor[v]);
  }
  if constexpr (kCount == 0) {
    for (int r = 0; r < g.rows; ++r)
      AddRows<R, kVectors, 1, kClamp>(g, r, c, largest, scale, f);
    ahead.fetch(lines);
  } else {
    PLEAT_UNROLL(8)
    for (int first = 0; first < kCount; first += kAtOnce) {
      ahead.fetch(lines / (kCount / kAtOnce));
      AddRows<R, kVectors, kAtOnce, kClamp>(g, first, c, largest, scale, f);
    }
  }
  PLEAT_UNROLL(8)
  for (int v = 0; v < kVectors; ++v)
    f[v].value = hn::Sub(f[v].value, anchor[v]);
}

/// A window of one group is pooled by it; else magic, weight and value go to `out`: [4][width].
template <bool kOnly>
HWY_INLINE void PutFolded(const FoldedVec& f, std::int64_t at, const PoolShape& shape,
                          float* HWY_RESTRICT out) {
  if constexpr (kOnly) {
    hn::StoreU(PooledOf({f.value, f.value_rest}, {f.weight, f.weight_rest}, shape.odd), F(),
               out + at);
  } else {
    const std::int64_t width = shape.last - shape.first;
    hn::StoreU(f.magic, F(), out + at);
    hn::StoreU(hn::Add(f.weight, f.weight_rest), F(), out + width + at);
    hn::StoreU(f.value, F(), out + 2 * width + at);
    hn::StoreU(f.value_rest, F(), out + 3 * width + at);
  }
}

/// Scores beyond the limit are rare: kept apart, so that the common case keeps its registers.
template <class R, bool kOnly>
HWY_NOINLINE void FoldClamped(const RowGroup& g, std::int64_t c, const Largest* largest,
                              const PoolShape& shape, float* HWY_RESTRICT out) {
  Ahead nothing;
  for (int v = 0; v < kTurn; ++v) {
    FoldedVec f[1];
    const std::int64_t at = c + v * kLanes;
    FoldVectors<R, 1, 0, true>(g, at, largest + v, nothing, 0, f);
    PutFolded<kOnly>(f[0], at - shape.first, shape, out);
  }
}

/// One group; kCount is the number of its rows, or 0: ask the group.
template <class R, int kCount, bool kOnly>
void FoldGroup(const RowGroup& group, const PoolShape& shape, Ahead& ahead, bool last_group,
               float* HWY_RESTRICT out) {
  const F d;
  const int lines = last_group ? R::kLines * 3 / 4 : R::kLines;  // the finish asks for the rest
  for (std::int64_t c = shape.first; c < shape.last; c += R::kChannels) {
    Largest largest[kTurn];
    auto within = hn::Eq(hn::Zero(d), hn::Zero(d));
    PLEAT_UNROLL(8)
    for (int v = 0; v < kTurn; ++v) {
      largest[v] = LargestOf<R, kCount>(group, c + v * kLanes);
      within =
          hn::And(within, hn::Le(hn::Abs(largest[v].score), hn::Set(d, numerics::kScoreLimit)));
    }
    if (HWY_UNLIKELY(!hn::AllTrue(d, within))) {
      FoldClamped<R, kOnly>(group, c, largest, shape, out);
      continue;
    }
    FoldedVec f[kTurn];
    FoldVectors<R, kTurn, kCount, false>(group, c, largest, ahead, lines, f);
    PLEAT_UNROLL(8)
    for (int v = 0; v < kTurn; ++v)
      PutFolded<kOnly>(f[v], c - shape.first + v * kLanes, shape, out);
  }
}

using FoldGroupFunction = void (*)(const RowGroup&, const PoolShape&, Ahead&, bool,
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
class NeighbourSum {
 public:
  HWY_INLINE void Add(VD x, int index) {
    for (; (index & 1) != 0; index >>= 1)
      x = hn::Add(stack_[--depth_], x);
    stack_[depth_++] = x;
  }
  [[nodiscard]] HWY_INLINE VD Total() const { return stack_[0]; }

 private:
  VD stack_[12];
  int depth_ = 0;
};

/// Sums of a vector of channels, its halves apart.
struct NeighbourSums {
  NeighbourSum low;
  NeighbourSum high;

  /// numerics::pair_of.
  [[nodiscard]] HWY_INLINE PairVec Total() const {
    const VF x = ToFloats(low.Total(), high.Total());
    return {x,
            ToFloats(hn::Sub(low.Total(), LowerDouble(x)), hn::Sub(high.Total(), UpperDouble(x)))};
  }
};

/// Joins the groups of a window: each is brought from its own scale to the largest's.
/// kGroups is their number, or 0: `shape` says.
template <int kGroups>
void Combine(const float* HWY_RESTRICT partial, const PoolShape& shape,
             float* HWY_RESTRICT pooled) {
  const F d;
  const int n = kGroups != 0 ? kGroups : shape.groups;
  const std::int64_t width = shape.last - shape.first;
  for (std::int64_t c = 0; c < width; c += kLanes) {
    const auto part = [&](int g, int which) HWY_ATTR {
      return hn::LoadU(d, partial + (kPartialFloats * g + which) * width + c);
    };
    VF top = hn::Set(d, __builtin_inff());
    for (int g = 0; g < n; ++g)
      top = hn::Min(top, part(g, 0));
    NeighbourSums weight;
    NeighbourSums value;
    PLEAT_UNROLL(16)
    for (int g = 0; g < n; ++g) {
      const VF f = GroupFactor(part(g, 0), top);
      const VF w = hn::Mul(f, part(g, 1));
      const VF v = hn::Mul(f, part(g, 2));
      const VF rest = hn::Mul(f, part(g, 3));
      weight.low.Add(LowerDouble(w), g);
      weight.high.Add(UpperDouble(w), g);
      value.low.Add(hn::Add(LowerDouble(v), LowerDouble(rest)), g);
      value.high.Add(hn::Add(UpperDouble(v), UpperDouble(rest)), g);
    }
    hn::StoreU(PooledOf(value.Total(), weight.Total(), shape.odd), d, pooled + c);
  }
}

void PoolWindow(const RowGroup* group, const PoolShape& shape, Ahead& ahead, float* partial,
                float* pooled) {
  if (shape.groups == 1) {
    return ChooseFold<true>(*group)(*group, shape, ahead, true, pooled);
  }
  for (std::int32_t g = 0; g < shape.groups; ++g) {
    float* out = partial + kPartialFloats * g * (shape.last - shape.first);
    const FoldGroupFunction fold = ChooseFold<false>(group[g]);
    if (g + 1 < shape.groups) {
      Ahead own(group[g + 1], shape.first, shape.last);
      fold(group[g], shape, own, false, out);
    } else {
      fold(group[g], shape, ahead, true, out);
    }
  }
  if (shape.groups == 16) return Combine<16>(partial, shape, pooled);
  Combine<0>(partial, shape, pooled);
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
