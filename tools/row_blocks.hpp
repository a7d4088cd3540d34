// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <pleat/pleat.hpp>
#include <vector>

namespace pleat::tools {

enum class Code : std::uint8_t { e4m3, bf16, e2m1 };
enum class ScaleCode : std::uint8_t { none, ue8m0, f32 };

/// A run of a row's channels with one kind of code and one scale.
struct Block {
  std::int32_t first_channel;
  std::int32_t channels;
  Code code;
  std::int32_t value_offset;  ///< bytes from the row's values
  ScaleCode scale;
  std::int32_t scale_offset;  ///< bytes from the row's scales
};

/// A row format as data: every channel is in exactly one block, in order.
std::vector<Block> blocks_of(const Compressor& c);

/// Where the two parts of a cache row lie.
struct RowBytes {
  const std::uint8_t* values;
  const std::uint8_t* scales;
};
/// `cache` is u8 [pages, page_rows, row_bytes] with pages stride[0] apart; page and row are inside.
RowBytes row_bytes(const TensorView& cache, const RowLayout& layout, std::int64_t page,
                   std::int64_t row);

const char* name(Code c);
/// The bits of channel first_channel + i: 8, 16 or 4 of them.
std::uint32_t code_at(const Block& b, const std::uint8_t* values, std::int32_t i);
/// What a code stands for, before the scale.
float value_of(Code c, std::uint32_t code);
/// 1 where the block has none; NaN for the UE8M0 byte 255.
float scale_of(const Block& b, const std::uint8_t* scales);
std::int32_t scale_bytes(ScaleCode s);

/// Steps from one code to the other through the format's values in order; both zeros are one value.
std::int64_t quanta_between(Code c, std::uint32_t a, std::uint32_t b);

}  // namespace pleat::tools
