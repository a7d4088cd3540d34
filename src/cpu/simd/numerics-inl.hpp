// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

// src/numerics, a vector at a time: the same operations in the same order, with selects for
// branches. tests/cpu/simd_numerics_test.cpp holds each function to its scalar twin.

// Highway's include guard: this header is read once per target.
#if defined(PLEAT_CPU_SIMD_NUMERICS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef PLEAT_CPU_SIMD_NUMERICS_INL
#undef PLEAT_CPU_SIMD_NUMERICS_INL
#else
#define PLEAT_CPU_SIMD_NUMERICS_INL
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "numerics/codes.hpp"
#include "numerics/exp2.hpp"

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using U = hn::ScalableTag<std::uint32_t>;
using I = hn::ScalableTag<std::int32_t>;
using U16 = hn::Rebind<std::uint16_t, F>;
using U8 = hn::Rebind<std::uint8_t, F>;
using D64 = hn::Repartition<double, F>;
using VF = hn::Vec<F>;
using VD = hn::Vec<D64>;
using VU = hn::Vec<U>;
inline constexpr int kLanes = HWY_LANES(float);

// Max(x, y) is y where x is NaN, on every target used here: so the first argument is the one that
// may be.
HWY_INLINE VF Larger(VF maybe_nan, VF number) {
  return hn::Max(maybe_nan, number);
}

// Min and Max are y where x is NaN, on every target used here.
HWY_INLINE VF Smaller(VF maybe_nan, VF number) {
  return hn::Min(maybe_nan, number);
}

HWY_INLINE VF ClampScore(VF x) {
  const VF limit = hn::Set(F(), numerics::kScoreLimit);
  return Smaller(Larger(x, hn::Neg(limit)), limit);
}

/// numerics::GroupScale.
struct ScaleVec {
  VF magic;
  VF floor;
};

HWY_INLINE ScaleVec ScaleOfGroup(VF max) {
  const F d;
  const VF magic = hn::Set(d, numerics::kRoundMagic);
  const VF whole = hn::Sub(hn::MulAdd(max, hn::Set(d, numerics::kLog2E), magic), magic);
  return {hn::Sub(magic, whole), hn::Sub(max, hn::Set(d, numerics::kWeightReach))};
}

/// numerics::Weight; the last step is left to who uses it, as three vectors a weight would not stay
/// in registers.
struct WeightVec {
  VF whole;
  VF part;  ///< rest / whole

  [[nodiscard]] HWY_INLINE VF Rest() const { return hn::Mul(whole, part); }
};

/// numerics::weight_of_score, of kCount scores, one operation after the other over all of them:
/// left to themselves, the long chains fill the processor's schedulers with operations that wait
/// for their predecessor. The scores are used up. low: of each, if kHasLow.
template <bool kHasLow, int kCount, class Scale>
HWY_INLINE void WeightsOfScores(VF* z, [[maybe_unused]] const VF* low, const Scale& scale,
                                WeightVec* out) {
  using P = numerics::ExpPoly;
  const F d;
  const U du;
  VF shifted[kCount];
  VF n[kCount];
  VF f[kCount];
  VF q[kCount];
  const auto each = [](auto&& operation) HWY_ATTR {
    PLEAT_UNROLL(8)
    for (int i = 0; i < kCount; ++i)
      operation(i);
  };
  const auto horner = [&](float coefficient) HWY_ATTR {
    each([&](int i) HWY_ATTR { q[i] = hn::MulAdd(q[i], f[i], hn::Set(d, coefficient)); });
  };
  [[maybe_unused]] VF counted[kCount];
  if constexpr (kHasLow) {
    each([&](int i)
             HWY_ATTR { counted[i] = hn::IfThenElseZero(hn::Gt(z[i], scale(i).floor), low[i]); });
  }
  each([&](int i) HWY_ATTR { z[i] = Larger(z[i], scale(i).floor); });
  each([&](int i) HWY_ATTR {
    shifted[i] = hn::MulAdd(z[i], hn::Set(d, numerics::kLog2E), scale(i).magic);
  });
  each([&](int i) HWY_ATTR { n[i] = hn::Sub(shifted[i], scale(i).magic); });
  each([&](int i) HWY_ATTR { f[i] = hn::NegMulAdd(n[i], hn::Set(d, numerics::kLn2), z[i]); });
  if constexpr (kHasLow) {
    each([&](int i) HWY_ATTR { f[i] = hn::Add(f[i], counted[i]); });
  }
  each([&](int i) HWY_ATTR { q[i] = hn::MulAdd(hn::Set(d, P::c6), f[i], hn::Set(d, P::c5)); });
  horner(P::c4);
  horner(P::c3);
  horner(P::c2);
  each([&](int i) HWY_ATTR { q[i] = hn::MulAdd(hn::Mul(f[i], f[i]), q[i], f[i]); });
  each([&](int i) HWY_ATTR {
    out[i].whole = hn::BitCast(
        d, hn::Add(hn::ShiftLeft<23>(hn::BitCast(du, shifted[i])), hn::Set(du, 0x3F800000U)));
  });
  each([&](int i) HWY_ATTR { out[i].part = q[i]; });
}

