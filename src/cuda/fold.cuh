// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/fast_exp.cuh"
#include "cuda/tile.cuh"
#include "numerics/exp2.hpp"
#include "numerics/order.hpp"

namespace pleat::cuda {

using numerics::Folded;

/// Weights and weighted values of two channels of a lane, summed; and the scales they are measured
/// by. Where scores are plain, which they are in any model, those are 0.
struct Sums {
  double weight[2];
  double value[2];
};
struct Scales {
  std::int32_t n[2];
};

/// The pooled channels of a window's sums.
__device__ __forceinline__ Two pooled_two(const FoldParams& p, const Sums& s) {
  Two x;
#pragma unroll
  for (int c = 0; c < 2; ++c)
    x.v[c] = numerics::pooled_of({s.weight[c], s.value[c], 0}, p.recipe.pooled_bf16);
  return x;
}

/// Rows whose weights are computed side by side.
inline constexpr int kAtOnce = 2;

/// A row's scores with what is added to them before pooling.
template <Bias When>
__device__ __forceinline__ Two score_of(const TileRows& rows, int r, const Two& bias) {
  const Two s = rows.score(r);
  if (When != Bias::early) return s;
  return {{s.v[0] + bias.v[0], s.v[1] + bias.v[1]}};
}
template <Bias When>
__device__ __forceinline__ Two bias_of_row(const TileRows& rows, int r) {
  if (When == Bias::none) return {};
  return rows.bias(r);
}
template <Bias When>
__device__ __forceinline__ numerics::Score channel_score(float score, float bias) {
  return When == Bias::late ? numerics::late_sum(score, bias) : numerics::plain_score(score);
}

/// A register array has no index at run time.
__device__ __forceinline__ float channel_of(const Two& x, int c) {
  return c == 0 ? x.v[0] : x.v[1];
}

/// Adds a group that is not of its span's scale, or has scores beyond kPlainScore, as
/// src/reference/fold.cpp does. Loops stay loops: no model comes here, and what it needs of
/// registers and code must not be taken from the others.
template <int First, bool Fast, Bias When>
__device__ __forceinline__ void fold_apart(const numerics::ExpTable& table, const TileRows& rows,
                                           bool empty, Sums& span, Scales& scales) {
#pragma unroll 1
  for (int c = 0; c < 2; ++c) {
    bool beyond = false;
    float max = -numerics::kScoreLimit;
#pragma unroll 1
    for (int r = First; r < kGroupRows; ++r) {
      const Two bias = bias_of_row<When>(rows, r);
      const float score = channel_of(score_of<When>(rows, r, bias), c);
      const float z = channel_score<When>(score, channel_of(bias, c)).value;
      beyond = beyond || numerics::beyond_plain(fabsf(z));
      max = numerics::larger(z, max);
    }
    numerics::GroupScale scale{};
    if (beyond) scale = numerics::scale_of_group(max);
    const std::int32_t n = numerics::exponent_of(scale);
    const Folded before{c == 0 ? span.weight[0] : span.weight[1],
                        c == 0 ? span.value[0] : span.value[1],
                        empty    ? n
                        : c == 0 ? scales.n[0]
                                 : scales.n[1]};
    Folded sums = before;
    if (before.n != n) sums = {0.0, 0.0, n};
#pragma unroll 1
    for (int r = First; r < kGroupRows; ++r) {
      const Two bias = bias_of_row<When>(rows, r);
      const float score = channel_of(score_of<When>(rows, r, bias), c);
      double w[1] = {channel_score<When>(score, channel_of(bias, c)).exact};
      if (beyond) w[0] = numerics::within_reach(w[0], scale);
      if constexpr (Fast) {
        w[0] = fast_weight(w[0], n);
      } else {
        numerics::weights_of_scores<1>(w, scale.magic, table);
      }
      numerics::add_row(sums, w[0], channel_of(rows.value(r), c));
    }
    if (before.n != n) sums = numerics::joined(before, sums);
    if (c == 0) {
      span.weight[0] = sums.weight;
      span.value[0] = sums.value;
      scales.n[0] = sums.n;
    } else {
      span.weight[1] = sums.weight;
      span.value[1] = sums.value;
      scales.n[1] = sums.n;
    }
  }
}

/// Adds rows First..7 of a settled tile to a span. \p empty: the span has no rows yet, its sums are
/// 0 and its scales nothing. Whether all scores are plain is known with the last row: what was
/// summed as if they were is thrown away where they are not.
template <int First, bool Fast, Bias When>
__device__ __forceinline__ void fold_rows(const numerics::ExpTable& table, const TileRows& rows,
                                          bool empty, Sums& span, Scales& scales) {
  Sums sums = span;
  float sizes[2] = {0.0F, 0.0F};
#pragma unroll
  for (int first = First; first < kGroupRows; first += kAtOnce) {
    double weight[2 * kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const Two bias = bias_of_row<When>(rows, first + i);
      const Two s = score_of<When>(rows, first + i, bias);
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const numerics::Score z = channel_score<When>(s.v[c], bias.v[c]);
        sizes[c] = larger_or_nan(sizes[c], fabsf(z.value));
        if constexpr (!Fast) {
          weight[2 * i + c] = z.exact;
        } else if constexpr (When == Bias::late) {
          weight[2 * i + c] = fast_weight(z.exact, 0);
        } else {
          weight[2 * i + c] = fast_weight(z.value, 0.0F, 0);
        }
      }
    }
    if constexpr (!Fast) {
      numerics::weights_of_scores<2 * kAtOnce>(weight, numerics::kRoundMagic, table);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const Two x = rows.value(first + i);
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        sums.weight[c] = sums.weight[c] + weight[2 * i + c];
        sums.value[c] =
            numerics::fused(weight[2 * i + c], static_cast<double>(x.v[c]), sums.value[c]);
      }
    }
  }
  const bool scaled = !empty && (scales.n[0] | scales.n[1]) != 0;
  if (scaled || !(larger_or_nan(sizes[0], sizes[1]) <= numerics::kPlainScore)) [[unlikely]] {
    fold_apart<First, Fast, When>(table, rows, empty, span, scales);
    return;
  }
  span = sums;
  if (empty) scales = {};
}

template <int First, bool Fast>
__device__ __forceinline__ void fold_rows(const numerics::ExpTable& table, const TileRows& rows,
                                          Bias when, bool empty, Sums& span, Scales& scales) {
  if (when == Bias::none) {
    fold_rows<First, Fast, Bias::none>(table, rows, empty, span, scales);
  } else if (when == Bias::early) {
    fold_rows<First, Fast, Bias::early>(table, rows, empty, span, scales);
  } else [[unlikely]] {
    fold_rows<First, Fast, Bias::late>(table, rows, empty, span, scales);
  }
}

}  // namespace pleat::cuda
