// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/rows.cuh"
#include "cuda/save.cuh"
#include "cuda/tokens.cuh"

// Windows of many groups (HCA: 128 rows). A block folds tiles of 64 channels: 16 row groups of 8
// by 16 quads of channels, a thread each, with all 16 of a thread's loads on their way before the
// first is used. The blocks of a cluster share a window; only the tiles' sums of squares cross it.
// While a window is joined, normalised and stored, the loads of the next are in flight.
namespace pleat::cuda {

inline constexpr int kHcaThreads = 256;
inline constexpr int kPartialStride = 68;  ///< floats a group; 16-byte rows, two-way conflicts

template <class G>
struct HcaShared {
  float magic[G::groups][kPartialStride];  ///< of each group and channel, as Folded has them
  float weight[G::groups][kPartialStride];
  double value[G::groups][kPartialStride];
  float pooled[G::tiles * kTileChannels];
  float squares[2][G::tiles];
  std::uint64_t arrived[2];
  PlanEntry found[kScanThreads];
  LateInputs late[2][G::tiles * 16];  ///< of this window and the next
  float4 norm[G::tiles * 16];
};

/// Position bias of the block's one tile, [window][64]: dynamic shared memory, filled by the
/// threads that use it, as far as they need it. A block that goes through several tiles reads it
/// from L2.
template <int Cluster>
inline constexpr bool kKeepsApe = Cluster == 8;
template <class G, int Cluster>
inline constexpr int kApeBytes = kKeepsApe<Cluster> ? G::window* kTileChannels * 4 : 0;

/// First row of a group that gets its position bias when pooled; kGroupRows if none does.
template <class G>
__device__ __forceinline__ int ape_from(const FoldParams& p, const PlanEntry& e, int group) {
  if (p.ape == nullptr) return kGroupRows;
  if (p.recipe.ape_when_pooled) return 0;
  return G::window - (p.projection != nullptr ? e.fresh : 0) - group * kGroupRows;
}

/// The thread's 8 rows of one tile.
template <class G>
struct HcaRows {
  RawRow row[kGroupRows];
};

template <class G, class S, class P, int PageRows>
__device__ __forceinline__ void issue_rows(const FoldParams& p, const PlanEntry& e,
                                           std::int32_t page, int group, int channel,
                                           HcaRows<G>& out) {
  const int first = group * kGroupRows;
  const int fresh_from = G::window - (p.projection != nullptr ? e.fresh : 0) - first;
  const std::int64_t token = static_cast<std::int64_t>(e.token) - (G::window - 1) + first;
  const std::int64_t step_row = token * step_stride<G, PageRows>(p) + channel;
  const std::int64_t page_row = page * p.page_stride + channel;
#pragma unroll
  for (int part = 0; part < 2; ++part) {  // scores first: the maximum needs all of them
    const int column = part == 0 ? G::state_width : 0;
#pragma unroll
    for (int r = 0; r < kGroupRows; ++r) {
      uint4 raw;
      if (r >= fresh_from) {
        raw = Loader<P>::load(p.projection, step_row + r * step_stride<G, PageRows>(p) + column);
      } else if constexpr (PageRows == kGroupRows) {
        raw = Loader<S>::load(p.state, page_row + r * page_row_stride<G, PageRows>(p) + column);
      } else {
        const std::int64_t position = static_cast<std::int64_t>(e.row) * G::ratio + (first + r);
        raw = Loader<S>::load(p.state,
                              state_row<PageRows>(p, e.request, position) + channel + column);
      }
      (part == 0 ? out.row[r].score : out.row[r].kv) = raw;
    }
  }
}

/// The page that holds the thread's group, when a page is a group.
template <class G, int PageRows>
__device__ __forceinline__ std::int32_t group_page(const FoldParams& p, const PlanEntry& e,
                                                   int group) {
  if constexpr (PageRows != kGroupRows) return 0;
  const int fresh = p.projection != nullptr ? e.fresh : 0;
  if (group * kGroupRows >= G::window - fresh) return 0;  // every row comes from this step
  return p.block_table[e.request * p.table_stride + static_cast<std::int64_t>(e.row) * G::groups +
                       group];
}

template <class G, class S, class P, bool Fast, bool KeepsApe>
__device__ __forceinline__ void fold_tile(const FoldParams& p, const PlanEntry& e, int group,
                                          int channel, const float4* ape_kept, const HcaRows<G>& in,
                                          Folded (&out)[4]) {
  const int first = group * kGroupRows;
  const int fresh_from = G::window - (p.projection != nullptr ? e.fresh : 0) - first;
  const int biased_from = ape_from<G>(p, e, group);
  const bool late = p.recipe.ape_when_pooled && p.ape != nullptr;
  const auto ape_of = [&](int r, int c) {
    if constexpr (KeepsApe) {
      return reinterpret_cast<const float*>(ape_kept + r * (kTileChannels / 4))[c];
    } else {
      return __ldg(p.ape + (first + r) * p.ape_stride + channel + c);
    }
  };
  Quad score[kGroupRows];
  Quad kv[kGroupRows];
#pragma unroll
  for (int r = 0; r < kGroupRows; ++r) {
    const bool early = !late && r >= biased_from;
    float4 a{};
    if constexpr (KeepsApe) {
      if (early) a = ape_kept[r * (kTileChannels / 4)];
    } else {
      if (early) {
        a = __ldg(reinterpret_cast<const float4*>(p.ape + (first + r) * p.ape_stride + channel));
      }
    }
    settle<S, P>(in.row[r], r >= fresh_from, early, a, score[r], kv[r]);
  }
  if (late) {
    fold_rows<0, kGroupRows, Fast, true>(score, kv, ape_of, out);
  } else {
    fold_rows<0, kGroupRows, Fast, false>(score, kv, ape_of, out);
  }
}

/// All groups of one channel, brought to the scale of the largest and summed by the tree of
/// neighbours. Four lanes share a channel, four groups each.
template <class G>
__device__ __forceinline__ float combine_groups(const HcaShared<G>& sh, int channel, int part) {
  constexpr int n = G::groups / 4;
  static_assert(n == 4);
  float magic[n];
  float weight[n];
  double value[n];
#pragma unroll
  for (int i = 0; i < n; ++i) {
    magic[i] = sh.magic[part * n + i][channel];
    weight[i] = sh.weight[part * n + i][channel];
    value[i] = sh.value[part * n + i][channel];
  }
  float top = numerics::smaller(numerics::smaller(magic[0], magic[1]),
                                numerics::smaller(magic[2], magic[3]));
  top = numerics::smaller(top, __shfl_xor_sync(kAllLanes, top, 1));
  top = numerics::smaller(top, __shfl_xor_sync(kAllLanes, top, 2));
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const float f = numerics::group_factor(magic[i], top);
    weight[i] = f * weight[i];
    value[i] = static_cast<double>(f) * value[i];
  }
  float w = (weight[0] + weight[1]) + (weight[2] + weight[3]);
  double v = (value[0] + value[1]) + (value[2] + value[3]);
  w = w + __shfl_xor_sync(kAllLanes, w, 1);
  v = v + __shfl_xor_sync(kAllLanes, v, 1);
  w = w + __shfl_xor_sync(kAllLanes, w, 2);
  v = v + __shfl_xor_sync(kAllLanes, v, 2);
  return numerics::pooled_of(v, w);
}

