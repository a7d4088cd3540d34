// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace pleat {

/// Element types. Values are part of the C ABI.
enum class DType : std::int32_t { none = 0, f32 = 1, bf16 = 2, i64 = 3, i32 = 4, u8 = 5 };

constexpr std::int64_t size_of(DType t) {
  switch (t) {
    case DType::none:
      return 0;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::i64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}

/// A view of somebody else's memory (host or device, as the call's Exec says): pointer, dtype, up
/// to three dimensions with strides in elements, the last of them 1. A default-constructed view is
/// "not given". Every offset is computed in 64 bits.
///
/// Multiples of 16 bytes: where a floating-point view starts (fp8_scale: 4) and the strides of its
/// rows and pages; where a cache starts and the stride of its pages (index formats: 4). Arrays of
/// integers: of their element. The rows of a cache follow each other without gaps.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::none;
  std::int32_t rank = 0;
  std::array<std::int64_t, 3> shape{};
  std::array<std::int64_t, 3> stride{};

  [[nodiscard]] constexpr bool given() const { return dtype != DType::none; }

  /// A packed view: the last dimension is contiguous, nothing between rows. Here and below `data`
  /// of an input may be const: no op writes to one.
  static constexpr TensorView packed(const void* data, DType dtype, std::int64_t n0) {
    return {const_cast<void*>(data), dtype, 1, {n0, 0, 0}, {1, 0, 0}};
  }
  static constexpr TensorView packed(const void* data, DType dtype, std::int64_t n0,
                                     std::int64_t n1) {
    return {const_cast<void*>(data), dtype, 2, {n0, n1, 0}, {n1, 1, 0}};
  }
  /// Pages of rows of elements, with pages `page_stride` elements apart.
  static constexpr TensorView paged(const void* data, DType dtype, std::int64_t pages,
                                    std::int64_t rows, std::int64_t row_elements,
                                    std::int64_t page_stride) {
    return {const_cast<void*>(data),
            dtype,
            3,
            {pages, rows, row_elements},
            {page_stride, row_elements, 1}};
  }
};

}  // namespace pleat
