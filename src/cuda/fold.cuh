// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/device.cuh"
#include "numerics/exp2.hpp"
#include "numerics/order.hpp"
#include "numerics/rounding.hpp"

namespace pleat::cuda {

using numerics::Folded;

/// Four neighbouring channels: what one thread loads at once.
struct Quad {
  float v[4];
};

/// Weight of a score in its group: the exact one every backend has, or the hardware's
/// approximation.
template <bool Fast, bool HasLow>
__device__ __forceinline__ float weight_in_group(float score, float low,
                                                 const numerics::GroupScale& g) {
  if constexpr (Fast) {
    float e;
    const float exponent =
        numerics::fused(score, numerics::kLog2E, g.magic - numerics::kRoundMagic);
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(exponent));
    return e;
  } else {
    return numerics::weight_of_score<HasLow>(score, low, g);
  }
}

/// Four channels as they lie in memory: 16 bytes of fp32, or 8 of bf16 in x and y.
template <class T>
struct Loader;

template <>
struct Loader<float> {
  static constexpr int bytes = 4;
  static __device__ __forceinline__ uint4 load(const void* base, std::int64_t element) {
    return load_stream16(static_cast<const float*>(base) + element);
  }
  static __device__ __forceinline__ Quad decode(const uint4& raw) {
    return {{__uint_as_float(raw.x), __uint_as_float(raw.y), __uint_as_float(raw.z),
             __uint_as_float(raw.w)}};
  }
  static __device__ __forceinline__ float kept(float x) { return x; }
};

struct Bf16 {
  std::uint16_t bits;
};

template <>
struct Loader<Bf16> {
  static constexpr int bytes = 2;
  static __device__ __forceinline__ uint4 load(const void* base, std::int64_t element) {
    const uint2 v = load_stream8(static_cast<const Bf16*>(base) + element);
    return {v.x, v.y, 0, 0};
  }
  static __device__ __forceinline__ Quad decode(const uint4& raw) {
    return {{__uint_as_float(raw.x << 16), __uint_as_float(raw.x & 0xFFFF0000U),
             __uint_as_float(raw.y << 16), __uint_as_float(raw.y & 0xFFFF0000U)}};
  }
  static __device__ __forceinline__ float kept(float x) { return numerics::to_bf16(x); }
};

/// Folds rows First..N-1 of a group, in the order of numerics::add_row; channel after channel, as
/// four at once have more to keep than there are registers.
/// Late: \p ape_of(r, c) gives the position bias, added now; else it is in the scores.
template <int First, int N, bool Fast, bool Late, class Ape>
__device__ __forceinline__ void fold_rows(Quad (&score)[N], const Quad (&kv)[N], Ape ape_of,
                                          Folded (&out)[4]) {
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    float max = 0;
#pragma unroll
    for (int r = First; r < N; ++r) {
      const float z = Late ? score[r].v[c] + ape_of(r, c) : score[r].v[c];
      max = r == First ? z : numerics::larger(max, z);
    }
    const bool clamp = numerics::beyond_limit(max);
    if (clamp) {  // scores that no model has
      max = numerics::clamp_score(max);
#pragma unroll
      for (int r = First; r < N; ++r) {
        score[r].v[c] = numerics::clamp_score(Late ? score[r].v[c] + ape_of(r, c) : score[r].v[c]);
      }
    }
    const numerics::GroupScale scale = numerics::scale_of_group(max);
    Folded f{scale.magic, 0.0F, 0.0};
#pragma unroll
    for (int r = First; r < N; ++r) {
      numerics::Score s{score[r].v[c], 0.0F};
      if (Late && !clamp) s = numerics::late_sum(s.value, ape_of(r, c));
      const float e = weight_in_group<Fast, Late>(s.value, s.low, scale);
      f.weight = f.weight + e;
      f.value = __fma_rn(static_cast<double>(e), static_cast<double>(kv[r].v[c]), f.value);
    }
    out[c] = f;
  }
}

}  // namespace pleat::cuda
