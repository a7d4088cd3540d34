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

/// Folds rows First..7 of a settled tile, in the order of numerics::add_row; two channels a lane.
template <int First, bool Fast, Bias When>
__device__ __forceinline__ void fold_rows(const TileRows& rows, Folded (&out)[2]) {
  constexpr bool late = When == Bias::late;
  float score[kGroupRows][2];
  float max[2];
  float size[2] = {0.0F, 0.0F};
#pragma unroll
  for (int r = First; r < kGroupRows; ++r) {
    const Two s = rows.score(r);
    const Two x = rows.value(r);
    Two bias{};
    if (When != Bias::none) bias = rows.bias(r);
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      score[r][c] = When == Bias::early ? s.v[c] + bias.v[c] : s.v[c];
      const float z = late ? s.v[c] + bias.v[c] : score[r][c];
      max[c] = r == First ? z : numerics::larger(max[c], z);
      size[c] = numerics::larger(size[c], fabsf(x.v[c]));
    }
  }
  bool clamped[2] = {false, false};
  if (numerics::beyond_limit(max[0]) || numerics::beyond_limit(max[1])) {  // that no model has
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      clamped[c] = numerics::beyond_limit(max[c]);
      if (!clamped[c]) continue;
      max[c] = numerics::clamp_score(max[c]);
#pragma unroll
      for (int r = First; r < kGroupRows; ++r) {
        const float z = late ? score[r][c] + rows.bias(r).v[c] : score[r][c];
        score[r][c] = numerics::clamp_score(z);
      }
    }
  }
  numerics::GroupScale scale[2];
  float anchor[2];
#pragma unroll
  for (int c = 0; c < 2; ++c) {
    scale[c] = numerics::scale_of_group(max[c]);
    anchor[c] = numerics::anchor_of(size[c]);
    out[c] = numerics::empty_group(scale[c], anchor[c]);
  }
#pragma unroll
  for (int r = First; r < kGroupRows; ++r) {
    const Two x = rows.value(r);
    Two bias{};
    if (late) bias = rows.bias(r);
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      numerics::Score s{score[r][c], 0.0F};
      if (late && !clamped[c]) s = numerics::late_sum(s.value, bias.v[c]);
      add_row<Fast>(out[c], weight_in_group<Fast, late>(s.value, s.low, scale[c]), x.v[c]);
    }
  }
#pragma unroll
  for (int c = 0; c < 2; ++c)
    numerics::close_group(out[c], anchor[c]);
}

template <int First, bool Fast>
__device__ __forceinline__ void fold_rows(const TileRows& rows, Bias when, Folded (&out)[2]) {
  if (when == Bias::early) {
    fold_rows<First, Fast, Bias::early>(rows, out);
  } else if (when == Bias::late) {
    fold_rows<First, Fast, Bias::late>(rows, out);
  } else {
    fold_rows<First, Fast, Bias::none>(rows, out);
  }
}

}  // namespace pleat::cuda
