// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/tile.cuh"
#include "numerics/exp2.hpp"
#include "numerics/order.hpp"

namespace pleat::cuda {

using numerics::Folded;

/// Weight of a score in its group: the exact one every backend has, or the hardware's
/// approximation.
template <bool Fast, bool HasLow>
__device__ __forceinline__ numerics::Weight weight_in_group(float score, float low,
                                                            const numerics::GroupScale& g) {
  if constexpr (Fast) {
    float e;
    const float exponent =
        numerics::fused(score, numerics::kLog2E, g.magic - numerics::kRoundMagic);
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(exponent));
    return {e, 0.0F, e};
  } else {
    return numerics::weight_of_score<HasLow>(score, low, g);
  }
}

/// Adds one row of one channel. The approximate weight has no rest to add.
template <bool Fast>
__device__ __forceinline__ void add_row(Folded& f, const numerics::Weight& w, float kv) {
  if constexpr (Fast) {
    const float value = __fmaf_rn(w.sum, kv, f.value);
    f.value_rest = f.value_rest + __fmaf_rn(w.sum, kv, -(value - f.value));
    f.value = value;
    f.weight = f.weight + w.sum;
  } else {
    numerics::add_row(f, w, kv);
  }
}

/// Rows whose weights a lane computes side by side.
inline constexpr int kRowsAtOnce = 4;

/// Folds rows first..7 of a settled tile, in the order of numerics::add_row; two channels a lane.
/// Late: the position bias is added now (recipe sglang).
template <bool Fast, bool Late>
__device__ __forceinline__ void fold_rows(const TileRows& rows, int first, Folded (&out)[2]) {
  float max[2] = {-INFINITY, -INFINITY};
  float size[2] = {0.0F, 0.0F};
#pragma unroll 1
  for (int start = first; start < kGroupRows; start += kRowsAtOnce) {
#pragma unroll
    for (int k = 0; k < kRowsAtOnce; ++k) {
      Two z = rows.score(start + k);
      const Two x = rows.value(start + k);
      if (Late) z = sum(z, rows.bias(start + k));
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        max[c] = numerics::larger(z.v[c], max[c]);
        size[c] = numerics::larger(fabsf(x.v[c]), size[c]);
      }
    }
  }
  const bool clamped[2] = {numerics::beyond_limit(max[0]), numerics::beyond_limit(max[1])};
  const bool clamps = clamped[0] || clamped[1];  // scores that no model has
  numerics::GroupScale scale[2];
  float anchor[2];
#pragma unroll
  for (int c = 0; c < 2; ++c) {
    if (clamps && clamped[c]) max[c] = numerics::clamp_score(max[c]);
    scale[c] = numerics::scale_of_group(max[c]);
    anchor[c] = numerics::anchor_of(size[c]);
    out[c] = numerics::empty_group(scale[c], anchor[c]);
  }
#pragma unroll 1
  for (int start = first; start < kGroupRows; start += kRowsAtOnce) {
#pragma unroll
    for (int k = 0; k < kRowsAtOnce; ++k) {
      const Two z = rows.score(start + k);
      const Two x = rows.value(start + k);
      Two bias{};
      if (Late) bias = rows.bias(start + k);
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        numerics::Score s{z.v[c], 0.0F};
        if (Late) s = numerics::late_sum(s.value, bias.v[c]);
        if (clamps && clamped[c]) s = {numerics::clamp_score(s.value), 0.0F};
        add_row<Fast>(out[c], weight_in_group<Fast, Late>(s.value, s.low, scale[c]), x.v[c]);
      }
    }
  }
#pragma unroll
  for (int c = 0; c < 2; ++c)
    numerics::close_group(out[c], anchor[c]);
}

template <bool Fast>
__device__ __forceinline__ void fold_rows(const TileRows& rows, int first, bool late,
                                          Folded (&out)[2]) {
  if (late) {
    fold_rows<Fast, true>(rows, first, out);
  } else {
    fold_rows<Fast, false>(rows, first, out);
  }
}

}  // namespace pleat::cuda
