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

/// e^d for d <= 0: the exact one every backend has, or the hardware's approximation.
template <bool Fast>
__device__ __forceinline__ float weight_of(float d) {
  if constexpr (Fast) {
    float e;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(d * numerics::kLog2E));
    return e;
  } else {
    return numerics::exp_nonpositive(d);
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

/// Folds rows First..N-1 of a group, four channels at once, in the order of numerics::add_row.
template <int First, int N, bool Fast>
__device__ __forceinline__ void fold_rows(const Quad (&score)[N], const Quad (&kv)[N],
                                          Folded (&out)[4]) {
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    float max = score[First].v[c];
#pragma unroll
    for (int r = First + 1; r < N; ++r)
      max = numerics::larger(max, score[r].v[c]);
    out[c] = {max, 0.0F, 0.0F};
  }
#pragma unroll
  for (int r = First; r < N; ++r) {
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const float e = weight_of<Fast>(score[r].v[c] - out[c].max);
      out[c].weight = out[c].weight + e;
      out[c].value = numerics::fused(e, kv[r].v[c], out[c].value);
    }
  }
}

}  // namespace pleat::cuda
