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
#include "numerics/order.hpp"

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
using VI = hn::Vec<I>;
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

/// The two halves of a vector of floats, as doubles.
struct Halves {
  VD low;
  VD high;
};

HWY_INLINE VD LowerDouble(VF x) {
  return hn::PromoteTo(D64(), hn::LowerHalf(x));
}
HWY_INLINE VD UpperDouble(VF x) {
  const hn::Half<F> half;
  return hn::PromoteTo(D64(), hn::UpperHalf(half, x));
}
/// Half a vector of floats, widened on its way from memory.
HWY_INLINE VD LoadDoubles(const float* from) {
  const hn::Half<F> half;
  return hn::PromoteTo(D64(), hn::LoadU(half, from));
}
HWY_INLINE VF ToFloats(VD low, VD high) {
  const hn::Half<F> half;
  return hn::Combine(F(), hn::DemoteTo(half, high), hn::DemoteTo(half, low));
}
HWY_INLINE Halves Widened(VF x) {
  return {LowerDouble(x), UpperDouble(x)};
}
HWY_INLINE Halves Add(const Halves& a, const Halves& b) {
  return {hn::Add(a.low, b.low), hn::Add(a.high, b.high)};
}
HWY_INLINE Halves Mul(const Halves& a, const Halves& b) {
  return {hn::Mul(a.low, b.low), hn::Mul(a.high, b.high)};
}

/// numerics::Score.
struct ScoreVec {
  VF value;
  Halves exact;
};

/// numerics::GroupScale.
struct ScaleVec {
  Halves magic;
  Halves floor;
};

/// numerics::scale_of_group where one of the group is beyond_plain; the others are measured from 0,
/// and nothing is below their floor. size: of the largest in magnitude, NaN being larger than all.
HWY_INLINE ScaleVec ScaleOfGroup(VF max, VF size) {
  const F d;
  const auto plain = hn::Le(size, hn::Set(d, numerics::kPlainScore));
  const VF limit = hn::Set(d, numerics::kScoreLimit);
  const VF most = hn::IfThenZeroElse(plain, Smaller(Larger(max, hn::Neg(limit)), limit));
  const VF floor =
      hn::IfThenElse(plain, hn::Set(d, -__builtin_inff()),
                     hn::Max(hn::Sub(most, hn::Set(d, numerics::kWeightReach)), hn::Neg(limit)));
  const auto magic_of = [](VD x) HWY_ATTR {
    const VD magic = hn::Set(D64(), numerics::kRoundMagic);
    return hn::Sub(magic, hn::Sub(hn::MulAdd(x, hn::Set(D64(), numerics::kLog2E), magic), magic));
  };
  return {{magic_of(LowerDouble(most)), magic_of(UpperDouble(most))}, Widened(floor)};
}
/// numerics::exponent_of.
HWY_INLINE Halves ExponentOf(const ScaleVec& scale) {
  const VD magic = hn::Set(D64(), numerics::kRoundMagic);
  return {hn::Sub(magic, scale.magic.low), hn::Sub(magic, scale.magic.high)};
}
/// numerics::within_reach.
HWY_INLINE Halves WithinReach(const Halves& score, const ScaleVec& scale) {
  const VD limit = hn::Set(D64(), static_cast<double>(numerics::kScoreLimit));
  return {hn::Min(hn::Max(score.low, scale.floor.low), limit),
          hn::Min(hn::Max(score.high, scale.floor.high), limit)};
}

/// kCount vectors of scores on their way to weights, which are e^left * 2^(low bits of shifted).
template <int kCount>
struct Reduced {
  VD left[kCount];
  VD shifted[kCount];
};

// The two halves of numerics::weight_of_score. Each goes one operation after the other over all
// vectors: left to themselves, the long chains fill the processor's schedulers with operations that
// wait for their predecessor.

