// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/fold.cuh"
#include "cuda/join.cuh"
#include "cuda/save.cuh"
#include "cuda/write_through.cuh"

// Windows of many groups (HCA: 128 rows). A block folds tiles of 64 channels: eight warps fold two
// of the 16 groups each and join them, a ninth finishes rows while they go on with the next window.
// The blocks of a cluster share a window, a tile each, and only the tiles' sums of squares cross
// it.
namespace pleat::cuda {

inline constexpr int kFoldWarps = 8;
inline constexpr int kFoldThreads = 32 * kFoldWarps;
inline constexpr int kHcaThreads = kFoldThreads + 32;
inline constexpr int kWarpGroups = 2;

/// Dynamic shared memory: the warps' tiles, the folded groups, the position bias (where there is
/// one), the windows that a block without a plan has found.
struct HcaMemory {
  static constexpr int folded = kFoldWarps * kWarpGroups * kTileBytes;
  static constexpr int ape = folded + kFoldWarps * kWarpGroups * kTileChannels * 16;
  static constexpr int ape_bytes = kFoldWarps * kWarpGroups * kTilePartBytes;
  static constexpr int found_bytes = kScanThreads * static_cast<int>(sizeof(PlanEntry));
};

/// Pooled tiles go from the folding warps to the finishing one through two places in turn: who
/// writes one for the second time has met the finishing warp after it read the first.
template <class G, int Cluster>
struct HcaShared {
  float pooled[2][G::tiles / Cluster * kTileChannels];
  float squares[2][G::tiles];
  std::uint64_t arrived[2];
};

/// Named barriers of a block.
struct HcaBarrier {
  static constexpr int folds = 1;   ///< of the folding warps
  static constexpr int pooled = 2;  ///< of all: a row's tiles are pooled
};

/// A window and the pages of the warp's groups in it.
struct HcaWindow {
  PlanEntry entry;
  std::int32_t page[kWarpGroups];
};

/// With its pages, when a page is a group.
template <class G, int PageRows>
__device__ __forceinline__ HcaWindow window_of(const FoldParams& p, const PlanEntry& e, int warp) {
  HcaWindow w{e, {0, 0}};
  if constexpr (PageRows == kGroupRows) {
    const int fresh = p.projection != nullptr ? e.fresh : 0;
    const std::int32_t* table =
        p.block_table + e.request * p.table_stride + static_cast<std::int64_t>(e.row) * G::groups;
#pragma unroll
    for (int h = 0; h < kWarpGroups; ++h) {
      const int group = warp * kWarpGroups + h;
      // unless every row comes from this step
      if (group * kGroupRows < G::window - fresh) w.page[h] = table[group];
    }
  }
  return w;
}

/// Where a group's rows of a window are, from channel \p channel on.
template <class G, int PageRows>
__device__ __forceinline__ TileSource source_of(const FoldParams& p, const PlanEntry& e,
                                                std::int32_t page, int group, int channel) {
  const int first = group * kGroupRows;
  const int fresh = p.projection != nullptr ? e.fresh : 0;
  TileSource s{};
  s.fresh_from = G::window - fresh - first;
  const std::int64_t token = static_cast<std::int64_t>(e.token) - (G::window - 1) + first;
  s.fresh = token * step_stride<G, PageRows>(p) + channel;
  s.previous = channel + (PageRows > 0 ? page * p.page_stride : 0);
  s.request = e.request;
  s.position = static_cast<std::int64_t>(e.row) * G::ratio + first;
  return s;
}

/// What the warps of a block have in common.
template <class G, int Cluster>
struct HcaBlock {
  static constexpr int tiles_here = G::tiles / Cluster;
  HcaShared<G, Cluster>& sh;
  uint4* dynamic;
  int first_tile;
  int lane;
};

/// Folds and joins: warp `warp` of kFoldWarps.
template <class G, class S, class P, int PageRows, int Cluster, bool Fast>
__device__ __forceinline__ void fold_and_join(const FoldParams& p, const HcaBlock<G, Cluster>& b,
                                              const WindowList& list, int warp) {
  constexpr int tiles_here = HcaBlock<G, Cluster>::tiles_here;
  const int lane = b.lane;
  const int tid = static_cast<int>(threadIdx.x);
  const std::uint32_t memory = shared_address(b.dynamic);
  auto* const folded = reinterpret_cast<float4*>(b.dynamic) + HcaMemory::folded / 16;
  const Bias bias = bias_of(p);
  const auto tile_at = [&](int h) {
    return memory + static_cast<std::uint32_t>((warp * kWarpGroups + h) * kTileBytes);
  };
  const auto ape_at = [&](int h) {
    return memory +
           static_cast<std::uint32_t>(HcaMemory::ape + (warp * kWarpGroups + h) * kTilePartBytes);
  };
  const auto issue = [&](const HcaWindow& w, int h, int tile) {
    const int group = warp * kWarpGroups + h;
    const int channel = tile * kTileChannels;
    const TileSource from =
        source_of<G, PageRows>(p, w.entry, h == 0 ? w.page[0] : w.page[1], group, channel);
    issue_tile<G, S, P, PageRows>(p, from, tile_at(h), lane);
    if (tiles_here > 1 && p.ape != nullptr) {
      issue_ape<G>(p, group * kGroupRows, channel, ape_at(h), lane);
    }
  };

  std::int32_t index = list.first;
  HcaWindow now{};
  HcaWindow next{};
  PlanEntry after{};  // asked for a window ahead, as its page is
  if (index < list.count) now = window_of<G, PageRows>(p, list.head[0], warp);
#pragma unroll
  for (int h = 0; h < kWarpGroups; ++h) {
    if (index < list.count) issue(now, h, b.first_tile);
    close_copies();
  }
  if (index + list.stride < list.count) next = window_of<G, PageRows>(p, list.head[1], warp);
  if (index + 2 * list.stride < list.count) after = list.entries[index + 2 * list.stride];

  std::uint32_t round = 0;
#pragma unroll 1
  for (; index < list.count; index += list.stride, ++round) {
    const bool more = index + list.stride < list.count;
    const std::uint32_t side = round & 1U;
#pragma unroll 1
    for (int tile = b.first_tile; tile < b.first_tile + tiles_here; ++tile) {
      const bool last = tile + 1 == b.first_tile + tiles_here;
#pragma unroll 1
      for (int h = 0; h < kWarpGroups; ++h) {
        const int group = warp * kWarpGroups + h;
        const int first = group * kGroupRows;
        const int fresh_from = G::window - (p.projection != nullptr ? now.entry.fresh : 0) - first;
        const TileRows rows{tile_at(h), ape_at(h), lane};
        Folded f[2];
        wait_for_copies<kWarpGroups - 1>();
        __syncwarp();
        const Bias left = settle<S, P>(rows.at, rows.ape, fresh_from, bias, lane);
        fold_rows<0, Fast>(rows, left, f);
        if (p.writes_through) {
          write_through<G, S, P>(p, now.entry, first, tile * kTileChannels, fresh_from, rows,
                                 left == Bias::early);
        }
        __syncwarp();  // every lane has read its part
        if (!last) {
          issue(now, h, tile + 1);
        } else if (more) {
          issue(next, h, b.first_tile);
        }
        close_copies();
        if (h == 0) barrier_of<kFoldThreads>(HcaBarrier::folds);  // what was folded last is joined
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          folded[group * kTileChannels + join_place(group, 2 * lane + c)] = {
              f[c].magic, f[c].weight + f[c].weight_rest, f[c].value, f[c].value_rest};
        }
      }
      barrier_of<kFoldThreads>(HcaBarrier::folds);
      const int c = tid / 4;
      const float pooled = join_groups(folded, c, tid % 4, p.recipe.pooled_bf16);
      if (p.output == Output::compressed) {
        if (tid % 4 == 0) {
          p.compressed[now.entry.token * p.compressed_stride + tile * kTileChannels + c] = pooled;
        }
        continue;
      }
      if (tid % 4 == 0) b.sh.pooled[side][(tile - b.first_tile) * kTileChannels + c] = pooled;
      if (last) barrier_of<kHcaThreads>(HcaBarrier::pooled);
    }
    now = next;
    if (index + 2 * list.stride < list.count) next = window_of<G, PageRows>(p, after, warp);
    if (index + 3 * list.stride < list.count) after = list.entries[index + 3 * list.stride];
  }
}

