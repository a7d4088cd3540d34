// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace pleat::test {

/// The number formats from their definitions, in float64 and without one line of src/numerics:
/// what the codes there are proven against.

/// Magnitudes of E4M3 codes 0..0x7E: 4 exponent bits of bias 7, 3 mantissa bits; 0x7F is NaN.
inline std::vector<double> e4m3_levels() {
  std::vector<double> v;
  for (int code = 0; code < 0x7F; ++code) {
    const int exponent = code / 8;
    const int mantissa = code % 8;
    v.push_back(exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10));
  }
  return v;
}

inline std::vector<double> e2m1_levels() {
  return {0, 0.5, 1, 1.5, 2, 3, 4, 6};
}

/// Index of the nearest level to |x|, beyond the last the last; a tie goes to the even index, or to
/// the lower one.
inline int nearest_level(const std::vector<double>& levels, double x, bool ties_down = false) {
  const double a = std::fabs(x);
  const auto above = std::lower_bound(levels.begin(), levels.end(), a);
  if (above == levels.end()) return static_cast<int>(levels.size()) - 1;
  const int k = static_cast<int>(above - levels.begin());
  if (*above == a || k == 0) return k;
  const double to_upper = *above - a;  // exact or nearly: both are far apart from a tie otherwise
  const double to_lower = a - levels[k - 1];
  if (to_lower != to_upper) return to_lower < to_upper ? k - 1 : k;
  return ties_down || (k - 1) % 2 == 0 ? k - 1 : k;
}

/// bf16 of a finite double, nearest even, as a bit pattern; too large gives infinity.
inline std::uint16_t nearest_bf16(double x) {
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const double a = std::fabs(x);
  if (a == 0) return sign;
  int exponent = 0;
  std::frexp(a, &exponent);                          // a = m * 2^exponent, m in [1/2, 1)
  const int quantum = std::max(exponent - 8, -133);  // 8 significant bits; subnormals share one
  const double steps = std::nearbyint(std::ldexp(a, -quantum));  // to even, the default mode
  const double rounded = std::ldexp(steps, quantum);
  if (rounded >= std::ldexp(1.0, 128)) return static_cast<std::uint16_t>(sign | 0x7F80);
  const double subnormal_steps = std::ldexp(rounded, 133);
  if (subnormal_steps < 128) {
    return static_cast<std::uint16_t>(sign | static_cast<int>(subnormal_steps));
  }
  const double m = std::frexp(rounded, &exponent);  // 2m - 1 has 7 bits
  const int mantissa = static_cast<int>(std::ldexp(2 * m - 1, 7));
  return static_cast<std::uint16_t>(sign | (exponent + 126) << 7 | mantissa);
}

/// Value of a finite bf16 bit pattern.
inline double bf16_as_double(std::uint16_t bits) {
  const int exponent = (bits >> 7) & 0xFF;
  const int mantissa = bits & 0x7F;
  const double a =
      exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128 + mantissa, exponent - 134);
  return (bits & 0x8000) != 0 ? -a : a;
}

/// Smallest e with 2^e >= scale > 0.
inline int exponent_not_below(double scale) {
  int e = 0;
  const double m = std::frexp(scale, &e);
  return m == 0.5 ? e - 1 : e;
}

}  // namespace pleat::test
