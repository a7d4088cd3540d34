// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/hca_shared.cuh"
#include "cuda/hca_window.cuh"
#include "cuda/join.cuh"
#include "cuda/write_through.cuh"

// Folding HCA windows: a cluster of 1, 2 or 8 blocks has a window, a block of it 8, 4 or 1 tiles of
// 64 channels, and as many warps as there are blocks share a tile, each a part of its rows. So
// whatever the cluster, a block has 8 warps, and each works by itself from the first row of its
// part to the last. Then one warp of a tile, another with each window, joins the parts and finishes
// the tile, while the others are on the next window. Only sums of squares cross blocks.
namespace pleat::cuda {

/// Where a warp stands in its block and cluster.
template <class G, int Cluster>
struct HcaPlace {
  int lane = static_cast<int>(threadIdx.x) % 32;
  int warp = static_cast<int>(threadIdx.x) / 32;
  int part = warp % Cluster;      ///< of the tile's rows
  int own_tile = warp / Cluster;  ///< among the block's
  int tile = static_cast<int>(blockIdx.x) % Cluster * (G::tiles / Cluster) + own_tile;
  int worker = static_cast<int>(blockIdx.x) / Cluster;  ///< the cluster among those that fold
};

/// A warp and its part of a tile, window after window.
template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
struct HcaWarp {
  static_assert(G::tiles == kHcaWarps && !G::overlap && G::tiles % Cluster == 0);
  using Memory = HcaMemory<Cluster>;
  static constexpr int parts = Cluster;  ///< of a tile's rows, a warp each
  static constexpr int groups = Memory::groups;
  static_assert(groups % kSpanGroups == 0 && groups <= 8 * kSpanGroups);
  /// A cluster of 8 has registers to spare for the next window's entry; the others load what they
  /// need of one where they need it.
  static constexpr bool keeps = Cluster == 8 && PageRows > 0;

  __device__ __forceinline__ HcaWarp(const FoldParams& params, uint4* dynamic, HcaShared<G>& shared)
      : p(params),
        sh(shared),
        sums(*reinterpret_cast<SpanSums<kHcaWarps * Memory::places>*>(dynamic)),
        ring(kMayHaveOneSlot ? params.tile_slots : kSlots),
        first_group(at.part * groups),
        slots(shared_address(dynamic) + Memory::sums + at.warp * ring * kTileBytes),
        ape(shared_address(dynamic) + Memory::sums + ring * Memory::slot_bytes +
            at.warp * ring * kTilePartBytes),
        copies(params, at.tile, at.lane),
        bias(bias_of(params)) {}

  __device__ __forceinline__ void run(uint4* dynamic) {
    ask_for_bias();
    if (!p.early) wait_for_predecessor();
    list = windows(dynamic);
    ask_for_first_window();
    wait_for_rows();
#if __CUDA_ARCH__ >= 900
    if constexpr (Cluster > 1) cluster_wait();  // all peers' barriers are there
#endif
    kept = list.head[1];
    fresh = fresh_of(p, list.head[0]);
#pragma unroll 1
    for (std::int32_t index = list.first; index < list.count; index += list.stride, ++turn) {
      finish(index, fold_part(index));
    }
  }

  /// Who joins the parts of a tile, and finishes it.
  __device__ __forceinline__ bool finishes(std::uint32_t of_turn) const {
    return at.part == static_cast<int>(of_turn % parts);
  }

  __device__ __forceinline__ bool rotates() const {
    return at.tile == G::tiles - 1;
  }

  __device__ __forceinline__ void issue_bias(int group, int slot) {  // a group of the part
    issue_ape<G>(p, (first_group + group) * kGroupRows, at.tile * kTileChannels,
                 ape + slot * kTilePartBytes, at.lane);
    biased |= 1U << slot;
  }