/// Normalises, rotates, quantises and stores the block's tiles of each row.
template <class G, int CacheRows, int Cluster>
__device__ __forceinline__ void finish_rows(const FoldParams& p, const HcaBlock<G, Cluster>& b,
                                            const WindowList& list, const Two* weight) {
  constexpr int tiles_here = HcaBlock<G, Cluster>::tiles_here;
  const int lane = b.lane;
  const bool rotates = b.first_tile + tiles_here == G::tiles;  // the last of them
  Late late{};
  if (list.first < list.count) late = fetch_late<G>(p, list.head[0], rotates, lane);
  std::uint32_t round = 0;
#pragma unroll 1
  for (std::int32_t index = list.first; index < list.count; index += list.stride, ++round) {
    const bool more = index + list.stride < list.count;
    const std::uint32_t side = round & 1U;
    Late later{};
    if (more) later = fetch_late<G>(p, list.entries[index + list.stride], rotates, lane);
    barrier_of<kHcaThreads>(HcaBarrier::pooled);
    Two x[tiles_here];
    float squares[G::tiles];
#pragma unroll
    for (int t = 0; t < tiles_here; ++t) {
      const float2 pooled =
          *reinterpret_cast<const float2*>(&b.sh.pooled[side][t * kTileChannels + 2 * lane]);
      x[t] = {{pooled.x, pooled.y}};
      if (p.recipe.pooled_bf16) x[t] = rounded(x[t]);
      squares[t] = tile_squares(x[t]);
    }
#if __CUDA_ARCH__ >= 900
    if constexpr (Cluster > 1) {
      static_assert(tiles_here == 1);
      if (lane < Cluster) {  // tells block `lane`; every block hears all tiles
        const std::uint32_t slot = shared_address(&b.sh.squares[side][b.first_tile]);
        put_to_peer(peer_address(slot, lane), squares[0],
                    peer_address(shared_address(&b.sh.arrived[side]), lane));
      }
      if (lane == 0) barrier_expect(&b.sh.arrived[side], sizeof(b.sh.squares[0]));
      barrier_wait(&b.sh.arrived[side], round >> 1 & 1U);
#pragma unroll
      for (int i = 0; i < G::tiles; ++i)
        squares[i] = b.sh.squares[side][i];
    }
#endif
    if (late.kv_slot >= 0) {
      const float sum = sum_tiles(squares);
      const RowTarget to = row_target<CacheRows>(p, late.kv_slot);
#pragma unroll
      for (int t = 0; t < tiles_here; ++t) {
        const Two y = norm_rope<G>(p, x[t], sum, weight[t], late, rotates && t == tiles_here - 1);
        store_tile<G>(p, y, b.first_tile + t, lane, to);
      }
    }
    late = later;
  }
}