/// numerics::Pair.
struct PairVec {
  VF high;
  VF low;
};

/// numerics::two_sum.
HWY_INLINE PairVec TwoSum(VF a, VF b) {
  const VF sum = hn::Add(a, b);
  const VF part = hn::Sub(sum, a);
  return {sum, hn::Add(hn::Sub(a, hn::Sub(sum, part)), hn::Sub(b, part))};
}

/// numerics::fast_two_sum.
HWY_INLINE PairVec FastTwoSum(VF a, VF b) {
  const VF sum = hn::Add(a, b);
  return {sum, hn::Sub(b, hn::Sub(sum, a))};
}

/// numerics::Folded.
struct FoldedVec {
  VF magic;
  VF weight;
  VF weight_rest;
  VF value;
  VF value_rest;
};

/// numerics::anchor_of.
HWY_INLINE VF AnchorOf(VF largest_kv) {
  const U d;
  const VU exponent = hn::And(hn::BitCast(d, largest_kv), hn::Set(d, 0x7F800000U));
  return hn::BitCast(F(), hn::Or(hn::Add(exponent, hn::Set(d, 6U << 23)), hn::Set(d, 0x00400000U)));
}

HWY_INLINE FoldedVec EmptyGroup(const ScaleVec& scale, VF anchor) {
  const VF zero = hn::Zero(F());
  return {scale.magic, zero, zero, anchor, zero};
}

/// numerics::add_row.
HWY_INLINE void AddRow(FoldedVec& g, const WeightVec& w, VF kv) {
  const VF w_rest = w.Rest();
  const VF value = hn::MulAdd(hn::Add(w.whole, w_rest), kv, g.value);
  const VF moved = hn::Sub(value, g.value);
  const VF rest = hn::MulAdd(w_rest, kv, hn::MulSub(w.whole, kv, moved));
  g.value_rest = hn::Add(g.value_rest, rest);
  g.value = value;
  g.weight = hn::Add(g.weight, w.whole);
  g.weight_rest = hn::Add(g.weight_rest, w_rest);
}

/// numerics::to_odd.
HWY_INLINE VF ToOdd(VF high, VF low) {
  const U d;
  const VU u = hn::BitCast(d, high);
  const VU one = hn::Set(d, 1U);
  const auto as_it_is =
      hn::Or(hn::RebindMask(d, hn::Eq(low, hn::Zero(F()))), hn::Ne(hn::And(u, one), hn::Zero(d)));
  // all ones where the signs differ, so one less; else one more
  const auto differ = hn::BroadcastSignBit(hn::BitCast(I(), hn::Xor(u, hn::BitCast(d, low))));
  const VU moved = hn::Add(u, hn::Or(hn::BitCast(d, differ), one));
  return hn::BitCast(F(), hn::IfThenElse(as_it_is, u, moved));
}

/// numerics::pooled_of.
HWY_INLINE VF PooledOf(PairVec value, PairVec weight, bool odd) {
  const PairVec v = TwoSum(value.high, value.low);
  const PairVec w = FastTwoSum(weight.high, weight.low);
  const VF inverse = hn::Div(hn::Set(F(), 1.0F), w.high);
  const VF first = hn::Mul(v.high, inverse);
  VF left = hn::NegMulAdd(first, w.high, v.high);
  left = hn::Add(left, v.low);
  left = hn::NegMulAdd(first, w.low, left);
  const PairVec pooled = TwoSum(first, hn::Mul(left, inverse));
  return odd ? ToOdd(pooled.high, pooled.low) : pooled.high;
}

HWY_INLINE VD LowerDouble(VF x) {
  return hn::PromoteTo(D64(), hn::LowerHalf(x));
}
HWY_INLINE VD UpperDouble(VF x) {
  const hn::Half<F> half;
  return hn::PromoteTo(D64(), hn::UpperHalf(half, x));
}
HWY_INLINE VF ToFloats(VD low, VD high) {
  const hn::Half<F> half;
  return hn::Combine(F(), hn::DemoteTo(half, high), hn::DemoteTo(half, low));
}
/// numerics::odd_float, of the lower and the upper half of a vector.
HWY_INLINE VF OddFloats(VD low, VD high) {
  const VF x = ToFloats(low, high);
  return ToOdd(x, ToFloats(hn::Sub(low, LowerDouble(x)), hn::Sub(high, UpperDouble(x))));
}