  __device__ __forceinline__ void issue(const PlanEntry& e, int group, int slot) {
    copies.issue(p, e, __shfl_sync(kAllLanes, pages, group), first_group + group,
                 slots + slot * kTileBytes);
    if ((biased >> slot & 1U) == 0 && needs_bias<G>(p, bias, e, first_group + group)) {
      issue_bias(group, slot);
    }
    if (ring != groups) biased &= ~(1U << slot);  // the slot's next group has another
  }

  /// What of a window is not its rows, for the warp that finishes it.
  __device__ __forceinline__ void issue_rest(const PlanEntry& e, std::uint32_t of_turn) {
    if (p.output == Output::cache && finishes(of_turn)) {
      issue_late<G>(p, e, rotates(), at.lane, sh.late[at.warp][of_turn & 1U]);
    }
  }

  __device__ __forceinline__ std::int32_t pages_of(const PlanEntry& e) const {
    // lane l: of the part's group l
    return at.lane < groups ? page_of<G, PageRows>(p, e, first_group + at.lane) : 0;
  }

  __device__ __forceinline__ PlanEntry next(std::int32_t index) const {
    return keeps ? kept : list.at(index + list.stride);
  }

  /// With many tokens most windows need it, and it comes while the plan is read.
  __device__ __forceinline__ void ask_for_bias() {
    if (bias == Bias::late || (bias == Bias::early && p.tokens > kFewTokens)) {
#pragma unroll 1
      for (int g = 0; g < ring; ++g)
        issue_bias(g, g);
    }
  }

  __device__ __forceinline__ WindowList windows(uint4* dynamic) const {
    if (p.plan != nullptr) {
      return Cluster == 1 ? windows_of_block(p, at.worker)
                          : plan_windows(p, at.worker, p.shares.blocks / Cluster);
    }
    auto* found = reinterpret_cast<PlanEntry*>(
        reinterpret_cast<char*>(dynamic) + Memory::sums +
        ring * (Memory::slot_bytes + (p.ape != nullptr ? Memory::ape_bytes : 0)));
    const std::int32_t sharing = p.shares.sharing;
    return scan_chunk(G{}, p, at.worker / sharing, at.worker % sharing, sharing, found);
  }

  __device__ __forceinline__ void ask_for_first_window() {
    if (list.first >= list.count) return;
    pages = pages_of(list.head[0]);
#pragma unroll 1
    for (int g = 0; g < ring; ++g) {
      const bool from_before = fresh_from<G>(p, list.head[0], first_group + g) >= kGroupRows;
      if (p.projection == nullptr || !from_before) wait_for_predecessor();
      issue(list.head[0], g, g);
      if (g == 0) issue_rest(list.head[0], 0);
      close_copies();
    }
  }

  /// The part's rows of a window, while copies of what comes after them are on their way.
  __device__ __forceinline__ Sums fold_part(std::int32_t index) {
    const bool more = index + list.stride < list.count;
    if (more && groups == ring) pages = pages_of(next(index));
    bool read = turn == 0;  // the parts of the window before, by who joins them
    const auto before_write = [&] {
      if (parts > 1 && !read) barrier_of(1 + at.own_tile, 32 * parts);
      read = true;
    };
    Sums held{};
    Scales held_scales{};
    Sums span{};
    Scales scales{};
#pragma unroll 1
    for (int g = 0; g < groups; ++g) {
      const int from = G::window - fresh - (first_group + g) * kGroupRows;
      if (ring == kSlots) {
        wait_for_copies<kSlots - 1>();
      } else {
        wait_for_copies<0>();
      }
      __syncwarp();
      Bias left;
      const auto rows = Settler<S, P>::settle(
          slots + slot * kTileBytes, ape + slot * kTilePartBytes, from, bias, at.lane, left);
      fold_rows<0, Fast>(p.exp, rows, left, g % kSpanGroups == 0, span, scales);
      if (p.writes_through) [[unlikely]] {
        write_through<G, S, P>(p, list.at(index), (first_group + g) * kGroupRows,
                               at.tile * kTileChannels, from, rows, left == Bias::early, at.lane);
      }
      __syncwarp();  // every lane has read its part
      if (g + ring < groups) {
        issue(list.at(index), g + ring, slot);
      } else if (more) {
        issue(next(index), g + ring - groups, slot);
        if (g + ring == groups) issue_rest(next(index), turn + 1);
      }
      close_copies();
      slot = slot + 1 == ring ? 0 : slot + 1;
      // the last of this window's groups is on its way: now the next window's pages
      if (more && g + 1 + ring == groups) pages = pages_of(next(index));
      if (groups > kSpanGroups && (g + 1) % kSpanGroups == 0) {
        join_as_they_come<(Memory::places > 2)>(g / kSpanGroups, g + 1 == groups, sums,
                                                at.warp * Memory::places, at.lane, span, scales,
                                                held, held_scales, before_write);
      }
    }
    if (more) fresh = fresh_of(p, next(index));
    if (keeps && index + 2 * list.stride < list.count) kept = list.at(index + 2 * list.stride);
    if constexpr (parts > 1) {
      before_write();
      sums.put(at.warp, at.lane, span, scales);
    }
    return span;
  }

