// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/portable.hpp"

namespace pleat::numerics {

inline constexpr float kE4m3Max = 448.0F;
inline constexpr float kFp8Floor = 1e-4F;        ///< of amax, or of the scale: the recipe says
inline constexpr float kFp4Floor = 0x1.8p-124F;  ///< 6 * 2^-126
inline constexpr float kSixth = 1.0F / 6.0F;
inline constexpr float kHadamardScale = 0x1.6a09e6p-4F;  ///< 128^-1/2

/// E4M3, nearest even, clamped to +-448; never a NaN code, also for NaN input (which gives 0x7E
/// with the sign of x).
PLEAT_HD std::uint8_t e4m3_code(float x) {
  const std::uint32_t u = bits_of(x);
  const std::uint32_t sign = (u >> 24) & 0x80U;
  const std::uint32_t a = u & 0x7FFFFFFFU;
  std::uint32_t code = 0;
  if (a >= 0x43E00000U) {  // 448 and up
    code = 0x7E;
  } else if (a < 0x3C800000U) {  // below 2^-6: multiples of 2^-9, which 2^14 + |x| rounds to
    code = bits_of(float_of(a) + 16384.0F) - 0x46800000U;
  } else {
    const std::uint32_t rounded = a + 0x7FFFFU + ((a >> 20) & 1U);
    code = (rounded >> 20) - (120U << 3);
  }
  return static_cast<std::uint8_t>(sign | code);
}

PLEAT_HD float e4m3_value(std::uint8_t code) {
  const std::uint32_t a = code & 0x7FU;
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x80U) << 24;
  const float subnormal = static_cast<float>(a) * 0x1p-9F;
  const float v = a < 8 ? subnormal : float_of((a + (120U << 3)) << 20);
  return float_of(bits_of(v) | sign);
}

/// E2M1 magnitude code 0..7 of |x| (levels 0 .5 1 1.5 2 3 4 6), clamped; ties to the even code.
PLEAT_HD std::uint8_t e2m1_magnitude(float x) {
  const float a = magnitude(x);
  return static_cast<std::uint8_t>((a > 0.25F) + (a >= 0.75F) + (a > 1.25F) + (a >= 1.75F) +
                                   (a > 2.5F) + (a >= 3.5F) + (a > 5.0F));
}

/// The same with ties toward zero.
PLEAT_HD std::uint8_t e2m1_magnitude_toward_zero(float x) {
  const float a = magnitude(x);
  return static_cast<std::uint8_t>((a > 0.25F) + (a > 0.75F) + (a > 1.25F) + (a > 1.75F) +
                                   (a > 2.5F) + (a > 3.5F) + (a > 5.0F));
}

/// The 4-bit code with its sign. Ties toward zero also means: no negative zero.
PLEAT_HD std::uint8_t e2m1_code(float x, bool ties_to_zero) {
  const std::uint8_t m = ties_to_zero ? e2m1_magnitude_toward_zero(x) : e2m1_magnitude(x);
  const bool negative = (bits_of(x) >> 31) != 0 && (m != 0 || !ties_to_zero);
  return static_cast<std::uint8_t>(m | (negative ? 8U : 0U));
}

PLEAT_HD float e2m1_value(std::uint8_t code) {
  const std::uint32_t m = code & 7U;
  const float v =
      m < 2 ? 0.5F * static_cast<float>(m) : float_of(((m >> 1) + 126U) << 23 | (m & 1U) << 22);
  return (code & 8U) != 0 ? -v : v;
}

/// Smallest e with 2^e >= scale, from the float's bits. scale is positive and normal, or e is -126.
PLEAT_HD std::int32_t pow2_exponent(float scale) {
  const std::uint32_t u = bits_of(scale);
  return static_cast<std::int32_t>(u >> 23) - 127 + static_cast<std::int32_t>((u & 0x7FFFFFU) != 0);
}

/// 2^e for e in [-126, 127].
PLEAT_HD float pow2(std::int32_t e) {
  return float_of(static_cast<std::uint32_t>(e + 127) << 23);
}

PLEAT_HD std::uint8_t ue8m0_byte(std::int32_t e) {
  return static_cast<std::uint8_t>(e + 127);
}

/// pow2_exponent(x / 448) without dividing: 448 is 1.75 * 2^8, so the quotient passes a power of
/// two where the mantissa passes 1.75.
PLEAT_HD std::int32_t exponent_of_448th(float x) {
  return static_cast<std::int32_t>((bits_of(x) + 0x1FFFFFU) >> 23) - 135;
}

/// Scale exponent of an fp8 block from its largest magnitude: of max(amax, 1e-4) / 448, or of
/// max(amax / 448, 1e-4).
PLEAT_HD std::int32_t fp8_exponent(float amax, bool floor_on_scale) {
  if (!floor_on_scale) return exponent_of_448th(larger(amax, kFp8Floor));
  const std::int32_t e = exponent_of_448th(amax);
  return e < -13 ? -13 : e;  // 1e-4 <= 2^-13
}

/// Scale exponent of an fp4 block from its largest magnitude and the recipe's floor of it.
PLEAT_HD std::int32_t fp4_exponent(float amax, float floor) {
  return pow2_exponent(larger(amax, floor) * kSixth);
}

}  // namespace pleat::numerics
