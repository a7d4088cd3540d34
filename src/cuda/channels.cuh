// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/rounding.hpp"

namespace pleat::cuda {

/// Two neighbouring channels: what a lane has of a tile of 64.
struct Two {
  float v[2];
};

struct Bf16 {
  std::uint16_t bits;
};

/// Two bf16 in a word, the first channel lower.
__device__ __forceinline__ Two widened(std::uint32_t word) {
  return {{__uint_as_float(word << 16), __uint_as_float(word & 0xFFFF0000U)}};
}
__device__ __forceinline__ std::uint32_t bf16_word(const Two& x) {
  return static_cast<std::uint32_t>(numerics::bf16_bits(x.v[0])) |
         static_cast<std::uint32_t>(numerics::bf16_bits(x.v[1])) << 16;
}
__device__ __forceinline__ Two rounded(const Two& x) {
  return {{numerics::to_bf16(x.v[0]), numerics::to_bf16(x.v[1])}};
}

/// What a state of type S keeps of two channels.
template <class S>
__device__ __forceinline__ Two kept(const Two& x) {
  if constexpr (sizeof(S) == 2) return rounded(x);
  return x;
}

template <class S>
__device__ __forceinline__ void store_two(void* to, std::int64_t element, const Two& x) {
  if constexpr (sizeof(S) == 4) {
    *reinterpret_cast<float2*>(static_cast<float*>(to) + element) = {x.v[0], x.v[1]};
  } else {
    *reinterpret_cast<std::uint32_t*>(static_cast<Bf16*>(to) + element) = bf16_word(x);
  }
}

template <class T>
__device__ __forceinline__ Two load_two(const void* from, std::int64_t element) {
  if constexpr (sizeof(T) == 4) {
    const float2 x = *reinterpret_cast<const float2*>(static_cast<const float*>(from) + element);
    return {{x.x, x.y}};
  } else {
    return widened(
        *reinterpret_cast<const std::uint32_t*>(static_cast<const Bf16*>(from) + element));
  }
}

}  // namespace pleat::cuda
