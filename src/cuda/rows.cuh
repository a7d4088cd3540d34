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

/// Element offset of a state row, looked up: any page size, or a ring.
__device__ __forceinline__ std::int64_t state_row(const FoldParams& p, std::int32_t request,
                                                  std::int64_t position) {
  const std::int32_t* table = p.block_table + request * p.table_stride;
  const std::int64_t page = table[p.ring ? 0 : position / p.page_rows];
  return page * p.page_stride + position % p.page_rows * p.row_stride;
}

/// Element offset of a slot's state row.
__device__ __forceinline__ std::int64_t slot_row(const FoldParams& p, std::int64_t slot) {
  return slot / p.page_rows * p.page_stride + slot % p.page_rows * p.row_stride;
}

}  // namespace pleat::cuda
