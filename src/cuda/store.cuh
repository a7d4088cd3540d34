// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/device.cuh"
#include "cuda/finish.cuh"
#include "cuda/tokens.cuh"

// The second half of the split path: pooled rows in memory to cache rows. A warp has two tiles, so
// a row is four warps (HCA, CSA) or one (indexer).
namespace pleat::cuda {

inline constexpr int kStoreThreads = 128;

template <class G, int CacheRows>
__global__ void __launch_bounds__(kStoreThreads)
    store_kernel(const __grid_constant__ FoldParams p) {
  constexpr int warps = G::tiles / 2;  // of a row
  constexpr int workers = kStoreThreads / 32 / warps;
  __shared__ double shared_squares[2][G::tiles];
  __shared__ PlanEntry found[kScanThreads];
  const int tid = static_cast<int>(threadIdx.x);
  const int lane = tid % 32;
  const int worker = tid / 32 / warps;
  const int first_tile = tid / 32 % warps * 2;
  const int channel = first_tile * kTileChannels + 2 * lane;
  const bool rotates = first_tile + 2 == G::tiles;
  const Two weight[2] = {norm_of(p, channel), norm_of(p, channel + kTileChannels)};
  if (!p.early) wait_for_rows();

  WindowList list;
  if (p.plan != nullptr) {
    list =
        plan_windows(p, static_cast<int>(blockIdx.x) * workers + worker, p.shares.blocks * workers);
  } else {
    const auto block = static_cast<std::int32_t>(blockIdx.x);
    const std::int32_t sharing = p.shares.sharing;
    list = scan_chunk(G{}, p, block / sharing, block % sharing * workers + worker,
                      sharing * workers, found);
  }
  std::uint32_t side = 0;
#pragma unroll 1
  for (std::int32_t i = list.first; i < list.count; i += list.stride, side ^= 1U) {
    const PlanEntry e = i == list.first ? list.head[0] : list.entries[i];
    const Late late = fetch_late<G>(p, e, rotates, lane);
    wait_for_rows();
    Two x[2];
#pragma unroll
    for (int t = 0; t < 2; ++t) {
      x[t] = load_two<float>(p.compressed,
                             e.token * p.compressed_stride + channel + t * kTileChannels);
      if (p.recipe.pooled_bf16) x[t] = rounded(x[t]);
    }
    const double squares =
        squares_of_row<G>(x, first_tile, lane, shared_squares[side], [] { __syncthreads(); });
    if (late.kv_slot < 0) continue;
    finish_two_tiles<G, CacheRows>(p, x, squares, weight, late, first_tile, lane);
  }
  wait_for_rows();  // who had none too
}

}  // namespace pleat::cuda
