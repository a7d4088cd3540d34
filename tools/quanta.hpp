// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <pleat/pleat.hpp>
#include <span>
#include <vector>

#include "tools/row_blocks.hpp"

/// How two results differ, in the units of their formats: a code is some quanta away from another.
namespace pleat::tools {

/// Counts over one row or many.
struct CodeCounts {
  std::int64_t codes = 0;        ///< compared
  std::int64_t one_quantum = 0;  ///< neighbours
  std::int64_t further = 0;      ///< more than one quantum apart
  std::int64_t scales = 0;       ///< scales that differ (UE8M0 bytes, the spare one included; fp32)

  CodeCounts& operator+=(const CodeCounts& o);
  friend bool operator==(const CodeCounts&, const CodeCounts&) = default;
};

struct Place {
  std::int64_t page = 0;
  std::int64_t row = 0;
  std::int64_t channel = 0;  ///< the first of the block where only a scale differs

  friend bool operator==(const Place&, const Place&) = default;
};

/// Channels of a row that differ, counted; `first_channel` gets the first one, if any. Codes of an
/// fp8_mla block whose scales differ count as equal: the scale is counted. fp32 scales differ when
/// they are further apart than `scale_tolerance`, relative.
CodeCounts compare_rows(const Compressor& c, const RowBytes& a, const RowBytes& b,
                        float scale_tolerance, std::optional<std::int64_t>* first_channel);

/// Scales of a row that are further apart than rounding brings them: more than one power of two, or
/// raw fp32 ones (`raw_tolerance` > 0) more than that, relative. A spare byte that differs is one.
std::int64_t scales_further(const Compressor& c, const RowBytes& a, const RowBytes& b,
                            float raw_tolerance);

struct CacheDifference {
  CodeCounts counts;
  std::int64_t rows = 0;  ///< compared
  std::int64_t rows_different = 0;
  std::optional<Place> first;
  std::int64_t bytes = 0;        ///< that differ, wherever they are
  std::int64_t stray_bytes = 0;  ///< that differ outside the rows compared
  std::int64_t first_stray = 0;  ///< its offset in the tensor; when stray_bytes > 0

  friend bool operator==(const CacheDifference&, const CacheDifference&) = default;
};

/// Compares two caches of one shape, u8 [pages, page_rows, row_bytes]: the rows in `slots` (page *
/// page_rows + row, inside the view, once each), or all rows; what lies outside them is stray.
CacheDifference compare_caches(const Compressor& c, const TensorView& a, const TensorView& b,
                               const std::optional<std::vector<std::int64_t>>& slots,
                               float scale_tolerance);

struct NumberDifference {
  std::int64_t elements = 0;  ///< compared
  std::int64_t different = 0;
  std::int64_t largest_ulps = 0;  ///< in steps of the dtype
  std::int64_t first = -1;        ///< index of the first that differs
};

/// Compares packed f32 or bf16 numbers bit by bit; `a` and `b` hold `elements` of `dtype`.
NumberDifference compare_numbers(DType dtype, const void* a, const void* b, std::int64_t elements);

}  // namespace pleat::tools
