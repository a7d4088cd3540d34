// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/row_blocks.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "numerics/codes.hpp"
#include "numerics/rounding.hpp"

namespace pleat::tools {
namespace {

/// The bit that is the sign; the bits below it are the magnitude.
std::uint32_t sign_bit(Code c) {
  switch (c) {
    case Code::e4m3:
      return 0x80;
    case Code::bf16:
      return 0x8000;
    case Code::e2m1:
      return 0x8;
  }
  return 0;
}

std::int64_t place_in_order(Code c, std::uint32_t code) {
  const std::uint32_t sign = sign_bit(c);
  const auto magnitude = static_cast<std::int64_t>(code & (sign - 1));
  return (code & sign) != 0 ? -magnitude : magnitude;
}

}  // namespace

std::vector<Block> blocks_of(const Compressor& c) {
  const std::int32_t dim = c.geometry.head_dim;
  const std::int32_t nope = dim - c.geometry.rope_dim;
  std::vector<Block> blocks;
  switch (c.row_format) {
    case RowFormat::fp8_mla:
      for (std::int32_t at = 0; at < nope; at += kFp8Block) {
        blocks.push_back({at, kFp8Block, Code::e4m3, at, ScaleCode::ue8m0, at / kFp8Block});
      }
      blocks.push_back({nope, c.geometry.rope_dim, Code::bf16, nope, ScaleCode::none, 0});
      break;
    case RowFormat::bf16:
      blocks.push_back({0, dim, Code::bf16, 0, ScaleCode::none, 0});
      break;
    case RowFormat::fp8_tensor:
      blocks.push_back({0, dim, Code::e4m3, 0, ScaleCode::none, 0});
      break;
    case RowFormat::index_fp8:
      blocks.push_back({0, dim, Code::e4m3, 0, ScaleCode::f32, 0});
      break;
    case RowFormat::index_mxfp4:
      for (std::int32_t at = 0; at < dim; at += kFp4Block) {
        blocks.push_back({at, kFp4Block, Code::e2m1, at / 2, ScaleCode::ue8m0, at / kFp4Block});
      }
      break;
  }
  return blocks;
}

RowBytes row_bytes(const TensorView& cache, const RowLayout& layout, std::int64_t page,
                   std::int64_t row) {
  const auto* base = static_cast<const std::uint8_t*>(cache.data) + page * cache.stride[0];
  return {base + layout.value_offset(row), base + layout.scale_offset(cache.shape[1], row)};
}

const char* name(Code c) {
  switch (c) {
    case Code::e4m3:
      return "e4m3";
    case Code::bf16:
      return "bf16";
    case Code::e2m1:
      return "e2m1";
  }
  return "";
}

std::uint32_t code_at(const Block& b, const std::uint8_t* values, std::int32_t i) {
  const std::uint8_t* at = values + b.value_offset;
  switch (b.code) {
    case Code::e4m3:
      return at[i];
    case Code::bf16: {
      std::uint16_t bits = 0;
      std::memcpy(&bits, at + 2 * static_cast<std::ptrdiff_t>(i), sizeof bits);
      return bits;
    }
    case Code::e2m1:
      return i % 2 == 0 ? at[i / 2] & 15U : at[i / 2] >> 4U;
  }
  return 0;
}

float value_of(Code c, std::uint32_t code) {
  switch (c) {
    case Code::e4m3:
      return numerics::e4m3_value(static_cast<std::uint8_t>(code));
    case Code::bf16:
      return numerics::bf16_value(static_cast<std::uint16_t>(code));
    case Code::e2m1:
      return numerics::e2m1_value(static_cast<std::uint8_t>(code));
  }
  return 0;
}

float scale_of(const Block& b, const std::uint8_t* scales) {
  const std::uint8_t* at = scales + b.scale_offset;
  if (b.scale == ScaleCode::ue8m0) {
    return *at == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0F, *at - 127);
  }
  float scale = 1;
  if (b.scale == ScaleCode::f32) std::memcpy(&scale, at, sizeof scale);
  return scale;
}

std::int32_t scale_bytes(ScaleCode s) {
  switch (s) {
    case ScaleCode::none:
      return 0;
    case ScaleCode::ue8m0:
      return 1;
    case ScaleCode::f32:
      return 4;
  }
  return 0;
}

std::int64_t quanta_between(Code c, std::uint32_t a, std::uint32_t b) {
  return std::abs(place_in_order(c, a) - place_in_order(c, b));
}

}  // namespace pleat::tools
