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

/// How many bytes of each row one turn of the loop reads from its kv, and from its scores: a cache
/// line, so that each is prefetched once.
inline constexpr int kLineBytes = 64;

/// When a row's position bias is added: never, when it was saved, or now (recipe sglang).
enum class Ape { none, saved, late };

template <DType kDType, Rounding kRounding, Ape kApe>
struct Rows {
  static constexpr bool kLate = kApe == Ape::late;
  static constexpr bool kBf16 = kDType == DType::bf16;
  static constexpr int kSize = kBf16 ? 2 : 4;
  static constexpr int kChannels = kLineBytes / kSize;  // a turn's

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

struct FoldedVec {
  VF magic;
  VF weight;
  VD low;   ///< values of the lower half of the channels
  VD high;  ///< and of the upper half
};

HWY_INLINE VD LowerDouble(VF x) {
  return hn::PromoteTo(D64(), hn::LowerHalf(x));
}
HWY_INLINE VD UpperDouble(VF x) {
  const hn::Half<F> half;
  return hn::PromoteTo(D64(), hn::UpperHalf(half, x));
}

/// numerics::pooled_of.
HWY_INLINE VF Pooled(VD low, VD high, VF weight) {
  const hn::Half<F> half;
  return hn::Div(hn::Combine(F(), hn::DemoteTo(half, high), hn::DemoteTo(half, low)), weight);
}

/// numerics::Folded of one vector of channels. kCount is the number of rows, or 0: ask the group.
template <class R, int kCount>
HWY_INLINE FoldedVec FoldRows(const RowGroup& g, std::int64_t c) {
  const F d;
  const int rows = kCount != 0 ? kCount : g.rows;
  VF score[kGroupRows];
  VF max = hn::Set(d, -__builtin_inff());
  const auto ape = [&](int r) HWY_ATTR { return hn::LoadU(d, g.ape[r] + c); };
  PLEAT_UNROLL(8)
  for (int r = 0; r < rows; ++r) {
    score[r] = R::Score(g, r, c);
    if constexpr (R::kLate) {
      max = Larger(hn::Add(score[r], ape(r)), max);
    } else {
      max = Larger(score[r], max);
    }
  }
  // NaN is beyond
  const auto beyond = hn::Not(hn::Le(hn::Abs(max), hn::Set(d, numerics::kScoreLimit)));
  const bool clamp = !hn::AllFalse(d, beyond);
  if (HWY_UNLIKELY(clamp)) max = hn::IfThenElse(beyond, ClampScore(max), max);
  const ScaleVec scale = ScaleOfGroup(max);
  FoldedVec f{scale.magic, hn::Zero(d), hn::Zero(D64()), hn::Zero(D64())};
  PLEAT_UNROLL(8)
  for (int r = 0; r < rows; ++r) {
    VF z = score[r];
    VF low = hn::Zero(d);
    if constexpr (R::kLate) {  // numerics::late_sum
      const VF bias = ape(r);
      z = hn::Add(score[r], bias);
      const VF part = hn::Sub(z, score[r]);
      low = hn::Add(hn::Sub(score[r], hn::Sub(z, part)), hn::Sub(bias, part));
    }
    if (HWY_UNLIKELY(clamp)) {
      z = hn::IfThenElse(beyond, ClampScore(z), z);
      low = hn::IfThenZeroElse(beyond, low);
    }
    const VF e = WeightOfScore<R::kLate>(z, low, scale);
    const VF kv = R::Kv(g, r, c);
    f.weight = hn::Add(f.weight, e);
    f.low = hn::MulAdd(LowerDouble(e), LowerDouble(kv), f.low);
    f.high = hn::MulAdd(UpperDouble(e), UpperDouble(kv), f.high);
  }
  return f;
}

/// Asks for the rows of the group to come, in the order of their addresses.
class Ahead {
 public:
  /// `first` and `bytes`: which part of each row's kv, and of its scores.
  HWY_INLINE Ahead(const RowGroup& g, std::int64_t first, std::int64_t bytes)
      : group_(g), first_(first), bytes_(bytes) {
    Open();
  }
  HWY_INLINE void Fetch(int lines) {
    for (; lines > 0 && span_ < 2 * group_.rows; lines -= 2) {
      __builtin_prefetch(at_, 0, 2);  // into the second level: the first is full of this group
      __builtin_prefetch(at_ + kLineBytes, 0, 2);
      at_ += 2 * kLineBytes;
      if (at_ >= end_) {
        ++span_;
        Open();
      }
    }
  }

