// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/any_geometry.cuh"
#include "cuda/finish.cuh"

// From a pooled row in shared memory to a cache row, by a whole block: finish.cuh for a row of any
// number of tiles. A warp has a tile at a time, two neighbouring channels a lane.
namespace pleat::cuda {

inline constexpr int kMostTiles = 4096 / kTileChannels;

/// Sum of up to kMostTiles tiles' squares, by halves; every lane has it. \p count: a power of two.
__device__ __forceinline__ double sum_of_tiles(const double* tiles, int count, int lane) {
  const int lanes = count < 32 ? count : 32;  // that have a sum of their own
  double sum = tiles[lane & (lanes - 1)];
  if (count == kMostTiles) sum = sum + tiles[lane + 32];
#pragma unroll 1
  for (int half = lanes / 2; half > 0; half /= 2)
    sum = sum + __shfl_xor_sync(kAllLanes, sum, half);
  return sum;
}

/// A row's norm, and where its window is in the RoPE table.
struct RowNorm {
  float scale;
  double exact;       ///< the same, for rotated channels
  const float* rope;  ///< the table's row
};

/// Norm of a lane's two channels, and RoPE where they are rotated.
__device__ __forceinline__ Two norm_rope(const FoldParams& p, const AnyGeometry& g, const Two& x,
                                         const RowNorm& norm, int channel) {
  const Two weight = norm_of(p, channel);
  const int rotated = channel - (g.head_dim - g.rope_dim);
  if (rotated < 0) return norm_plain(p, x, norm.scale, weight);
  const bool in_pairs = p.recipe.rope_table_in_pairs;
  const float cos = norm.rope[in_pairs ? rotated : rotated / 2];
  const float sin = norm.rope[in_pairs ? rotated + 1 : rotated / 2 + g.rope_dim / 2];
  return norm_rotated(p, x, norm.exact, weight, cos, sin);
}

/// Norm, RoPE and the bytes of the row of window e, in cache slot `slot`. \p row: its pooled
/// channels, which no thread of the block still writes; the block must meet before it or \p tiles,
/// room for kMostTiles doubles, is written again.
__device__ __forceinline__ void finish_row(const FoldParams& p, const AnyGeometry& g,
                                           const PlanEntry& e, std::int64_t slot, const float* row,
                                           double* tiles) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  const int count = g.head_dim / kTileChannels;
  const auto pooled = [&](int tile) {
    const float* at = row + tile * kTileChannels + 2 * lane;
    const Two x{{at[0], at[1]}};
    return p.recipe.pooled_bf16 ? rounded(x) : x;
  };
#pragma unroll 1
  for (int tile = warp; tile < count; tile += warps) {
    const double squares = tile_squares(pooled(tile));
    if (lane == 0) tiles[tile] = squares;
  }
  __syncthreads();
  const double mean = numerics::mean_square(sum_of_tiles(tiles, count, lane), g.head_dim, p.eps);
  const float scale = numerics::rms_scale(mean);
  const RowNorm norm{scale, numerics::exact_scale(mean, scale),
                     p.rope + static_cast<std::int64_t>(e.row) * g.ratio * p.rope_stride};
  const auto normed = [&](int tile) {
    return norm_rope(p, g, pooled(tile), norm, tile * kTileChannels + 2 * lane);
  };
  const RowTarget to = row_target<0>(p, slot);
  if (p.format == RowFormat::index_fp8 || p.format == RowFormat::index_mxfp4) {
    if (warp != 0) return;  // these formats have rows of two tiles
    Two x[2] = {normed(0), normed(1)};
    return store_index_row(p, x, lane, to);
  }
#pragma unroll 1
  for (int tile = warp; tile < count; tile += warps)
    store_tile(p, normed(tile), tile, count, lane, to);
}

}  // namespace pleat::cuda
