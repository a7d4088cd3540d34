// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "numerics/portable.hpp"
#include "numerics/rounding.hpp"

#if defined(__CUDACC__)
#define PLEAT_GENERATOR_INLINE PLEAT_HD
#else
#define PLEAT_GENERATOR_INLINE inline __attribute__((always_inline))
#endif

/// A counter-based generator of projections: the value of a channel is a pure function of (seed,
/// layer, request, position, attempt, channel), so that any row can be made again alone, on any
/// machine, in any order. All arithmetic is on integers up to one exact conversion to float:
/// scalar, SIMD and CUDA give the same bits.
namespace pleat::tools {

/// Which token of which layer. `attempt` is 0 for the token that the request keeps; a draft that
/// will be rejected has another one, as it is another token.
struct TokenId {
  std::int64_t request = 0;
  std::int64_t position = 0;
  std::int64_t attempt = 0;
};

/// What is left of a token's identity once it is hashed; one per projection row.
struct RowKey {
  std::uint32_t start;
  std::uint32_t twist;
};

PLEAT_HD std::uint64_t mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// Joins a hash and a number; not symmetric.
PLEAT_HD std::uint64_t mix_in(std::uint64_t hash, std::uint64_t n) {
  return mix64(hash * 0x9E3779B97F4A7C15ULL + n + 0xD1B54A32D192ED03ULL);
}

/// The part of the key that a layer's rows share.
PLEAT_HD std::uint64_t layer_key(std::uint64_t seed, std::uint64_t layer) {
  return mix_in(mix64(seed ^ 0x6A09E667F3BCC909ULL), layer);
}

PLEAT_HD RowKey row_key(std::uint64_t of_layer, const TokenId& t) {
  std::uint64_t h = mix_in(of_layer, static_cast<std::uint64_t>(t.request));
  h = mix_in(h, static_cast<std::uint64_t>(t.position));
  h = mix_in(h, static_cast<std::uint64_t>(t.attempt));
  return {static_cast<std::uint32_t>(h), static_cast<std::uint32_t>(h >> 32)};
}

/// Turns a channel into a whole number in [-3070, 3070]: the sum of three uniform ones (11, 11 and
/// 10 bits, the last doubled), close to normal with sigma 1024. A template, by reference, so that
/// SIMD vectors of 32-bit lanes take the same words without an ABI of their own.
template <typename Lanes>
PLEAT_GENERATOR_INLINE void channel_to_bell(Lanes& x, RowKey key) {
  x = x * 0x9E3779B1U + key.start;
  x = (x ^ (x >> 16)) * 0x21F0AAADU + key.twist;
  x = (x ^ (x >> 15)) * 0xD35A2D97U;
  x = x ^ (x >> 15);
  x = (x & 0x7FFU) + ((x >> 11) & 0x7FFU) + ((x >> 21) & 0x7FEU) - 3070U;
}

/// Sigma 1, within +-2.998, a multiple of 1/1024.
PLEAT_HD float channel_value(RowKey key, std::uint32_t channel) {
  channel_to_bell(channel, key);
  return static_cast<float>(static_cast<std::int32_t>(channel)) * 0x1p-10F;
}

PLEAT_HD std::uint16_t channel_value_bf16(RowKey key, std::uint32_t channel) {
  return numerics::bf16_bits(channel_value(key, channel));
}

/// Which code fills rows on this machine: "avx512", "avx2" or "portable".
const char* generator_target();

/// channel_value of channels 0..width-1. width is a multiple of 16; out needs no alignment.
void generate_row(RowKey key, std::int64_t width, float* out);
void generate_row(RowKey key, std::int64_t width, std::uint16_t* out_bf16);

}  // namespace pleat::tools
