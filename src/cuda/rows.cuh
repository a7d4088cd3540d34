// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/fold.cuh"
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

/// Element offset of a state row. PageRows 0: any page size, or a ring.
template <int PageRows>
__device__ __forceinline__ std::int64_t state_row(const FoldParams& p, std::int32_t request,
                                                  std::int64_t position) {
  const std::int32_t* table = p.block_table + request * p.table_stride;
  if constexpr (PageRows > 0) {
    return table[position / PageRows] * p.page_stride + position % PageRows * p.row_stride;
  } else {
    const std::int64_t page = table[p.ring ? 0 : position / p.page_rows];
    return page * p.page_stride + position % p.page_rows * p.row_stride;
  }
}

/// One row's quad of score or kv, still as it lies in memory.
struct RawRow {
  uint4 score;
  uint4 kv;
};

/// What the state would hold of a row, whether it comes from there or from the projection. \p
/// early: the position bias is to be added to what the projection gives.
template <class S, class P>
__device__ __forceinline__ void settle(const RawRow& raw, bool fresh, bool early, const float4& ape,
                                       Quad& score, Quad& kv) {
  const float a[4] = {ape.x, ape.y, ape.z, ape.w};
  if constexpr (sizeof(S) == 4 && sizeof(P) == 4) {
    score = Loader<float>::decode(raw.score);
    kv = Loader<float>::decode(raw.kv);
    if (early) {
#pragma unroll
      for (int c = 0; c < 4; ++c)
        score.v[c] = score.v[c] + a[c];
    }
  } else {
    const Quad from_state_score = Loader<S>::decode(raw.score);
    const Quad from_state_kv = Loader<S>::decode(raw.kv);
    const Quad from_step_score = Loader<P>::decode(raw.score);
    const Quad from_step_kv = Loader<P>::decode(raw.kv);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      float s = fresh ? from_step_score.v[c] : from_state_score.v[c];
      if (early) s = s + a[c];
      score.v[c] = fresh ? Loader<S>::kept(s) : s;
      kv.v[c] = fresh ? Loader<S>::kept(from_step_kv.v[c]) : from_state_kv.v[c];
    }
  }
}

}  // namespace pleat::cuda
