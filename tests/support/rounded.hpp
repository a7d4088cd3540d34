// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfloat>
#include <cmath>
#include <limits>

#include "numerics/portable.hpp"
#include "support/random.hpp"

/// Roundings by their definitions, of numbers that are wider than a float.
namespace pleat::test {

/// One rounding of an exact float64 sum, product or fma of floats that are near each other.
inline float rounded(double x) {
  return static_cast<float>(x);
}

using Long = long double;
// What is worked out in it is exact only with 64 bits or more.
inline constexpr bool kLongIsLong = LDBL_MANT_DIG >= 64;

// Holds a product of two doubles, and a sum of doubles that are near each other.
#if defined(__SIZEOF_FLOAT128__)
using Quad = __float128;
inline constexpr bool kQuadIsQuad = true;
#else
using Quad = long double;
inline constexpr bool kQuadIsQuad = LDBL_MANT_DIG >= 113;
#endif

/// A float of any exponent in [low, high], either sign.
inline float float_between(Random& random, int low, int high) {
  const float x = std::ldexp(1.0F + static_cast<float>(random.unit()),
                             static_cast<int>(random.between(low, high)));
  return random.chance(0.5) ? x : -x;
}

/// The float on the side of zero of `x`, which is no float itself, and the next away from it.
struct Around {
  float toward;
  float away;
};
inline Around around(Long x) {
  const auto nearest = static_cast<float>(x);
  const float inf = std::numeric_limits<float>::infinity();
  if (std::fabs(static_cast<Long>(nearest)) < std::fabs(x)) {
    return {nearest, std::nextafter(nearest, x > 0 ? inf : -inf)};
  }
  return {std::nextafter(nearest, 0.0F), nearest};
}

/// Rounding to odd as it is defined: a number that is no float gives its neighbour that is odd.
inline float odd_of(Long x) {
  if (static_cast<Long>(static_cast<float>(x)) == x) return static_cast<float>(x);
  const Around a = around(x);
  return (numerics::bits_of(a.toward) & 1U) != 0 ? a.toward : a.away;
}

/// Nearest bf16 of a number, ties to even, at once.
inline float bf16_of(Long x) {
  int exponent = 0;
  const Long mantissa = std::frexp(x, &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8));
}

}  // namespace pleat::test
