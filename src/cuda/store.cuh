// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/tokens.cuh"

// The second half of the split path: pooled rows in memory to cache rows. A quad of channels a
// thread; head_dim / 4 threads a row.
namespace pleat::cuda {

inline constexpr int kStoreThreads = 128;

template <class G, int CacheRows>
__global__ void __launch_bounds__(kStoreThreads)
    store_kernel(const __grid_constant__ FoldParams p) {
  constexpr int row_threads = G::head_dim / 4;
  constexpr int workers = kStoreThreads / row_threads;
  __shared__ float squares[2][G::tiles];
  __shared__ PlanEntry found[kScanThreads];
  __shared__ LateInputs late[kStoreThreads];
  __shared__ float4 norm[kStoreThreads];
  const int tid = static_cast<int>(threadIdx.x);
  const int worker = tid / row_threads;
  const int lane = tid % row_threads;
  const int channel = 4 * lane;
  const int tile = channel / kTileChannels;
  const bool rotated = tile == G::tiles - 1;
  norm[tid] = norm_quad(p, channel);
  wait_for_predecessor();

  WindowList list;
  if (p.plan != nullptr) {
    list =
        plan_windows(p, static_cast<int>(blockIdx.x) * workers + worker, p.fold_blocks * workers);
  } else {
    list = scan_chunk<G>(p, static_cast<int>(blockIdx.x), worker, workers, found);
  }
  std::uint32_t round = 0;
#pragma unroll 1
  for (std::int32_t i = list.first; i < list.count; i += list.stride, ++round) {
    const PlanEntry e = i == list.first ? list.head[0] : list.entries[i];
    fetch_late<G>(p, e, rotated, lane % 16, late[tid]);
    const float4 in =
        *reinterpret_cast<const float4*>(p.compressed + e.token * p.compressed_stride + channel);
    Quad x{{in.x, in.y, in.z, in.w}};
    if (p.recipe.pooled_bf16) round_quad(x);
    float sum = tile_squares(x);
    if constexpr (row_threads == 32) {
      sum = sum + __shfl_xor_sync(kAllLanes, sum, 16);
    } else {
      static_assert(G::tiles == 8);
      const std::uint32_t side = round & 1U;
      if (lane % 16 == 0) squares[side][tile] = sum;
      __syncthreads();
      sum = ((squares[side][0] + squares[side][4]) + (squares[side][2] + squares[side][6])) +
            ((squares[side][1] + squares[side][5]) + (squares[side][3] + squares[side][7]));
    }
    wait_for_copies();
    const std::int64_t kv_slot = late[tid].kv_slot;
    if (kv_slot < 0) continue;
    norm_rope_quad(p, x, numerics::rms_scale(sum, G::head_dim, p.eps), norm[tid], late[tid],
                   rotated);
    const RowTarget to = row_target<CacheRows>(p, kv_slot);
    if constexpr (row_threads == 32) {
      store_index_row(p, x, lane, to);
    } else {
      store_tile<G>(p, x, tile, lane % 16, to);
    }
  }
  let_successor_start();
}

}  // namespace pleat::cuda
