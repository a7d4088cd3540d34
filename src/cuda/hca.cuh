// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/hca_warp.cuh"
#include "cuda/save.cuh"

// The kernel of windows of many groups: which windows are whose.
namespace pleat::cuda {

/// Splits a list among clusters, the workers: rounds in which each warp has a window of its own,
/// then what is left, as many warps a window as there are.
template <class Run>
__device__ __forceinline__ void share_out(std::int32_t count, int worker, int workers, int warp,
                                          const Run& run) {
  const std::int32_t round = workers * kHcaWarps;
  const std::int32_t full = count < round ? 0 : count / round * round;  // a division is long
#pragma unroll 1
  for (int phase = 0; phase < 2; ++phase) {
    const std::int32_t from = phase == 0 ? 0 : full;
    const std::int32_t to = phase == 0 ? full : count;
    if (from == to) continue;
    int shift = 0;
    while (phase == 1 && 2 << shift <= kMostSplit && (to - from) * (2 << shift) <= round)
      ++shift;
    run(HcaTurns{from + (warp >> shift) * workers + worker, workers * (kHcaWarps >> shift), to,
                 shift});
  }
}

template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
__device__ __forceinline__ void fold_windows(const FoldParams& p) {
  static_assert(G::tiles == 8 && G::groups == kMostSplit * kSpanGroups && !G::overlap);
  static_assert(kRing <= kSpanGroups);
  constexpr bool clustered = Cluster > 1;
  __shared__ HcaShared<G> sh;
  extern __shared__ uint4 dynamic[];
  const int tid = static_cast<int>(threadIdx.x);
  const int warp = tid / 32;
  const int lane = tid % 32;
  const int tile = clustered ? static_cast<int>(blockIdx.x) % Cluster : warp;
  const int worker = static_cast<int>(blockIdx.x) / Cluster;
  const int workers = p.fold_blocks / Cluster;
  const std::uint32_t memory = shared_address(dynamic);
#if __CUDA_ARCH__ >= 900
  if constexpr (clustered) {
    if (tid < 2 * kHcaWarps) barrier_init(&sh.arrived[0][0] + tid, 1);
    if (tid < 2 * kHcaWarps) barrier_init_fence();
    __syncwarp();
    cluster_arrive();
  }
#endif
  Two weight{};
  if (p.output == Output::cache) weight = norm_of(p, tile * kTileChannels + 2 * lane);
  if (clustered && p.ape != nullptr) {
#pragma unroll 1
    for (int group = warp; group < G::groups; group += kHcaWarps) {
      issue_ape<G>(p, group * kGroupRows, tile * kTileChannels,
                   memory + static_cast<std::uint32_t>(HcaMemory::ape + group * kTilePartBytes),
                   lane);
    }
    close_copies();
  }
  wait_for_predecessor();

  WindowList list;
  const bool planned = p.plan != nullptr;
  if (planned) {  // the first is a guess: with few windows, or without clusters, it is right
    list = plan_windows(p, clustered ? warp / kMostSplit * workers + worker : worker, workers);
  } else {
    auto* found = reinterpret_cast<PlanEntry*>(reinterpret_cast<char*>(dynamic) + HcaMemory::ape +
                                               (p.ape != nullptr ? HcaMemory::ape_bytes : 0));
    list = scan_chunk<G>(p, worker, 0, 1, found);
  }
#if __CUDA_ARCH__ >= 900
  if constexpr (clustered) cluster_wait();
#endif
  HcaWarp<G, S, P, PageRows, CacheRows, Cluster, Fast> self{
      p,
      sh,
      *reinterpret_cast<FoldedTiles<kHcaWarps>*>(dynamic + HcaMemory::folded / 16),
      memory + static_cast<std::uint32_t>(warp * kRing * kTileBytes),
      memory + static_cast<std::uint32_t>(HcaMemory::ape),
      tile,
      warp,
      lane,
      bias_of(p),
      static_cast<const char*>(p.state) + lane_bytes<G, S>(tile, lane),
      static_cast<const char*>(p.projection) + lane_bytes<G, P>(tile, lane)};
  if constexpr (clustered) {
    share_out(list.count, planned ? worker : 0, planned ? workers : 1, warp,
              [&](const HcaTurns& turns) { self.work(list, turns, weight); });
  } else {
    self.work(list, {planned ? worker : 0, planned ? workers : 1, list.count, 0}, weight);
  }
  let_successor_start();
}

/// Devices without clusters have no code for them.
#if __CUDA_ARCH__ >= 900
inline constexpr bool kHasClusters = true;
#else
inline constexpr bool kHasClusters = false;
#endif

template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
__global__ void __launch_bounds__(kHcaThreads, 2) hca_kernel(const __grid_constant__ FoldParams p) {
  if constexpr (Cluster == 1 || kHasClusters) {
    if (static_cast<int>(blockIdx.x) < p.fold_blocks) {
      fold_windows<G, S, P, PageRows, CacheRows, Cluster, Fast>(p);
    } else {
      extern __shared__ uint4 dynamic[];
      wait_for_predecessor();
      save_rows<G, S, P, kHcaThreads>(p, static_cast<int>(blockIdx.x) - p.fold_blocks,
                                      static_cast<int>(gridDim.x) - p.fold_blocks,
                                      reinterpret_cast<SaveItem*>(dynamic));
    }
  } else {
    __trap();
  }
}

}  // namespace pleat::cuda
