// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/geometry.hpp>

#include "numerics/exp2.hpp"

namespace pleat::numerics {

/// ((x0 + x1) + (x2 + x3)) + ...: neighbours first. n is a power of two; x is used up.
template <class T>
PLEAT_HD T sum_neighbours(T* x, int n) {
  for (int width = 1; width < n; width *= 2) {
    for (int i = 0; i < n; i += 2 * width)
      x[i] = x[i] + x[i + width];
  }
  return x[0];
}

/// x[i] + x[i + n/2] first, then quarters, and so on. n is a power of two; x is used up.
PLEAT_HD float sum_halves(float* x, int n) {
  for (int half = n / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i)
      x[i] = x[i] + x[i + half];
  }
  return x[0];
}

/// Sum of squares of a row: each tile of 64 channels by halves, then the tiles' sums by halves.
PLEAT_HD float sum_of_squares(const float* row, int head_dim) {
  float tiles[4096 / kTileChannels];
  const int n = head_dim / kTileChannels;
  for (int t = 0; t < n; ++t) {
    float q[kTileChannels];
    for (int i = 0; i < kTileChannels; ++i) {
      q[i] = row[t * kTileChannels + i] * row[t * kTileChannels + i];
    }
    tiles[t] = sum_halves(q, kTileChannels);
  }
  return sum_halves(tiles, n);
}

/// A score, and what rounding took from it: where the position bias is added when pooling, the
/// exact sum is value + low.
struct Score {
  float value;
  float low;
};

PLEAT_HD Score late_sum(float score, float ape) {
  const float sum = score + ape;
  const float part = sum - score;
  return {sum, (score - (sum - part)) + (ape - part)};
}

/// Two floats that stand for their sum.
struct Pair {
  float high;
  float low;
};

/// a + b: the rounded sum, and exactly what rounding took (Knuth).
PLEAT_HD Pair two_sum(float a, float b) {
  const float sum = a + b;
  const float part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

/// The same where |a| >= |b| (Dekker).
PLEAT_HD Pair fast_two_sum(float a, float b) {
  const float sum = a + b;
  return {sum, b - (sum - a)};
}

/// A double to twice the digits of a float.
PLEAT_HD Pair pair_of(double x) {
  const float high = static_cast<float>(x);
  return {high, static_cast<float>(x - static_cast<double>(high))};
}

/// One group of rows of one channel, folded. Softmax averages cancel, and what is left must still
/// be right: so `value` is kept on a grid that no sum of the group can leave, on which adding is
/// exact, and `value_rest` has what the grid does not hold.
struct Folded {
  float magic;        ///< of the group's scale
  float weight;       ///< sum of the weights' whole parts
  float weight_rest;  ///< and of their rests
  float value;        ///< sum of weight * kv; while rows are added, plus the anchor
  float value_rest;
};

/// 1.5 * 2^k, so much larger than any sum of 8 rows whose largest |kv| this is that every partial
/// sum has the anchor's exponent: 8 * 1.44 * |kv| < 2^(k - 1). For |kv| below 2^121.
PLEAT_HD float anchor_of(float largest_kv) {
  return float_of(((bits_of(largest_kv) & 0x7F800000U) + (6U << 23)) | 0x00400000U);
}

PLEAT_HD Folded empty_group(const GroupScale& scale, float anchor) {
  return {scale.magic, 0.0F, 0.0F, anchor, 0.0F};
}

/// Adds one row; one that is absent (negative position) is not added.
PLEAT_HD void add_row(Folded& g, const Weight& w, float kv) {
  const float value = fused(w.sum, kv, g.value);
  const float moved = value - g.value;  // exact: both are on the anchor's grid
  const float rest = fused(w.rest, kv, fused(w.whole, kv, -moved));
  g.value_rest = g.value_rest + rest;
  g.value = value;
  g.weight = g.weight + w.whole;
  g.weight_rest = g.weight_rest + w.rest;
}

/// After the last row: takes the anchor out again, which is exact.
PLEAT_HD void close_group(Folded& g, float anchor) {
  g.value = g.value - anchor;
}

/// Brings a group to the scale of the window's largest, whose magic is \p top: exact, but for
/// groups 2^-126 below and farther, which count as that far below.
PLEAT_HD float group_factor(float magic, float top) {
  return pow2_of_whole(larger(top - magic, -126.0F));
}

/// A group of a window of several, at the window's scale.
struct Joined {
  double weight;
  double value;
};

PLEAT_HD Joined at_scale_of(const Folded& g, float top) {
  const float f = group_factor(g.magic, top);
  return {static_cast<double>(f * (g.weight + g.weight_rest)),
          static_cast<double>(f * g.value) + static_cast<double>(f * g.value_rest)};
}

/// \p high, or the neighbour on the side of \p low, whichever is odd: rounded again to fewer bits,
/// it gives what their exact sum would.
PLEAT_HD float to_odd(float high, float low) {
  const std::uint32_t u = bits_of(high);
  if (low == 0.0F || (u & 1U) != 0) return high;
  return float_of((u ^ bits_of(low)) >> 31 != 0 ? u - 1U : u + 1U);
}

/// The pooled channel, rounded once, or (\p odd) to odd.
PLEAT_HD float pooled_of(Pair value, Pair weight, bool odd) {
  const Pair v = two_sum(value.high, value.low);
  const Pair w = fast_two_sum(weight.high, weight.low);
  const float inverse = reciprocal(w.high);
  const float first = v.high * inverse;
  float left = fused(-first, w.high, v.high);  // exact
  left = left + v.low;
  left = fused(-first, w.low, left);
  const float rest = left * inverse;
  if (!odd) return first + rest;
  const Pair pooled = two_sum(first, rest);
  return to_odd(pooled.high, pooled.low);
}

/// Mean square of a row and eps, in double: what is rotated needs it to more than float's digits.
PLEAT_HD double mean_square(float squares, int head_dim, float eps) {
  return static_cast<double>(squares) * (1.0 / static_cast<double>(head_dim)) +
         static_cast<double>(eps);
}

/// 1 / sqrt(mean): the mean rounded to float, then a rounded root and quotient.
PLEAT_HD float rms_scale(double mean) {
  return reciprocal(root(static_cast<float>(mean)));
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

/// To float, by to_odd.
PLEAT_HD float odd_float(double x) {
  const float high = static_cast<float>(x);
  return to_odd(high, static_cast<float>(x - static_cast<double>(high)));
}

PLEAT_HD double rope_even(double even, double odd, float cos, float sin) {
  return fused(even, static_cast<double>(cos), -(odd * static_cast<double>(sin)));
}

PLEAT_HD double rope_odd(double even, double odd, float cos, float sin) {
  return fused(even, static_cast<double>(sin), odd * static_cast<double>(cos));
}

}  // namespace pleat::numerics
