// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/views.hpp>

#include <cstdint>
#include <optional>

namespace pleat::api {

/// Elements from a view's first to one past its last, padding between rows and pages included.
/// Nothing when that does not fit in 64 bits. Shape and strides must not be negative.
constexpr std::optional<std::int64_t> element_extent(const TensorView& v, std::int32_t first_dim) {
  std::int64_t last = 0;
  for (std::int32_t i = first_dim; i < v.rank; ++i) {
    const auto d = static_cast<std::size_t>(i);
    if (v.shape[d] == 0) return 0;
    std::int64_t step = 0;
    if (__builtin_mul_overflow(v.shape[d] - 1, v.stride[d], &step)) return std::nullopt;
    if (__builtin_add_overflow(last, step, &last)) return std::nullopt;
  }
  if (__builtin_add_overflow(last, std::int64_t{1}, &last)) return std::nullopt;
  return last;
}

/// The same in bytes.
constexpr std::optional<std::int64_t> byte_extent(const TensorView& v) {
  const auto elements = element_extent(v, 0);
  std::int64_t bytes = 0;
  if (!elements || __builtin_mul_overflow(*elements, size_of(v.dtype), &bytes)) return std::nullopt;
  return bytes;
}

/// Bytes that a page of a three-dimensional view spans, without the padding after it.
constexpr std::int64_t page_extent(const TensorView& v) {
  return element_extent(v, 1).value_or(0) * size_of(v.dtype);
}

}  // namespace pleat::api