/// numerics::group_factor.
HWY_INLINE VF GroupFactor(VF magic, VF top) {
  const F d;
  const VF k = hn::Max(hn::Sub(top, magic), hn::Set(d, -126.0F));
  const VF shifted = hn::Add(k, hn::Set(d, numerics::kRoundMagic + 127.0F));
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(U(), shifted)));
}

/// numerics::to_bf16, as float bits: bf16 above, zeros below.
HWY_INLINE VU Bf16HighBits(VF x) {
  const U d;
  const VU u = hn::BitCast(d, x);
  const VU odd = hn::And(hn::ShiftRight<16>(u), hn::Set(d, 1U));
  const VU rounded =
      hn::And(hn::Add(hn::Add(u, hn::Set(d, 0x7FFFU)), odd), hn::Set(d, 0xFFFF0000U));
  return hn::IfThenElse(hn::RebindMask(d, hn::IsNaN(x)), hn::Set(d, 0x7FFF0000U), rounded);
}

HWY_INLINE VF ToBf16(VF x) {
  return hn::BitCast(F(), Bf16HighBits(x));
}

HWY_INLINE void StoreBf16(VF x, std::uint16_t* to) {
  const auto bits = hn::BitCast(I(), hn::ShiftRight<16>(Bf16HighBits(x)));
  hn::StoreU(hn::DemoteTo(U16(), bits), U16(), to);
}

HWY_INLINE VF LoadBf16(const std::uint16_t* from) {
  return hn::BitCast(F(), hn::ShiftLeft<16>(hn::PromoteTo(U(), hn::LoadU(U16(), from))));
}

/// numerics::e4m3_code, one code a lane.
HWY_INLINE VU E4m3Code(VF x) {
  const U d;
  const VU u = hn::BitCast(d, x);
  const VU sign = hn::And(hn::ShiftRight<24>(u), hn::Set(d, 0x80U));
  const VU a = hn::And(u, hn::Set(d, 0x7FFFFFFFU));
  const VU subnormal = hn::Sub(hn::BitCast(d, hn::Add(hn::BitCast(F(), a), hn::Set(F(), 16384.0F))),
                               hn::Set(d, 0x46800000U));
  const VU odd = hn::And(hn::ShiftRight<20>(a), hn::Set(d, 1U));
  const VU rounded = hn::Add(hn::Add(a, hn::Set(d, 0x7FFFFU)), odd);
  const VU normal = hn::Sub(hn::ShiftRight<20>(rounded), hn::Set(d, 120U << 3));
  // a has no sign bit, so signed comparisons, which every target has, will do
  const auto as_signed = hn::BitCast(I(), a);
  const auto small = hn::RebindMask(d, hn::Lt(as_signed, hn::Set(I(), 0x3C800000)));
  const auto large = hn::RebindMask(d, hn::Gt(as_signed, hn::Set(I(), 0x43DFFFFF)));
  const VU code =
      hn::IfThenElse(large, hn::Set(d, 0x7EU), hn::IfThenElse(small, subnormal, normal));
  return hn::Or(sign, code);
}

/// numerics::e2m1_code, one code a lane.
template <bool kTiesToZero>
HWY_INLINE VU E2m1Code(VF x) {
  const F d;
  const U du;
  const VF a = hn::Abs(x);
  VU code = hn::Zero(du);
  const auto above = [&](float bound) HWY_ATTR {
    code = hn::Sub(code, hn::VecFromMask(du, hn::RebindMask(du, hn::Gt(a, hn::Set(d, bound)))));
  };
  const auto from = [&](float bound) HWY_ATTR {
    if (kTiesToZero) return above(bound);
    code = hn::Sub(code, hn::VecFromMask(du, hn::RebindMask(du, hn::Ge(a, hn::Set(d, bound)))));
  };
  above(0.25F);
  from(0.75F);
  above(1.25F);
  from(1.75F);
  above(2.5F);
  from(3.5F);
  above(5.0F);
  VU sign = hn::ShiftLeft<3>(hn::ShiftRight<31>(hn::BitCast(du, x)));
  if (kTiesToZero) sign = hn::IfThenElse(hn::Eq(code, hn::Zero(du)), hn::Zero(du), sign);
  return hn::Or(code, sign);
}

/// One byte a lane; every lane is below 256.
HWY_INLINE void StoreBytes(VU x, std::uint8_t* to) {
  hn::StoreU(hn::DemoteTo(U8(), hn::BitCast(I(), x)), U8(), to);
}

/// numerics::sum_halves of the lanes.
template <class D>
HWY_INLINE float SumHalves(D d, hn::Vec<D> x) {
  if constexpr (hn::MaxLanes(D()) == 1) {
    return hn::GetLane(x);
  } else {
    const hn::Half<D> half;
    return SumHalves(half, hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x)));
  }
}

}  // namespace pleat::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // PLEAT_SIMD_TARGET

#endif  // PLEAT_CPU_SIMD_NUMERICS_INL
