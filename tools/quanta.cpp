// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/quanta.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace pleat::tools {
namespace {

bool scales_differ(const Block& block, const RowBytes& a, const RowBytes& b, float tolerance) {
  const std::uint8_t* pa = a.scales + block.scale_offset;
  const std::uint8_t* pb = b.scales + block.scale_offset;
  if (block.scale == ScaleCode::f32 && tolerance > 0) {
    const float sa = scale_of(block, a.scales);
    const float sb = scale_of(block, b.scales);
    return !(std::fabs(sa - sb) <= tolerance * std::fabs(sa));
  }
  return std::memcmp(pa, pb, static_cast<std::size_t>(scale_bytes(block.scale))) != 0;
}

/// A float's place among all floats in order; both zeros are one place.
std::int64_t place_of(DType dtype, const void* data, std::int64_t i) {
  std::uint32_t bits = 0;
  std::uint32_t sign = 0x80000000U;
  if (dtype == DType::bf16) {
    bits = static_cast<const std::uint16_t*>(data)[i];
    sign = 0x8000U;
  } else {
    bits = static_cast<const std::uint32_t*>(data)[i];
  }
  const auto magnitude = static_cast<std::int64_t>(bits & (sign - 1));
  return (bits & sign) != 0 ? -magnitude : magnitude;
}

bool rows_equal(const RowLayout& layout, const RowBytes& a, const RowBytes& b) {
  return std::memcmp(a.values, b.values, static_cast<std::size_t>(layout.value_bytes)) == 0 &&
         std::memcmp(a.scales, b.scales, static_cast<std::size_t>(layout.scale_bytes)) == 0;
}

/// Bytes of the rows in `slots`, as one flag per byte of the tensor.
std::vector<bool> bytes_of_rows(const TensorView& cache, const RowLayout& layout,
                                const std::vector<std::int64_t>& slots) {
  std::vector<bool> in_row(static_cast<std::size_t>(cache.shape[0] * cache.stride[0]));
  for (const std::int64_t slot : slots) {
    const std::int64_t page = slot / cache.shape[1] * cache.stride[0];
    const std::int64_t row = slot % cache.shape[1];
    const auto values = in_row.begin() + page + layout.value_offset(row);
    const auto scales = in_row.begin() + page + layout.scale_offset(cache.shape[1], row);
    std::fill(values, values + layout.value_bytes, true);
    std::fill(scales, scales + layout.scale_bytes, true);
  }
  return in_row;
}

std::vector<std::int64_t> all_slots(const TensorView& cache) {
  std::vector<std::int64_t> slots(static_cast<std::size_t>(cache.shape[0] * cache.shape[1]));
  for (std::size_t i = 0; i < slots.size(); ++i)
    slots[i] = static_cast<std::int64_t>(i);
  return slots;
}

}  // namespace

CodeCounts& CodeCounts::operator+=(const CodeCounts& o) {
  codes += o.codes;
  one_quantum += o.one_quantum;
  further += o.further;
  scales += o.scales;
  return *this;
}

CodeCounts compare_rows(const Compressor& c, const RowBytes& a, const RowBytes& b,
                        float scale_tolerance, std::optional<std::int64_t>* first_channel) {
  const RowLayout layout = row_layout(c.row_format, c.geometry);
  CodeCounts counts;
  const auto differs_at = [&](std::int64_t channel) {
    if (first_channel != nullptr && !*first_channel) *first_channel = channel;
  };
  std::int32_t scales_seen = 0;
  for (const Block& block : blocks_of(c)) {
    counts.codes += block.channels;
    scales_seen = std::max(scales_seen, block.scale_offset + scale_bytes(block.scale));
    if (scales_differ(block, a, b, scale_tolerance)) {
      ++counts.scales;
      differs_at(block.first_channel);
      if (c.row_format == RowFormat::fp8_mla) continue;
    }
    for (std::int32_t i = 0; i < block.channels; ++i) {
      const std::uint32_t ca = code_at(block, a.values, i);
      const std::uint32_t cb = code_at(block, b.values, i);
      if (ca == cb) continue;
      differs_at(block.first_channel + i);
      const std::int64_t quanta = quanta_between(block.code, ca, cb);
      counts.one_quantum += quanta == 1;
      counts.further += quanta > 1;
    }
  }
  // fp8_mla keeps a spare scale byte that is always 0.
  for (std::int32_t i = scales_seen; i < layout.scale_bytes; ++i) {
    if (a.scales[i] != b.scales[i]) {
      ++counts.scales;
      differs_at(c.geometry.head_dim - c.geometry.rope_dim);
    }
  }
  return counts;
}