template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
__device__ __forceinline__ void fold_windows(const FoldParams& p) {
  static_assert(G::tiles == 8 && G::groups == kFoldWarps * kWarpGroups && !G::overlap);
  constexpr int tiles_here = G::tiles / Cluster;
  __shared__ HcaShared<G, Cluster> sh;
  extern __shared__ uint4 dynamic[];
  const int tid = static_cast<int>(threadIdx.x);
  const int warp = tid / 32;
  const HcaBlock<G, Cluster> b{sh, dynamic, static_cast<int>(blockIdx.x) % Cluster * tiles_here,
                               tid % 32};
#if __CUDA_ARCH__ >= 900
  if constexpr (Cluster > 1) {
    if (tid == 0) {
      barrier_init(&sh.arrived[0], 1);
      barrier_init(&sh.arrived[1], 1);
      barrier_init_fence();
    }
    __syncwarp();
    cluster_arrive();
  }
#endif
  Two weight[tiles_here] = {};
  if (warp == kFoldWarps) {
    if (p.output == Output::cache) {
#pragma unroll
      for (int t = 0; t < tiles_here; ++t)
        weight[t] = norm_of(p, (b.first_tile + t) * kTileChannels + 2 * b.lane);
    }
  } else if (p.ape != nullptr && tiles_here == 1) {
#pragma unroll
    for (int h = 0; h < kWarpGroups; ++h) {
      const int group = warp * kWarpGroups + h;
      issue_ape<G>(p, group * kGroupRows, b.first_tile * kTileChannels,
                   shared_address(dynamic) +
                       static_cast<std::uint32_t>(HcaMemory::ape + group * kTilePartBytes),
                   b.lane);
    }
  }
  wait_for_predecessor();

  WindowList list;
  const int worker = static_cast<int>(blockIdx.x) / Cluster;
  if (p.plan != nullptr) {
    list = plan_windows(p, worker, p.fold_blocks / Cluster);
  } else {
    auto* found = reinterpret_cast<PlanEntry*>(reinterpret_cast<char*>(dynamic) + HcaMemory::ape +
                                               (p.ape != nullptr ? HcaMemory::ape_bytes : 0));
    list = scan_chunk<G>(p, worker, 0, 1, found);
  }
#if __CUDA_ARCH__ >= 900
  if constexpr (Cluster > 1) cluster_wait();
#endif
  if (warp < kFoldWarps) {
    fold_and_join<G, S, P, PageRows, Cluster, Fast>(p, b, list, warp);
  } else if (p.output == Output::cache) {
    finish_rows<G, CacheRows, Cluster>(p, b, list, weight);
  }
  let_successor_start();
}

/// Devices that have clusters use them, so each architecture gets the code of one kind only.
#if __CUDA_ARCH__ >= 900
inline constexpr bool kHasClusters = true;
#else
inline constexpr bool kHasClusters = false;
#endif

/// Blocks that a multiprocessor shall hold. Only the special exact kernels fit into half of its
/// registers without local memory.
template <int PageRows, int Cluster, bool Fast>
inline constexpr int kHcaBlocks = PageRows > 0 && !Fast && Cluster > 1 ? 2 : 1;

template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
__global__ void __launch_bounds__(kHcaThreads, kHcaBlocks<PageRows, Cluster, Fast>)
    hca_kernel(const __grid_constant__ FoldParams p) {
  if constexpr ((Cluster > 1) == kHasClusters) {
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