template <int kCount, class Magic>
HWY_INLINE Reduced<kCount> ReduceScores(const VD* z, const Magic& magic) {
  const D64 d;
  Reduced<kCount> out;
  PLEAT_UNROLL(16)
  for (int i = 0; i < kCount; ++i)
    out.shifted[i] = hn::MulAdd(z[i], hn::Set(d, numerics::kLog2E), magic(i));
  PLEAT_UNROLL(16)
  for (int i = 0; i < kCount; ++i) {
    out.left[i] = hn::MulAdd(hn::Sub(out.shifted[i], magic(i)), hn::Set(d, -numerics::kLn2), z[i]);
  }
  return out;
}

template <int kCount>
HWY_INLINE void WeightsOf(const Reduced<kCount>& r, VD* weight) {
  using P = numerics::ExpPoly;
  const D64 d;
  const hn::Repartition<std::uint64_t, F> du;
  VD p[kCount];
  PLEAT_UNROLL(16)
  for (int i = 0; i < kCount; ++i)
    p[i] = hn::Set(d, P::c7);
  const auto horner = [&](double coefficient) HWY_ATTR {
    PLEAT_UNROLL(16)
    for (int i = 0; i < kCount; ++i)
      p[i] = hn::MulAdd(p[i], r.left[i], hn::Set(d, coefficient));
  };
  horner(P::c6);
  horner(P::c5);
  horner(P::c4);
  horner(P::c3);
  horner(P::c2);
  horner(1.0);
  horner(1.0);
  PLEAT_UNROLL(16)
  for (int i = 0; i < kCount; ++i) {
    const auto power = hn::ShiftLeft<52>(hn::BitCast(du, r.shifted[i]));
    weight[i] = hn::BitCast(d, hn::Add(hn::BitCast(du, p[i]), power));
  }
}

/// numerics::weight_of_score.
HWY_INLINE Halves WeightOfScore(const Halves& score, const Halves& magic) {
  const VD z[2] = {score.low, score.high};
  VD w[2];
  WeightsOf(ReduceScores<2>(z, [&](int i) HWY_ATTR { return i == 0 ? magic.low : magic.high; }), w);
  return {w[0], w[1]};
}

/// numerics::Folded but for n: 0, or kept elsewhere.
struct FoldedVec {
  Halves weight;
  Halves value;
};

HWY_INLINE FoldedVec NoRows() {
  const VD zero = hn::Zero(D64());
  return {{zero, zero}, {zero, zero}};
}

/// numerics::add_row.
HWY_INLINE void AddRow(FoldedVec& g, const Halves& weight, const Halves& kv) {
  g.weight = Add(g.weight, weight);
  g.value.low = hn::MulAdd(weight.low, kv.low, g.value.low);
  g.value.high = hn::MulAdd(weight.high, kv.high, g.value.high);
}

/// numerics::Folded.
struct ScaledVec {
  FoldedVec sums;
  Halves n;  ///< whole numbers
};

HWY_INLINE ScaledVec NoScaledRows() {
  const VD n = hn::Set(D64(), static_cast<double>(numerics::kNoRows));
  return {NoRows(), {n, n}};
}

/// numerics::scale_factor.
HWY_INLINE Halves ScaleFactor(const Halves& n, const Halves& top) {
  const auto factor = [](VD n_, VD top_) HWY_ATTR {
    const D64 d;
    const hn::Repartition<std::uint64_t, F> du;
    const VD k = hn::Max(hn::Sub(n_, top_), hn::Set(d, -512.0));
    const VD shifted = hn::Add(k, hn::Set(d, numerics::kRoundMagic + 1023.0));
    return hn::BitCast(d, hn::ShiftLeft<52>(hn::BitCast(du, shifted)));
  };
  return {factor(n.low, top.low), factor(n.high, top.high)};
}

/// numerics::joined.
HWY_INLINE ScaledVec Joined(const ScaledVec& a, const ScaledVec& b) {
  const Halves n{hn::Max(a.n.low, b.n.low), hn::Max(a.n.high, b.n.high)};
  const Halves fa = ScaleFactor(a.n, n);
  const Halves fb = ScaleFactor(b.n, n);
  return {{Add(Mul(fa, a.sums.weight), Mul(fb, b.sums.weight)),
           Add(Mul(fa, a.sums.value), Mul(fb, b.sums.value))},
          n};
}