 private:
  HWY_INLINE void Open() {
    if (span_ >= 2 * group_.rows) return;
    at_ = group_.row[span_ / 2] + (span_ % 2 != 0 ? group_.score_offset : 0) + first_;
    end_ = at_ + bytes_;
  }
  const RowGroup& group_;
  std::int64_t first_;
  std::int64_t bytes_;
  int span_ = 0;
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
};

/// Spans of at least this many bytes are worth a pass of their own.
inline constexpr std::int64_t kTouchBytes = 2048;

/// Loads a line's worth of every line, in a loop so tight that the hardware's prefetchers stream as
/// they do for a plain read. The fold reads sixteen spans in turn, which they follow far slower.
HWY_INLINE void Touch(const std::byte* p, std::int64_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  const auto* q = reinterpret_cast<const std::uint8_t*>(p);
  for (const auto* end = q + bytes; q < end; q += 4 * kLineBytes) {
    const auto a = hn::LoadU(d, q);
    const auto b = hn::LoadU(d, q + kLineBytes);
    const auto c = hn::LoadU(d, q + 2 * kLineBytes);
    const auto e = hn::LoadU(d, q + 3 * kLineBytes);
    asm volatile("" : : PLEAT_VECTOR(a), PLEAT_VECTOR(b), PLEAT_VECTOR(c), PLEAT_VECTOR(e));
  }
}

HWY_INLINE void Touch(const RowGroup& g, std::int64_t first, std::int64_t bytes) {
  if (bytes < kTouchBytes) return;
  for (int r = 0; r < g.rows; ++r) {
    Touch(g.row[r] + first, bytes);
    Touch(g.row[r] + g.score_offset + first, bytes);
  }
}

/// One group. A window of one group is pooled by it; else magic, weight and value go to `out`:
/// [2][last - first] floats, then [last - first] doubles, of each vector the lower half first.
template <class R, int kCount, bool kOnly>
void FoldGroup(const RowGroup& group, const RowGroup& next, std::int64_t first, std::int64_t last,
               float* HWY_RESTRICT out) {
  const std::int64_t width = last - first;
  Touch(group, first * R::kSize, width * R::kSize);
  Ahead ahead(next, first * R::kSize, width * R::kSize);
  for (std::int64_t c = first; c < last; c += R::kChannels) {
    ahead.Fetch(2 * kGroupRows);
    for (std::int64_t i = c; i < c + R::kChannels; i += kLanes) {
      const FoldedVec f = FoldRows<R, kCount>(group, i);
      float* to = out + (i - first);
      if constexpr (kOnly) {
        hn::StoreU(Pooled(f.low, f.high, f.weight), F(), to);
      } else {
        auto* values = reinterpret_cast<double*>(out + 2 * width) + (i - first);
        hn::StoreU(f.magic, F(), to);
        hn::StoreU(f.weight, F(), to + width);
        hn::StoreU(f.low, D64(), values);
        hn::StoreU(f.high, D64(), values + kLanes / 2);
      }
    }
  }
}

using FoldGroupFunction = void (*)(const RowGroup&, const RowGroup&, std::int64_t, std::int64_t,
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

void PoolWindow(const RowGroup* group, std::int32_t groups, const RowGroup* next,
                std::int32_t first, std::int32_t last, float* partial, float* pooled) {
  static constexpr RowGroup kNothing{};
  const RowGroup& after = next != nullptr ? *next : kNothing;
  if (groups == 1) return ChooseFold<true>(*group)(*group, after, first, last, pooled);
  const std::int64_t width = last - first;
  for (std::int32_t g = 0; g < groups; ++g) {
    ChooseFold<false>(group[g])(group[g], g + 1 < groups ? group[g + 1] : after, first, last,
                                partial + kPartialFloats * g * width);
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
