// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/params.cuh"

// Where the rows of a window live: a state page, a ring, or this step's projection.
namespace pleat::cuda {

/// Strides between rows: known at compile time in the special layout, where rows are packed.
template <class G, int PageRows>
__device__ __forceinline__ std::int64_t step_stride(const FoldParams& p) {
  return PageRows > 0 ? G::row_width : p.projection_stride;
}
template <class G, int PageRows>
__device__ __forceinline__ std::int64_t page_row_stride(const FoldParams& p) {
  return PageRows > 0 ? G::row_width : p.row_stride;
}

struct PageRow {
  std::int64_t page;
  std::int64_t row;
};

/// A 64-bit division takes longer than a load from L2, and pages have 2^n rows.
__device__ __forceinline__ PageRow page_row_of(const FoldParams& p, std::int64_t slot) {
  if (p.page_shift >= 0) return {slot >> p.page_shift, slot & (p.page_rows - 1)};
  return {slot / p.page_rows, slot % p.page_rows};
}

/// Element offset of a state row, looked up: any page size, or a ring.
__device__ __forceinline__ std::int64_t state_row(const FoldParams& p, std::int32_t request,
                                                  std::int64_t position) {
  const PageRow at = page_row_of(p, position);
  const std::int64_t page = p.block_table[request * p.table_stride + (p.ring ? 0 : at.page)];
  return page * p.page_stride + at.row * p.row_stride;
}

/// Element offset of a slot's state row.
__device__ __forceinline__ std::int64_t slot_row(const FoldParams& p, std::int64_t slot) {
  const PageRow at = page_row_of(p, slot);
  return at.page * p.page_stride + at.row * p.row_stride;
}

}  // namespace pleat::cuda
