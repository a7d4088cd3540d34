// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>

#include "tools/generator.hpp"

/// 64-bit digests of cache rows that can be summed in any order (mod 2^64), by one thread or by a
/// warp: every 32-bit word of a row is hashed with its place, the row's sum with what row it is.
namespace pleat::tools {

/// One word of a row; `place` counts 32-bit words, values first, then scales.
PLEAT_HD std::uint64_t word_digest(std::uint32_t word, std::uint32_t place) {
  return mix64((static_cast<std::uint64_t>(place + 1) << 32 | word) * 0x9E3779B97F4A7C15ULL);
}

/// From the sum of its words' digests and its identity: which layer, request, row.
PLEAT_HD std::uint64_t row_digest(std::uint64_t words, std::uint64_t layer, std::int64_t request,
                                  std::int64_t row) {
  std::uint64_t h = mix_in(words, layer);
  h = mix_in(h, static_cast<std::uint64_t>(request));
  return mix_in(h, static_cast<std::uint64_t>(row));
}

/// A whole row on the host. Both sizes are multiples of 4, as in every row format.
inline std::uint64_t digest_of_row(const std::uint8_t* values, std::int32_t value_bytes,
                                   const std::uint8_t* scales, std::int32_t scale_bytes,
                                   std::uint64_t layer, std::int64_t request, std::int64_t row) {
  std::uint64_t words = 0;
  std::uint32_t place = 0;
  const auto add = [&](const std::uint8_t* bytes, std::int32_t count) {
    for (std::int32_t i = 0; i < count; i += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, bytes + i, 4);
      words += word_digest(word, place++);
    }
  };
  add(values, value_bytes);
  add(scales, scale_bytes);
  return row_digest(words, layer, request, row);
}

}  // namespace pleat::tools