std::int64_t scales_further(const Compressor& c, const RowBytes& a, const RowBytes& b,
                            float raw_tolerance) {
  std::int64_t further = 0;
  std::int32_t scales_seen = 0;
  for (const Block& block : blocks_of(c)) {
    scales_seen = std::max(scales_seen, block.scale_offset + scale_bytes(block.scale));
    if (!scales_differ(block, a, b, raw_tolerance)) continue;
    if (block.scale == ScaleCode::f32 && raw_tolerance > 0) {
      ++further;
      continue;
    }
    const float sa = scale_of(block, a.scales);
    const float sb = scale_of(block, b.scales);
    further += !(sa == 2 * sb || sb == 2 * sa);
  }
  const std::int32_t all = row_layout(c.row_format, c.geometry).scale_bytes;
  for (std::int32_t i = scales_seen; i < all; ++i)
    further += a.scales[i] != b.scales[i];
  return further;
}

CacheDifference compare_caches(const Compressor& c, const TensorView& a, const TensorView& b,
                               const std::optional<std::vector<std::int64_t>>& slots,
                               float scale_tolerance) {
  const RowLayout layout = row_layout(c.row_format, c.geometry);
  std::vector<std::int64_t> rows = slots ? *slots : all_slots(a);
  std::sort(rows.begin(), rows.end());
  CacheDifference d;
  d.rows = static_cast<std::int64_t>(rows.size());
  for (const std::int64_t slot : rows) {
    const std::int64_t page = slot / a.shape[1];
    const std::int64_t row = slot % a.shape[1];
    const RowBytes ra = row_bytes(a, layout, page, row);
    const RowBytes rb = row_bytes(b, layout, page, row);
    if (rows_equal(layout, ra, rb)) {
      d.counts.codes += c.geometry.head_dim;
      continue;
    }
    std::optional<std::int64_t> channel;
    d.counts += compare_rows(c, ra, rb, scale_tolerance, &channel);
    ++d.rows_different;
    if (!d.first) d.first = Place{page, row, channel.value_or(0)};
  }

  const auto* pa = static_cast<const std::uint8_t*>(a.data);
  const auto* pb = static_cast<const std::uint8_t*>(b.data);
  const std::vector<bool> in_row = bytes_of_rows(a, layout, rows);
  for (std::size_t i = 0; i < in_row.size(); ++i) {
    if (pa[i] == pb[i]) continue;
    ++d.bytes;
    if (in_row[i]) continue;
    if (d.stray_bytes++ == 0) d.first_stray = static_cast<std::int64_t>(i);
  }
  return d;
}

NumberDifference compare_numbers(DType dtype, const void* a, const void* b, std::int64_t elements) {
  const auto size = static_cast<std::size_t>(size_of(dtype));
  const auto* pa = static_cast<const std::uint8_t*>(a);
  const auto* pb = static_cast<const std::uint8_t*>(b);
  NumberDifference d;
  d.elements = elements;
  for (std::int64_t i = 0; i < elements; ++i) {
    const auto at = static_cast<std::size_t>(i) * size;
    if (std::memcmp(pa + at, pb + at, size) == 0) continue;
    if (d.different++ == 0) d.first = i;
    d.largest_ulps =
        std::max(d.largest_ulps, std::abs(place_of(dtype, a, i) - place_of(dtype, b, i)));
  }
  return d;
}

}  // namespace pleat::tools
