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

/// numerics::weight_of_score.
template <bool kHasLow>
HWY_INLINE VF WeightOfScore(VF score, [[maybe_unused]] VF low, const ScaleVec& g) {
  using P = numerics::Exp2Poly;
  const F d;
  const VF log2e = hn::Set(d, numerics::kLog2E);
  const VF z = Larger(score, g.floor);
  const VF shifted = hn::MulAdd(z, log2e, g.magic);
  const VF whole = hn::Sub(shifted, g.magic);
  VF f = hn::MulSub(z, log2e, whole);
  f = hn::MulAdd(z, hn::Set(d, numerics::kLog2ELow), f);
  if constexpr (kHasLow) {
    f = hn::MulAdd(hn::IfThenElseZero(hn::Gt(score, g.floor), low), log2e, f);
  }
  VF p = hn::MulAdd(hn::Set(d, P::c6), f, hn::Set(d, P::c5));
  p = hn::MulAdd(p, f, hn::Set(d, P::c4));
  p = hn::MulAdd(p, f, hn::Set(d, P::c3));
  p = hn::MulAdd(p, f, hn::Set(d, P::c2));
  p = hn::MulAdd(p, f, hn::Set(d, P::c1));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0F));
  const U du;
  return hn::BitCast(d, hn::Add(hn::BitCast(du, p), hn::ShiftLeft<23>(hn::BitCast(du, shifted))));
}

/// The same of kCount scores in place, without low parts, one operation after the other over all of
/// them: left to themselves, the long chains fill the processor's schedulers with operations that
/// wait for their predecessor.
template <int kCount, class Scale>
HWY_INLINE void WeightsOfScores(VF* x, const Scale& scale) {
  using P = numerics::Exp2Poly;
  const F d;
  const U du;
  const VF log2e = hn::Set(d, numerics::kLog2E);
  VF shifted[kCount];
  VF f[kCount];
  const auto each = [](auto&& operation) HWY_ATTR {
    PLEAT_UNROLL(8)
    for (int i = 0; i < kCount; ++i)
      operation(i);
  };
  const auto horner = [&](float coefficient) HWY_ATTR {
    each([&](int i) HWY_ATTR { x[i] = hn::MulAdd(x[i], f[i], hn::Set(d, coefficient)); });
  };
  each([&](int i) HWY_ATTR { x[i] = Larger(x[i], scale(i).floor); });
  each([&](int i) HWY_ATTR { shifted[i] = hn::MulAdd(x[i], log2e, scale(i).magic); });
  each([&](int i) HWY_ATTR { f[i] = hn::Sub(shifted[i], scale(i).magic); });
  each([&](int i) HWY_ATTR { f[i] = hn::MulSub(x[i], log2e, f[i]); });
  each([&](int i) HWY_ATTR { f[i] = hn::MulAdd(x[i], hn::Set(d, numerics::kLog2ELow), f[i]); });
  each([&](int i) HWY_ATTR { x[i] = hn::MulAdd(hn::Set(d, P::c6), f[i], hn::Set(d, P::c5)); });
  horner(P::c4);
  horner(P::c3);
  horner(P::c2);
  horner(P::c1);
  horner(1.0F);
  each([&](int i) HWY_ATTR {
    x[i] = hn::BitCast(
        d, hn::Add(hn::BitCast(du, x[i]), hn::ShiftLeft<23>(hn::BitCast(du, shifted[i]))));
  });
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