__device__ __forceinline__ float sum_tiles(const float (&s)[8]) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
__device__ __forceinline__ void fold_windows(const FoldParams& p) {
  static_assert(G::tiles == 8 && G::groups == 16 && !G::overlap);
  constexpr int tiles_here = G::tiles / Cluster;
  constexpr int finish_threads = tiles_here == 1 ? 32 : tiles_here * 16;
  __shared__ HcaShared<G> sh;
  extern __shared__ float4 ape_tile[];

  const int tid = static_cast<int>(threadIdx.x);
  if (static_cast<int>(blockIdx.x) >= p.fold_blocks) {
    wait_for_predecessor();
    save_rows<G, S, P, PageRows, kHcaThreads>(p, static_cast<int>(blockIdx.x) - p.fold_blocks,
                                              static_cast<int>(gridDim.x) - p.fold_blocks);
    return;
  }
  const int rank = static_cast<int>(blockIdx.x) % Cluster;
  const int first_tile = rank * tiles_here;
  const int group = tid / 16;
  const int quad = tid % 16;
  const int finish_tile = tiles_here == 1 ? first_tile : first_tile + tid / 16;
  const bool finishes = tid < finish_threads;
  float4* const ape_kept = ape_tile + group * kGroupRows * (kTileChannels / 4) + quad;
  bool ape_missing = kKeepsApe<Cluster>;
  const auto fetch_smaller = [&](const PlanEntry& e, std::uint32_t side) {
    if (finishes && p.output == Output::cache) {
      fetch_late<G>(p, e, finish_tile == G::tiles - 1, quad, sh.late[side][tid]);
    }
    if (!ape_missing || ape_from<G>(p, e, group) >= kGroupRows) return;
    ape_missing = false;
#pragma unroll
    for (int r = 0; r < kGroupRows; ++r) {
      copy_ahead<16>(
          ape_kept + r * (kTileChannels / 4),
          p.ape + (group * kGroupRows + r) * p.ape_stride + first_tile * kTileChannels + 4 * quad);
    }
  };
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
  if (finishes && p.output == Output::cache) {
    sh.norm[tid] = norm_quad(p, finish_tile * kTileChannels + 4 * quad);
  }
  wait_for_predecessor();

  WindowList list;
  const int worker = static_cast<int>(blockIdx.x) / Cluster;
  if (p.plan != nullptr) {
    list = plan_windows(p, worker, p.fold_blocks / Cluster);
  } else {
    list = scan_chunk<G>(p, worker, 0, 1, sh.found);
  }

  HcaRows<G> rows;
  std::int32_t index = list.first;
  PlanEntry entry{};
  PlanEntry next{};
  std::int32_t next_page = 0;
  if (index < list.count) {
    entry = list.head[0];
    const std::int32_t page = group_page<G, PageRows>(p, entry, group);
    fetch_smaller(entry, 0);
    issue_rows<G, S, P, PageRows>(p, entry, page, group, first_tile * kTileChannels + 4 * quad,
                                  rows);
  }
  if (index + list.stride < list.count) {
    next = list.head[1];
    next_page = group_page<G, PageRows>(p, next, group);
  }
#if __CUDA_ARCH__ >= 900
  if constexpr (Cluster > 1) cluster_wait();
#endif

  std::uint32_t round = 0;
#pragma unroll 1
  for (; index < list.count; index += list.stride, ++round) {
    const bool more = index + list.stride < list.count;
#pragma unroll 1
    for (int tile = 0; tile < tiles_here; ++tile) {
      const int channel = (first_tile + tile) * kTileChannels + 4 * quad;
      const bool last = tile == tiles_here - 1;
      Folded folded[4];
      if (tile == 0) wait_for_copies();
      fold_tile<G, S, P, Fast, kKeepsApe<Cluster>>(p, entry, group, channel, ape_kept, rows,
                                                   folded);
      *reinterpret_cast<float4*>(&sh.magic[group][4 * quad]) = {folded[0].magic, folded[1].magic,
                                                                folded[2].magic, folded[3].magic};
      *reinterpret_cast<float4*>(&sh.weight[group][4 * quad]) = {
          folded[0].weight, folded[1].weight, folded[2].weight, folded[3].weight};
      auto* values = reinterpret_cast<double2*>(&sh.value[group][4 * quad]);
      values[0] = {folded[0].value, folded[1].value};
      values[1] = {folded[2].value, folded[3].value};
      if (!last || more) {
        const int upcoming = (last ? first_tile : first_tile + tile + 1) * kTileChannels;
        PlanEntry e = entry;
        std::int32_t page = next_page;
        if (last) {
          e = next;
          fetch_smaller(e, (round + 1) & 1U);
        } else {
          page = group_page<G, PageRows>(p, entry, group);
        }
        issue_rows<G, S, P, PageRows>(p, e, page, group, upcoming + 4 * quad, rows);
      }
      __syncthreads();
      const int c = tid / 4;
      const float pooled = combine_groups<G>(sh, c, tid % 4);
      if (tid % 4 == 0) {
        sh.pooled[tile * kTileChannels + c] = pooled;
        if (p.output == Output::compressed) {
          p.compressed[entry.token * p.compressed_stride + (first_tile + tile) * kTileChannels +
                       c] = pooled;
        }
      }
      __syncthreads();
    }
    if (finishes && p.output == Output::cache) {
      Quad x;
      const float4 in = *reinterpret_cast<const float4*>(
          &sh.pooled[(finish_tile - first_tile) * kTileChannels + 4 * quad]);
      x = {{in.x, in.y, in.z, in.w}};
      if (p.recipe.pooled_bf16) round_quad(x);
      const float mine = tile_squares(x);
      float s[8];
      const std::uint32_t side = round & 1U;
      if constexpr (Cluster > 1) {
#if __CUDA_ARCH__ >= 900
        // lane r of each tile tells block r; every block hears 8 tiles
        if (tid % 16 < Cluster && (tiles_here > 1 || tid < 16)) {
          const std::uint32_t slot = shared_address(&sh.squares[side][finish_tile]);
          const std::uint32_t bar = shared_address(&sh.arrived[side]);
          put_to_peer(peer_address(slot, tid % 16), mine, peer_address(bar, tid % 16));
        }
        if (tid == 0) barrier_expect(&sh.arrived[side], sizeof(sh.squares[0]));
        barrier_wait(&sh.arrived[side], (round >> 1) & 1U);
#endif
      } else {
        if (quad == 0) sh.squares[side][finish_tile] = mine;
        asm volatile("bar.sync 1, 128;" ::: "memory");
      }
#pragma unroll
      for (int i = 0; i < 8; ++i)
        s[i] = sh.squares[side][i];
      const std::int64_t kv_slot = sh.late[side][tid].kv_slot;
      if (kv_slot >= 0) {
        const float scale = numerics::rms_scale(sum_tiles(s), G::head_dim, p.eps);
        norm_rope_quad(p, x, scale, sh.norm[tid], sh.late[side][tid], finish_tile == G::tiles - 1);
        if (tiles_here > 1 || tid < 16) {
          store_tile<G>(p, x, finish_tile, quad, row_target<CacheRows>(p, kv_slot));
        }
      }
    }
    entry = next;
    if (index + 2 * list.stride < list.count) {
      next = list.entries[index + 2 * list.stride];
      next_page = group_page<G, PageRows>(p, next, group);
    }
  }
  let_successor_start();
}

/// Devices that have clusters use them, so each architecture gets the code of one kind only.
#if __CUDA_ARCH__ >= 900
inline constexpr bool kHasClusters = true;
#else
inline constexpr bool kHasClusters = false;
#endif

template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
__global__ void __launch_bounds__(kHcaThreads, 1) hca_kernel(const __grid_constant__ FoldParams p) {
  if constexpr ((Cluster > 1) == kHasClusters) {
    fold_windows<G, S, P, PageRows, CacheRows, Cluster, Fast>(p);
  } else {
    __trap();
  }
}

}  // namespace pleat::cuda