  /// The row, or the tile's part of it, by the warp whose turn it is.
  __device__ __forceinline__ void finish(std::int32_t index, Sums span) {
    Two weight{};
    if (finishes(turn) && p.output == Output::cache) {
      weight = norm_of(p, at.tile * kTileChannels + 2 * at.lane);
    }
    if constexpr (parts > 1) {
      barrier_of(1 + at.own_tile, 32 * parts);
      if (!finishes(turn)) return;
      span = sums.template join_all<parts>(at.own_tile * parts, at.lane);
    }
    Two x = pooled_two(p, span);
    if (p.output == Output::compressed) {
      const std::int64_t row = list.at(index).token * p.compressed_stride;
      store_two<float>(p.compressed, row + at.tile * kTileChannels + 2 * at.lane, x);
      return;
    }
    if (p.recipe.pooled_bf16) x = rounded(x);
    const double squares = row_squares<G, Cluster>(sh, turn, at.tile, at.lane, tile_squares(x));
    const Late late = read_late(sh.late[at.warp][turn & 1U], rotates(), at.lane);
    if (late.kv_slot < 0) return;
    const Two y = norm_rope<G>(p, x, squares, weight, late, rotates());
    store_tile(p, y, at.tile, G::tiles, at.lane, row_target<CacheRows>(p, late.kv_slot));
  }

  const FoldParams& p;
  HcaShared<G>& sh;
  SpanSums<kHcaWarps * Memory::places>& sums;
  const HcaPlace<G, Cluster> at;
  const int ring;         ///< slots
  const int first_group;  ///< of the part
  const std::uint32_t slots;
  const std::uint32_t ape;
  const HcaCopies<G, S, P, PageRows> copies;
  const Bias bias;

  WindowList list;
  PlanEntry kept;          ///< the window after this one
  std::int32_t pages = 0;  ///< lane l: of the part's group l, of the window asked for last
  unsigned biased = 0;     ///< a bit for each slot whose rows' position bias is there
  std::uint32_t turn = 0;  ///< windows before this one
  int fresh = 0;           ///< rows of this step in this window
  int slot = 0;            ///< of the next group
};

template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
__device__ __forceinline__ void fold_windows(const FoldParams& p, uint4* dynamic) {
  __shared__ HcaShared<G> sh;
#if __CUDA_ARCH__ >= 900
  if constexpr (Cluster > 1) {
    if (threadIdx.x < 2) {
      barrier_init(&sh.arrived[threadIdx.x], 1);
      barrier_init_fence();
    }
    __syncwarp();
    cluster_arrive();
  }
#endif
  HcaWarp<G, S, P, PageRows, CacheRows, Cluster, Fast>(p, dynamic, sh).run(dynamic);
}

}  // namespace pleat::cuda
