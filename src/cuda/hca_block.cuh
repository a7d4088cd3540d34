// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/hca_window.cuh"
#include "cuda/join.cuh"
#include "cuda/write_through.cuh"

// A block for a window, a warp of it for each tile of 64 channels, span after span: for many
// windows, where clusters leave multiprocessors out, and for devices that have none. Warps meet
// once a window, for the tiles' sums of squares.
namespace pleat::cuda {

inline constexpr int kRing = 2;  ///< tiles of a warp in shared memory

/// Dynamic shared memory: the warps' tiles, their spans that wait for neighbours, their position
/// bias (where there is one), the windows that a block without a plan has found.
struct HcaBlockMemory {
  static constexpr int places = 2;
  static constexpr int waiting = kHcaWarps * kRing * kTileBytes;
  static constexpr int ape = waiting + static_cast<int>(sizeof(SpanSums<kHcaWarps * places>));
  static constexpr int ape_bytes = kHcaWarps * kRing * kTilePartBytes;
  static constexpr int found_bytes = kScanThreads * static_cast<int>(sizeof(PlanEntry));
};

/// Joins the span that a warp has just folded, its i-th, to those before it, as neighbours meet.
/// After the last one, `span` is all of them; before, what is left waits, and `span` is empty.
template <class Waiting>
__device__ __forceinline__ void join_as_they_come(int i, bool last, Waiting& waiting, int warp,
                                                  int lane, Sums& span, Scales& n, Sums& held,
                                                  Scales& m) {
  const int place = warp * HcaBlockMemory::places;
  const auto join_before = [&](int where, Sums& later, Scales& scales) {
    Scales before_scales;
    Sums before = waiting.get(where, lane, before_scales);
    join(before, before_scales, later, scales);
    later = before;
    scales = before_scales;
  };
  if ((i & 1) == 0) {
    held = span;
    m = n;
  } else {
    join(held, m, span, n);
    span = held;
    n = m;
    if ((i & 2) != 0) {
      join_before(place, span, n);
      if ((i & 4) != 0) join_before(place + 1, span, n);
    }
    if (!last) waiting.put(place + (i >> 1 & 1), lane, span, n);
  }
  if (!last) {
    span = {};
    n = {};
  }
}

template <class G, class S, class P, int PageRows, int CacheRows, bool Fast>
__device__ __forceinline__ void fold_by_block(const FoldParams& p, uint4* dynamic) {
  static_assert(G::tiles == kHcaWarps && !G::overlap && G::groups <= 8 * kSpanGroups);
  __shared__ float shared_squares[2][G::tiles];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int tile = static_cast<int>(threadIdx.x) / 32;
  wait_for_predecessor();

  WindowList list;
  if (p.plan != nullptr) {
    list = plan_windows(p, static_cast<int>(blockIdx.x), p.fold_blocks);
  } else {
    auto* found =
        reinterpret_cast<PlanEntry*>(reinterpret_cast<char*>(dynamic) + HcaBlockMemory::ape +
                                     (p.ape != nullptr ? HcaBlockMemory::ape_bytes : 0));
    list = scan_chunk<G>(p, static_cast<int>(blockIdx.x), 0, 1, found);
  }
  const std::uint32_t memory = shared_address(dynamic);
  const std::uint32_t slots = memory + tile * kRing * kTileBytes;
  const std::uint32_t ape = memory + HcaBlockMemory::ape + tile * kRing * kTilePartBytes;
  auto& waiting = *reinterpret_cast<SpanSums<kHcaWarps * HcaBlockMemory::places>*>(
      dynamic + HcaBlockMemory::waiting / 16);
  const HcaCopies<G, S, P, PageRows> copies(p, tile, lane);
  const Bias bias = bias_of(p);

  const auto pages_of = [&](const PlanEntry& e) {  // lane l: of group l
    return lane < G::groups ? page_of<G, PageRows>(p, e, lane) : 0;
  };
  const auto issue = [&](const PlanEntry& e, std::int32_t pages, int group) {
    const int slot = group % kRing;
    copies.issue(p, e, __shfl_sync(kAllLanes, pages, group), group, slots + slot * kTileBytes);
    if (needs_bias<G>(p, bias, e, group)) {
      issue_ape<G>(p, group * kGroupRows, tile * kTileChannels, ape + slot * kTilePartBytes, lane);
    }
  };

  PlanEntry entry = list.head[0];
  PlanEntry next = list.head[1];
  std::int32_t pages = 0;
  std::int32_t next_pages = 0;
  if (list.first < list.count) {
    pages = pages_of(entry);
#pragma unroll 1
    for (int g = 0; g < kRing; ++g) {
      issue(entry, pages, g);
      close_copies();
    }
  }
  std::uint32_t side = 0;
#pragma unroll 1
  for (std::int32_t index = list.first; index < list.count; index += list.stride) {
    const bool more = index + list.stride < list.count;
    if (more) next_pages = pages_of(next);
    Late late{};
    if (p.output == Output::cache) late = fetch_late<G>(p, entry, tile == G::tiles - 1, lane);
    Sums held{};
    Scales held_scales{};
    Sums span{};
    Scales scales{};
#pragma unroll 1
    for (int g = 0; g < G::groups; ++g) {
      const int slot = g % kRing;
      const int from = fresh_from<G>(p, entry, g);
      wait_for_copies<kRing - 1>();
      __syncwarp();
      Bias left;
      const auto rows = Settler<S, P>::settle(slots + slot * kTileBytes,
                                              ape + slot * kTilePartBytes, from, bias, lane, left);
      fold_rows<0, Fast>(p.exp, rows, left, g % kSpanGroups == 0, span, scales);
      if (p.writes_through) [[unlikely]] {
        write_through<G, S, P>(p, entry, g * kGroupRows, tile * kTileChannels, from, rows,
                               left == Bias::early, lane);
      }
      __syncwarp();  // every lane has read its part
      if (g + kRing < G::groups) {
        issue(entry, pages, g + kRing);
      } else if (more) {
        issue(next, next_pages, g + kRing - G::groups);
      }
      close_copies();
      if ((g + 1) % kSpanGroups == 0) {
        join_as_they_come(g / kSpanGroups, g + 1 == G::groups, waiting, tile, lane, span, scales,
                          held, held_scales);
      }
    }
    const PlanEntry now = entry;
    entry = next;
    pages = next_pages;
    if (index + 2 * list.stride < list.count) next = list.entries[index + 2 * list.stride];
    Two x = pooled_two(p, span);
    if (p.output == Output::compressed) {
      store_two<float>(p.compressed,
                       now.token * p.compressed_stride + tile * kTileChannels + 2 * lane, x);
      continue;
    }
    const Two weight = norm_of(p, tile * kTileChannels + 2 * lane);
    if (p.recipe.pooled_bf16) x = rounded(x);
    const float own = tile_squares(x);
    if (lane == 0) shared_squares[side][tile] = own;
    __syncthreads();
    float squares[G::tiles];
#pragma unroll
    for (int i = 0; i < G::tiles; ++i)
      squares[i] = shared_squares[side][i];
    side ^= 1U;
    if (late.kv_slot < 0) continue;
    const Two y = norm_rope<G>(p, x, sum_tiles(squares), weight, late, tile == G::tiles - 1);
    store_tile<G>(p, y, tile, lane, row_target<CacheRows>(p, late.kv_slot));
  }
}

}  // namespace pleat::cuda
