// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/geometry.hpp>

#include <cstdint>

namespace pleat {

/// Bytes of one cache row. Values are part of the C ABI.
enum class RowFormat : std::int32_t {
  fp8_mla = 0,      ///< 448 E4M3, 64 bf16 (rotated) | 7 UE8M0 (one per 64 channels), one 0
  bf16 = 1,         ///< head_dim bf16
  fp8_tensor = 2,   ///< head_dim E4M3 of bf16(x) / fp8_scale[0]
  index_fp8 = 3,    ///< head_dim E4M3 | one fp32 scale
  index_mxfp4 = 4,  ///< head_dim E2M1, even channel in the low nibble | UE8M0, one per 32
};

inline constexpr std::int32_t kFp8Block = 64;  ///< channels under one UE8M0 of fp8_mla
inline constexpr std::int32_t kFp4Block = 32;  ///< channels under one UE8M0 of index_mxfp4

/// Bytes of a row. A page of K rows holds the values of all rows first, then all their scales:
/// row r has its values at r * value_bytes and its scales at K * value_bytes + r * scale_bytes.
struct RowLayout {
  std::int32_t value_bytes = 0;
  std::int32_t scale_bytes = 0;

  [[nodiscard]] constexpr std::int32_t row_bytes() const { return value_bytes + scale_bytes; }
  [[nodiscard]] constexpr std::int64_t page_bytes(std::int64_t rows) const {
    return rows * row_bytes();
  }
  [[nodiscard]] constexpr std::int64_t value_offset(std::int64_t row) const {
    return row * value_bytes;
  }
  [[nodiscard]] constexpr std::int64_t scale_offset(std::int64_t rows, std::int64_t row) const {
    return rows * value_bytes + row * scale_bytes;
  }
};

/// Whether a format can hold rows of this geometry. The index formats hold a head dim of 128, bf16
/// and fp8_tensor one from 256 up, fp8_mla one from 512 up of which 64 are rotated; none holds 64.
constexpr bool row_format_fits(RowFormat f, const Geometry& g) {
  const std::int32_t nope = g.head_dim - g.rope_dim;
  switch (f) {
    case RowFormat::fp8_mla:  // exactly one scale slot is left over, and it is 0
      return nope > 0 && nope % kFp8Block == 0 && (nope / kFp8Block + 1) % 8 == 0;
    case RowFormat::bf16:
    case RowFormat::fp8_tensor:
      return g.head_dim >= 256;
    case RowFormat::index_fp8:
    case RowFormat::index_mxfp4:
      return g.head_dim == 128;
  }
  return false;
}

constexpr RowLayout row_layout(RowFormat f, const Geometry& g) {
  const std::int32_t nope = g.head_dim - g.rope_dim;
  switch (f) {
    case RowFormat::fp8_mla:
      return {nope + 2 * g.rope_dim, nope / kFp8Block + 1};
    case RowFormat::bf16:
      return {2 * g.head_dim, 0};
    case RowFormat::fp8_tensor:
      return {g.head_dim, 0};
    case RowFormat::index_fp8:
      return {g.head_dim, 4};
    case RowFormat::index_mxfp4:
      return {g.head_dim / 2, g.head_dim / kFp4Block};
  }
  return {};
}

static_assert(448 + 64 == Hca::head_dim);
static_assert(row_layout(RowFormat::fp8_mla, Hca::value).value_bytes == 448 + 2 * 64);
static_assert(row_layout(RowFormat::fp8_mla, Hca::value).row_bytes() == 584);
static_assert(row_layout(RowFormat::bf16, Csa::value).row_bytes() == 1024);
static_assert(row_layout(RowFormat::index_fp8, Indexer::value).row_bytes() == 132);
static_assert(row_layout(RowFormat::index_mxfp4, Indexer::value).row_bytes() == 68);

}  // namespace pleat
