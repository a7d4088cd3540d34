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

/// One group of rows of one channel, folded. Values are summed in double: softmax averages cancel,
/// and what is left must still be right. The product of two floats is exact there, so it does not
/// matter whether it is fused.
struct Folded {
  float magic;   ///< of the group's scale
  float weight;  ///< sum of the weights
  double value;  ///< sum of weight * kv
};

/// Adds one row. A group starts from {its magic, +0, +0}; a row that is absent (negative position)
/// is not added.
PLEAT_HD void add_row(Folded& g, float weight, float kv) {
  g.weight = g.weight + weight;
  g.value = g.value + static_cast<double>(weight) * static_cast<double>(kv);
}

/// Brings a group to the scale of the window's largest, whose magic is \p top: exact, but for
/// groups 2^-126 below and farther, which count as that far below.
PLEAT_HD float group_factor(float magic, float top) {
  return pow2_of_whole(larger(top - magic, -126.0F));
}

/// The pooled channel.
PLEAT_HD float pooled_of(double value, float weight) {
  return quotient(static_cast<float>(value), weight);
}

/// 1 / sqrt(mean square + eps): mean by an exact power of two, then a rounded sum, root, quotient.
PLEAT_HD float rms_scale(float squares, int head_dim, float eps) {
  const float mean = squares * (1.0F / static_cast<float>(head_dim));
  return quotient(1.0F, root(mean + eps));
}

PLEAT_HD float rope_even(float even, float odd, float cos, float sin) {
  return fused(even, cos, -(odd * sin));
}

PLEAT_HD float rope_odd(float even, float odd, float cos, float sin) {
  return fused(even, sin, odd * cos);
}

}  // namespace pleat::numerics
