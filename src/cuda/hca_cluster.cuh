// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/hca_window.cuh"
#include "cuda/join.cuh"
#include "cuda/write_through.cuh"

// A cluster of 8 blocks for a window: a block has a tile of 64 channels, a warp of it a span of 16
// rows. Each warp copies and folds its span by itself; then one warp of the block, another with
// each window, joins the spans and finishes the tile, while the others fold the next window. Only
// the tiles' sums of squares cross blocks.
namespace pleat::cuda {

/// Dynamic shared memory: the warps' two slots, what they have folded, the position bias (where
/// there is one), the windows that a block without a plan has found.
struct HcaClusterMemory {
  static constexpr int folded = kHcaWarps * kSpanGroups * kTileBytes;
  static constexpr int ape = folded + static_cast<int>(sizeof(SpanSums<kHcaWarps>));
  static constexpr int ape_bytes = Hca::value.ratio * kTileRowBytes;
  static constexpr int found_bytes = kScanThreads * static_cast<int>(sizeof(PlanEntry));
};

/// Sums of squares of rows, two in turn: who tells those of round r + 2 has heard all of round
/// r + 1, before which every block has read those of round r.
template <class G>
struct HcaClusterShared {
  float squares[2][G::tiles];
  std::uint64_t arrived[2];
};

/// Tells all blocks of the cluster the block's sum of squares, and returns everybody's. By a warp.
template <class G>
__device__ __forceinline__ float all_squares(HcaClusterShared<G>& sh, std::uint32_t round, int tile,
                                             int lane, float own) {
  float squares[G::tiles] = {};
#if __CUDA_ARCH__ >= 900
  const std::uint32_t side = round & 1U;
  if (lane == 0) barrier_expect(&sh.arrived[side], sizeof(sh.squares[0]));
  if (lane < G::tiles) {
    put_to_peer(peer_address(shared_address(&sh.squares[side][tile]), lane), own,
                peer_address(shared_address(&sh.arrived[side]), lane));
  }
  barrier_wait(&sh.arrived[side], round >> 1 & 1U);
#pragma unroll
  for (int i = 0; i < G::tiles; ++i)
    squares[i] = sh.squares[side][i];
#endif
  return sum_tiles(squares);
}

template <class G, class S, class P, int PageRows, int CacheRows, bool Fast>
__device__ __forceinline__ void fold_by_cluster(const FoldParams& p, uint4* dynamic) {
  static_assert(G::tiles == 8 && G::groups == kHcaWarps * kSpanGroups && !G::overlap);
  static_assert(kSpanGroups == 2);
  __shared__ HcaClusterShared<G> sh;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int tile = static_cast<int>(blockIdx.x) % G::tiles;
  const int worker = static_cast<int>(blockIdx.x) / G::tiles;
#if __CUDA_ARCH__ >= 900
  if (threadIdx.x < 2) {
    barrier_init(&sh.arrived[threadIdx.x], 1);
    barrier_init_fence();
  }
  __syncwarp();
  cluster_arrive();
#endif
  const std::uint32_t memory = shared_address(dynamic);
  const std::uint32_t slots = memory + warp * kSpanGroups * kTileBytes;
  const std::uint32_t ape = memory + HcaClusterMemory::ape + warp * kSpanGroups * kTilePartBytes;
  auto& folded = *reinterpret_cast<SpanSums<kHcaWarps>*>(dynamic + HcaClusterMemory::folded / 16);
  const HcaCopies<G, S, P, PageRows> copies(p, tile, lane);
  const int first_group = warp * kSpanGroups;
  const Bias bias = bias_of(p);
  unsigned biased = 0;  // a bit for each of the warp's groups whose position bias is there

  const auto issue_bias = [&](int h) {
    issue_ape<G>(p, (first_group + h) * kGroupRows, tile * kTileChannels, ape + h * kTilePartBytes,
                 lane);
    biased |= 1U << h;
  };
  // With many tokens most windows need it, and it comes while the plan is read.
  if (bias == Bias::late || (bias == Bias::early && p.tokens > kFewTokens)) {
    issue_bias(0);
    issue_bias(1);
  }
  wait_for_predecessor();

  WindowList list;
  if (p.plan != nullptr) {
    list = plan_windows(p, worker, p.fold_blocks / G::tiles);
  } else {
    auto* found =
        reinterpret_cast<PlanEntry*>(reinterpret_cast<char*>(dynamic) + HcaClusterMemory::ape +
                                     (p.ape != nullptr ? HcaClusterMemory::ape_bytes : 0));
    list = scan_chunk<G>(p, worker, 0, 1, found);
  }
  const auto pages_of = [&](const PlanEntry& e) {  // lane h: of the warp's group h
    return lane < kSpanGroups ? page_of<G, PageRows>(p, e, first_group + lane) : 0;
  };
  const auto issue = [&](const PlanEntry& e, std::int32_t pages, int h) {
    const int group = first_group + h;
    copies.issue(p, e, __shfl_sync(kAllLanes, pages, h), group, slots + h * kTileBytes);
    if ((biased >> h & 1U) == 0 && needs_bias<G>(p, bias, e, group)) issue_bias(h);
  };

  PlanEntry entry = list.head[0];
  PlanEntry next = list.head[1];
  if (list.first < list.count) {
    const std::int32_t pages = pages_of(entry);
#pragma unroll 1
    for (int h = 0; h < kSpanGroups; ++h) {
      issue(entry, pages, h);
      close_copies();
    }
  }
#if __CUDA_ARCH__ >= 900
  cluster_wait();  // all peers' barriers are there
#endif
  std::uint32_t round = 0;
#pragma unroll 1
  for (std::int32_t index = list.first; index < list.count; index += list.stride, ++round) {
    const bool more = index + list.stride < list.count;
    const bool finishes = warp == static_cast<int>(round % kHcaWarps);
    std::int32_t pages = 0;
    if (more) pages = pages_of(next);
    Late late{};
    if (finishes && p.output == Output::cache) {
      late = fetch_late<G>(p, entry, tile == G::tiles - 1, lane);
    }
    Sums span{};
    Scales scales{};
#pragma unroll 1
    for (int h = 0; h < kSpanGroups; ++h) {
      const int from = fresh_from<G>(p, entry, first_group + h);
      wait_for_copies<kSpanGroups - 1>();
      __syncwarp();
      Bias left;
      const auto rows = Settler<S, P>::settle(slots + h * kTileBytes, ape + h * kTilePartBytes,
                                              from, bias, lane, left);
      fold_rows<0, Fast>(p.exp, rows, left, h == 0, span, scales);
      if (p.writes_through) [[unlikely]] {
        write_through<G, S, P>(p, entry, (first_group + h) * kGroupRows, tile * kTileChannels, from,
                               rows, left == Bias::early, lane);
      }
      __syncwarp();  // every lane has read its part
      if (more) issue(next, pages, h);
      close_copies();
    }
    const PlanEntry now = entry;
    entry = next;
    if (index + 2 * list.stride < list.count) next = list.entries[index + 2 * list.stride];
    if (round > 0) __syncthreads();  // the window before has been joined
    folded.put(warp, lane, span, scales);
    Two weight{};
    if (finishes && p.output == Output::cache) {
      weight = norm_of(p, tile * kTileChannels + 2 * lane);
    }
    __syncthreads();
    if (!finishes) continue;
    Two x = pooled_two(p, folded.join_all(lane));
    if (p.output == Output::compressed) {
      store_two<float>(p.compressed,
                       now.token * p.compressed_stride + tile * kTileChannels + 2 * lane, x);
      continue;
    }
    if (p.recipe.pooled_bf16) x = rounded(x);
    const float squares = all_squares(sh, round, tile, lane, tile_squares(x));
    if (late.kv_slot < 0) continue;
    const Two y = norm_rope<G>(p, x, squares, weight, late, tile == G::tiles - 1);
    store_tile<G>(p, y, tile, lane, row_target<CacheRows>(p, late.kv_slot));
  }
}

}  // namespace pleat::cuda
