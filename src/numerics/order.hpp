// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/geometry.hpp>

#include "numerics/exp2.hpp"

namespace pleat::numerics {

/// x[i] + x[i + n/2] first, then quarters, and so on. n is a power of two; x is used up.
PLEAT_HD double sum_halves(double* x, int n) {
  for (int half = n / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i)
      x[i] = x[i] + x[i + half];
  }
  return x[0];
}

/// Squares of two neighbouring channels: exact, and their sum rounded once.
PLEAT_HD double pair_squares(float even, float odd) {
  const double a = static_cast<double>(even);
  const double b = static_cast<double>(odd);
  return fused(b, b, a * a);
}

/// Sum of squares of a row: each tile of 64 channels by pairs, then these by halves; then the
/// tiles' sums by halves.
PLEAT_HD double sum_of_squares(const float* row, int head_dim) {
  double tiles[4096 / kTileChannels];
  const int n = head_dim / kTileChannels;
  for (int t = 0; t < n; ++t) {
    double pairs[kTileChannels / 2];
    for (int i = 0; i < kTileChannels / 2; ++i) {
      const float* x = row + t * kTileChannels + 2 * i;
      pairs[i] = pair_squares(x[0], x[1]);
    }
    tiles[t] = sum_halves(pairs, kTileChannels / 2);
  }
  return sum_halves(tiles, n);
}

/// A score as it is pooled. `value` measures its group; `exact` is what is weighed: the same, but
/// where the position bias is added when pooling. There it is the sum that no float holds.
struct Score {
  float value;
  double exact;
};

PLEAT_HD Score plain_score(float score) {
  return {score, static_cast<double>(score)};
}
PLEAT_HD Score late_sum(float score, float ape) {
  return {score + ape, static_cast<double>(score) + static_cast<double>(ape)};
}

/// Rows whose sums are carried on from group to group. Spans are what a window may be divided by.
inline constexpr int kSpanRows = 16;

/// n where there are no rows yet: below that of any.
inline constexpr std::int32_t kNoRows = -4'000'000;

/// Rows of one channel, folded. Weights are e^score / 2^n.
struct Folded {
  double weight = 0.0;  ///< sum of the weights
  double value = 0.0;   ///< sum of weight * kv
  std::int32_t n = kNoRows;
};

/// Adds one row; one that is absent (negative position) is not added.
PLEAT_HD void add_row(Folded& g, double weight, float kv) {
  g.weight = g.weight + weight;
  g.value = fused(weight, static_cast<double>(kv), g.value);
}

/// Brings what has scale n to the larger scale \p top: exact, but for what is 2^-512 below and
/// farther, which counts as that far below.
PLEAT_HD double scale_factor(std::int32_t n, std::int32_t top) {
  const std::int32_t k = n - top;
  return pow2_of(k > -512 ? k : -512);
}

/// Two of them, at the larger's scale.
PLEAT_HD Folded joined(const Folded& a, const Folded& b) {
  const std::int32_t n = a.n > b.n ? a.n : b.n;
  const double fa = scale_factor(a.n, n);
  const double fb = scale_factor(b.n, n);
  return {fa * a.weight + fb * b.weight, fa * a.value + fb * b.value, n};
}

/// ((s0 + s1) + (s2 + s3)) + ...: neighbours first. count is a power of two; s is used up.
PLEAT_HD Folded join_neighbours(Folded* s, int count) {
  for (int width = 1; width < count; width *= 2) {
    for (int i = 0; i < count; i += 2 * width)
      s[i] = joined(s[i], s[i + width]);
  }
  return s[0];
}

/// To float, rounded to odd: toward zero, the last bit then set where that lost anything. Rounded
/// again to fewer bits, it gives what \p x would.
PLEAT_HD float odd_float(double x) {
  const float cut = toward_zero(x);
  return static_cast<double>(cut) == x ? cut : float_of(bits_of(cut) | 1U);
}

/// The pooled channel, value / weight within 2^-46 of itself, rounded, or (\p odd) rounded to odd.
PLEAT_HD float pooled_of(const Folded& f, bool odd) {
  const double inverse = static_cast<double>(reciprocal(static_cast<float>(f.weight)));
  const double first = f.value * inverse;
  const double left = fused(-first, f.weight, f.value);
  const double pooled = fused(left, inverse, first);
  return odd ? odd_float(pooled) : static_cast<float>(pooled);
}

/// Mean square of a row and eps, in double: what is rotated needs it to more than float's digits.
PLEAT_HD double mean_square(double squares, int head_dim, float eps) {
  return squares * (1.0 / static_cast<double>(head_dim)) + static_cast<double>(eps);
}

/// 1 / sqrt(mean): the mean rounded to float, then a rounded root and quotient. Beyond what they
/// take, small means are scaled, which is exact, and the scale of one that overflows a float is 0.
PLEAT_HD float rms_scale(double mean) {
  const float m = static_cast<float>(mean);
  const bool tiny = m < 0x1p-60F;
  const float y = reciprocal(root(tiny ? m * 0x1p120F : m));
  return m > 0x1.fffffep127F ? 0.0F : tiny ? y * 0x1p60F : y;
}

/// The same to some 45 bits: one step of Newton's. 0 stays 0, where the mean is beyond float.
PLEAT_HD double exact_scale(double mean, float scale) {
  if (scale == 0.0F) return 0.0;
  const double s = static_cast<double>(scale);
  return fused(0.5 * s, fused(-(mean * s), s, 1.0), s);
}

/// A channel of the rotated part, normalised. \p scale: exact_scale.
PLEAT_HD double normed(float pooled, double scale, float weight) {
  return (static_cast<double>(pooled) * scale) * static_cast<double>(weight);
}

PLEAT_HD double rope_even(double even, double odd, float cos, float sin) {
  return fused(even, static_cast<double>(cos), -(odd * static_cast<double>(sin)));
}

PLEAT_HD double rope_odd(double even, double odd, float cos, float sin) {
  return fused(even, static_cast<double>(sin), odd * static_cast<double>(cos));
}

}  // namespace pleat::numerics