/// Where x equals y: a, elsewhere b.
HWY_INLINE Halves IfEqual(const Halves& x, const Halves& y, const Halves& a, const Halves& b) {
  return {hn::IfThenElse(hn::Eq(x.low, y.low), a.low, b.low),
          hn::IfThenElse(hn::Eq(x.high, y.high), a.high, b.high)};
}
HWY_INLINE FoldedVec IfEqual(const Halves& x, const Halves& y, const FoldedVec& a,
                             const FoldedVec& b) {
  return {IfEqual(x, y, a.weight, b.weight), IfEqual(x, y, a.value, b.value)};
}

/// numerics::odd_float.
HWY_INLINE VF OddFloats(const Halves& x) {
  const U d;
#if HWY_TARGET == HWY_AVX3
  // conversions may say how they round
  constexpr int kTowardZero = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
  const __m256 low = _mm512_cvt_roundpd_ps(x.low.raw, kTowardZero);
  const __m256 high = _mm512_cvt_roundpd_ps(x.high.raw, kTowardZero);
  const __mmask8 low_lost = _mm512_cmpneq_pd_mask(_mm512_cvtps_pd(low), x.low.raw);
  const __mmask8 high_lost = _mm512_cmpneq_pd_mask(_mm512_cvtps_pd(high), x.high.raw);
  const VU cut = hn::BitCast(d, VF{_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1)});
  const __mmask16 lost = _mm512_kunpackb(high_lost, low_lost);
  return hn::BitCast(F(), VU{_mm512_mask_or_epi32(cut.raw, lost, cut.raw, hn::Set(d, 1U).raw)});
#else
  // To the nearest, then to its odd neighbour on the side of what that leaves: the upper word of
  // the remainder tells the side. x is finite, which AVX-512 and the scalar twin do not need.
  const VF nearest = ToFloats(x.low, x.high);
  const VU u = hn::BitCast(d, nearest);
  const VU left_low = hn::BitCast(d, hn::Sub(x.low, LowerDouble(nearest)));
  const VU left_high = hn::BitCast(d, hn::Sub(x.high, UpperDouble(nearest)));
  const VU rest = hn::ConcatOdd(d, left_high, left_low);
  const VU lower = hn::ConcatEven(d, left_high, left_low);  // all there is below 2^-1042
  const VU one = hn::Set(d, 1U);
  const auto none = hn::Eq(hn::Or(hn::ShiftLeft<1>(rest), lower), hn::Zero(d));
  const auto as_it_is = hn::Or(none, hn::Eq(hn::And(u, one), one));
  // all ones where the signs differ, so one less; else one more
  const auto differ = hn::BroadcastSignBit(hn::BitCast(I(), hn::Xor(u, rest)));
  const VU moved = hn::Add(u, hn::Or(hn::BitCast(d, differ), one));
  return hn::BitCast(F(), hn::IfThenElse(as_it_is, u, moved));
#endif
}

/// numerics::pooled_of.
HWY_INLINE VF PooledOf(const FoldedVec& f, bool odd) {
  const VF inverse = hn::Div(hn::Set(F(), 1.0F), ToFloats(f.weight.low, f.weight.high));
  const auto pooled = [](VD inv, VD weight, VD value) HWY_ATTR {
    const VD first = hn::Mul(value, inv);
    return hn::MulAdd(hn::NegMulAdd(first, weight, value), inv, first);
  };
  const Halves x{pooled(LowerDouble(inverse), f.weight.low, f.value.low),
                 pooled(UpperDouble(inverse), f.weight.high, f.value.high)};
  return odd ? OddFloats(x) : ToFloats(x.low, x.high);
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

/// The code nearest to each a, which is from 0 up to the largest code's value; ties to even codes.
/// A code has kFraction bits below its exponent, and that is at least kLeastExponent; it is in the
/// low bits of its lane, and what lies above it means nothing. a is added to a number so much
/// larger that the sum's last bit is that of a code: 2^(e + kCut), e the exponent of a but at least
/// kLeastExponent. The sum's bits then count codes from 2^e on, and 2^kFraction share an exponent.
template <int kFraction, int kLeastExponent>
HWY_INLINE VU NearestCode(VU a) {
  const U d;
  constexpr int kCut = 23 - kFraction;  // bits of a float's fraction that no code has
  constexpr std::uint32_t kLeast = std::uint32_t{127 + kLeastExponent} << 23;
  constexpr std::uint32_t kFirst = -(kLeast >> kCut);  // so that 0 has code 0
  static_assert(kFirst % 2 == 0, "ties go to even codes");
  const VU e = hn::Max(hn::And(a, hn::Set(d, 0x7F800000U)), hn::Set(d, kLeast));
  const VU large = hn::Add(e, hn::Set(d, (std::uint32_t{kCut} << 23) + kFirst % 256));
  const VF sum = hn::Add(hn::BitCast(F(), a), hn::BitCast(F(), large));
  return hn::Add(hn::BitCast(d, sum), hn::ShiftRight<kCut>(e));
}

/// numerics::e4m3_code in the low byte of each lane; what lies above it means nothing.
HWY_INLINE VU E4m3Code(VF x) {
  const U d;
  const VU u = hn::BitCast(d, x);
  // what is larger, or NaN, has the largest code
  const VU a = hn::Min(hn::And(u, hn::Set(d, 0x7FFFFFFFU)),
                       hn::Set(d, numerics::bits_of(numerics::kE4m3Max)));
  return hn::OrAnd(NearestCode<3, -6>(a), hn::ShiftRight<24>(u), hn::Set(d, 0x80U));
}

/// numerics::e2m1_code, one code a lane.
template <bool kTiesToZero>
HWY_INLINE VU E2m1Code(VF x) {
  const F d;
  const U du;
  const VF a = hn::Abs(x);
  const VU sign = hn::And(hn::ShiftRight<28>(hn::BitCast(du, x)), hn::Set(du, 8U));
  if constexpr (kTiesToZero) {
    VU code = hn::Zero(du);
    for (const float bound : {0.25F, 0.75F, 1.25F, 1.75F, 2.5F, 3.5F, 5.0F}) {
      const auto above = hn::RebindMask(du, hn::Gt(a, hn::Set(d, bound)));
      code = hn::Sub(code, hn::VecFromMask(du, above));
    }
    return hn::Or(code, hn::IfThenZeroElse(hn::Eq(code, hn::Zero(du)), sign));
  } else {
    const VF clamped = hn::IfThenElseZero(hn::Eq(a, a), hn::Min(a, hn::Set(d, 6.0F)));
    const VU code = NearestCode<1, 0>(hn::BitCast(du, clamped));
    return hn::Or(hn::And(code, hn::Set(du, 7U)), sign);
  }
}

/// The low byte of each lane.
HWY_INLINE void StoreBytes(VU x, std::uint8_t* to) {
  hn::StoreU(hn::TruncateTo(U8(), x), U8(), to);
}

/// The lanes as one, by halves: x[i] with x[i + n/2] first. Narrower vectors are cheaper.
template <class D, class Two>
HWY_INLINE hn::TFromD<D> Halved(D d, hn::Vec<D> x, const Two& two) {
  if constexpr (hn::MaxLanes(D()) == 1) {
    return hn::GetLane(x);
  } else {
    const hn::Half<D> half;
    return Halved(half, two(hn::LowerHalf(half, x), hn::UpperHalf(half, x)), two);
  }
}
/// numerics::sum_halves of the lanes.
template <class D>
HWY_INLINE double SumHalves(D d, hn::Vec<D> x) {
  return Halved(d, x, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); });
}
/// The largest lane; none is NaN.
template <class D>
HWY_INLINE float MaxHalves(D d, hn::Vec<D> x) {
  return Halved(d, x, [](auto a, auto b) HWY_ATTR { return hn::Max(a, b); });
}

}  // namespace pleat::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // PLEAT_SIMD_TARGET

#endif  // PLEAT_CPU_SIMD_NUMERICS_INL
