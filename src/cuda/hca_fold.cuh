// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/hca_window.cuh"
#include "cuda/join.cuh"
#include "cuda/write_through.cuh"

// Folding HCA windows: a cluster of 1, 2 or 8 blocks has a window, a block of it 8, 4 or 1 tiles of
// 64 channels, and as many warps as there are blocks share a tile, each a part of its rows. So
// whatever the cluster, a block has 8 warps, and each works by itself from the first row of its
// part to the last. Then one warp of a tile, another with each window, joins the parts and finishes
// the tile, while the others are on the next window. Only sums of squares cross blocks.
namespace pleat::cuda {

/// Tiles of a warp in shared memory. More wait longer for their first one, and lose at every size.
inline constexpr int kSlots = 2;

/// GPUs with 100 KiB of shared memory (\p arch: compute capability times 10) have no room for a
/// second slot beside its position bias. Elsewhere two slots are a constant.
constexpr bool may_have_one_slot(int arch) {
  return arch == 86 || arch == 89 || arch >= 120;
}
#if defined(__CUDA_ARCH__)
inline constexpr bool kMayHaveOneSlot = may_have_one_slot(__CUDA_ARCH__ / 10);
#else
inline constexpr bool kMayHaveOneSlot = false;
#endif

/// Dynamic shared memory: spans that wait for their neighbours, then the parts of tiles; the warps'
/// slots; their position bias (where there is one); the windows that a block without a plan has
/// found.
template <int Cluster>
struct HcaMemory {
  static constexpr int groups = Hca::value.ratio / kGroupRows / Cluster;  ///< of a warp
  /// Of a warp. With clusters, the first of two spans waits in registers: two blocks of a
  /// multiprocessor would not have room for the bias.
  static constexpr int places = Cluster == 1 ? 3 : 1;
  static constexpr int sums = static_cast<int>(sizeof(SpanSums<kHcaWarps * places>));
  static constexpr int slot_bytes = kHcaWarps * kTileBytes;
  static constexpr int ape_bytes = kHcaWarps * kTilePartBytes;  ///< of a slot
  static constexpr int found_bytes = kScanThreads * static_cast<int>(sizeof(PlanEntry));

  static constexpr int bytes(int slots, bool biased, bool planned) {
    return kSharedAlignment + sums + slots * (slot_bytes + (biased ? ape_bytes : 0)) +
           (planned ? 0 : found_bytes);
  }
};

/// Joins the span that a warp has just folded, its i-th, to those before it, as neighbours meet.
/// After the last one, `span` is all of them; before, what is left waits, and `span` is empty.
/// \p before_wait: called before anything is written to the part's place.
template <bool HeldInMemory, class Waiting, class Before>
__device__ __forceinline__ void join_as_they_come(int i, bool last, Waiting& waiting, int place,
                                                  int lane, Sums& span, Scales& n, Sums& held,
                                                  Scales& m, Before before_wait) {
  const auto join_before = [&](int where) {
    Scales before_scales;
    Sums before = waiting.get(where, lane, before_scales);
    join(before, before_scales, span, n);
    span = before;
    n = before_scales;
  };
  if ((i & 1) == 0) {
    if constexpr (HeldInMemory) {
      waiting.put(place + 2, lane, span, n);
    } else {
      held = span;
      m = n;
    }
  } else {
    if constexpr (HeldInMemory) {
      join_before(place + 2);
    } else {
      join(held, m, span, n);
      span = held;
      n = m;
    }
    if ((i & 2) != 0) {
      join_before(place);
      if ((i & 4) != 0) join_before(place + 1);
    }
    if (!last) {
      before_wait();
      waiting.put(place + (i >> 1 & 1), lane, span, n);
    }
  }
  if (!last) {
    span = {};
    n = {};
  }
}

/// Sums of squares of windows, two in turn: who tells those of window w + 2 has heard all of window
/// w + 1, before which every block has read those of window w.
template <class G>
struct HcaShared {
  float squares[2][G::tiles];
  std::uint64_t arrived[2];
  LateSlot late[kHcaWarps][2];
};

/// Tells all blocks of the cluster a tile's sum of squares, and returns the row's. By one warp of
/// each tile. \p turn: windows before this one.
template <class G, int Cluster>
__device__ __forceinline__ float row_squares(HcaShared<G>& sh, std::uint32_t turn, int tile,
                                             int lane, float own) {
  const std::uint32_t side = turn & 1U;
  if constexpr (Cluster == 1) {
    if (lane == 0) sh.squares[side][tile] = own;
    __syncthreads();
  } else {
#if __CUDA_ARCH__ >= 900
    if (lane == 0 && tile % (G::tiles / Cluster) == 0) {
      barrier_expect(&sh.arrived[side], sizeof(sh.squares[0]));
    }
    if (lane < Cluster) {
      put_to_peer(peer_address(shared_address(&sh.squares[side][tile]), lane), own,
                  peer_address(shared_address(&sh.arrived[side]), lane));
    }
    barrier_wait(&sh.arrived[side], turn >> 1 & 1U);
#endif
  }
  float squares[G::tiles];
#pragma unroll
  for (int i = 0; i < G::tiles; ++i)
    squares[i] = sh.squares[side][i];
  return sum_tiles(squares);
}

template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
__device__ __forceinline__ void fold_windows(const FoldParams& p, uint4* dynamic) {
  static_assert(G::tiles == kHcaWarps && !G::overlap && G::tiles % Cluster == 0);
  constexpr int parts = Cluster;  // of a tile's rows, a warp each
  using Memory = HcaMemory<Cluster>;
  constexpr int groups = Memory::groups;
  static_assert(groups % kSpanGroups == 0 && groups <= 8 * kSpanGroups);
  const int ring = kMayHaveOneSlot ? p.tile_slots : kSlots;
  __shared__ HcaShared<G> sh;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int part = warp % parts;
  const int own_tile = warp / parts;  // among the block's
  const int tile = static_cast<int>(blockIdx.x) % Cluster * (G::tiles / Cluster) + own_tile;
  const int worker = static_cast<int>(blockIdx.x) / Cluster;
  const int first_group = part * groups;
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
  auto& sums = *reinterpret_cast<SpanSums<kHcaWarps * Memory::places>*>(dynamic);
  const std::uint32_t memory = shared_address(dynamic) + Memory::sums;
  const std::uint32_t slots = memory + warp * ring * kTileBytes;
  const std::uint32_t ape = memory + ring * Memory::slot_bytes + warp * ring * kTilePartBytes;
  const HcaCopies<G, S, P, PageRows> copies(p, tile, lane);
  const Bias bias = bias_of(p);
  const bool rotates = tile == G::tiles - 1;
  const auto finishes = [&](std::uint32_t turn) { return part == static_cast<int>(turn % parts); };
  unsigned biased = 0;  // a bit for each slot whose rows' position bias is there

  const auto issue_bias = [&](int group, int slot) {  // a group of the part
    issue_ape<G>(p, (first_group + group) * kGroupRows, tile * kTileChannels,
                 ape + slot * kTilePartBytes, lane);
    biased |= 1U << slot;
  };
  // With many tokens most windows need it, and it comes while the plan is read.
  if (bias == Bias::late || (bias == Bias::early && p.tokens > kFewTokens)) {
#pragma unroll 1
    for (int g = 0; g < ring; ++g)
      issue_bias(g, g);
  }
  if (!p.early) wait_for_predecessor();

  WindowList list;
  if (p.plan != nullptr) {
    list = Cluster == 1 ? windows_of_block(p, worker)
                        : plan_windows(p, worker, p.shares.blocks / Cluster);
  } else {
    auto* found = reinterpret_cast<PlanEntry*>(
        reinterpret_cast<char*>(dynamic) + Memory::sums +
        ring * (Memory::slot_bytes + (p.ape != nullptr ? Memory::ape_bytes : 0)));
    list = scan_chunk<G>(p, worker, 0, 1, found);
  }
  const auto pages_of = [&](const PlanEntry& e) {  // lane l: of the part's group l
    return lane < groups ? page_of<G, PageRows>(p, e, first_group + lane) : 0;
  };
  const auto issue = [&](const PlanEntry& e, std::int32_t pages, int group, int slot) {
    copies.issue(p, e, __shfl_sync(kAllLanes, pages, group), first_group + group,
                 slots + slot * kTileBytes);
    if ((biased >> slot & 1U) == 0 && needs_bias<G>(p, bias, e, first_group + group)) {
      issue_bias(group, slot);
    }
    if (ring != groups) biased &= ~(1U << slot);  // the slot's next group has another
  };

  std::int32_t pages = 0;
  if (list.first < list.count) {
    pages = pages_of(list.head[0]);
#pragma unroll 1
    for (int g = 0; g < ring; ++g) {
      const bool from_before = fresh_from<G>(p, list.head[0], first_group + g) >= kGroupRows;
      if (p.projection == nullptr || !from_before) wait_for_predecessor();
      issue(list.head[0], pages, g, g);
      if (g == 0 && p.output == Output::cache && finishes(0)) {
        issue_late<G>(p, list.head[0], rotates, lane, sh.late[warp][0]);
      }
      close_copies();
    }
  }
  wait_for_rows();
#if __CUDA_ARCH__ >= 900
  if constexpr (Cluster > 1) cluster_wait();  // all peers' barriers are there
#endif
  // A cluster of 8 has registers to spare for the next window's entry; the others load what they
  // need of one where they need it.
  constexpr bool keeps = Cluster == 8 && PageRows > 0;
  PlanEntry kept = list.head[1];
  int fresh = fresh_of(p, list.head[0]);
  int slot = 0;
  std::uint32_t turn = 0;
#pragma unroll 1
  for (std::int32_t index = list.first; index < list.count; index += list.stride, ++turn) {
    const bool more = index + list.stride < list.count;
    const auto next = [&] { return keeps ? kept : list.at(index + list.stride); };
    if (more && groups == ring) pages = pages_of(next());
    bool read = turn == 0;  // the parts of the window before, by who joins them
    const auto before_write = [&] {
      if (parts > 1 && !read) barrier_of(1 + own_tile, 32 * parts);
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
      const auto rows = Settler<S, P>::settle(slots + slot * kTileBytes,
                                              ape + slot * kTilePartBytes, from, bias, lane, left);
      fold_rows<0, Fast>(p.exp, rows, left, g % kSpanGroups == 0, span, scales);
      if (p.writes_through) [[unlikely]] {
        write_through<G, S, P>(p, list.at(index), (first_group + g) * kGroupRows,
                               tile * kTileChannels, from, rows, left == Bias::early, lane);
      }
      __syncwarp();  // every lane has read its part
      if (g + ring < groups) {
        issue(list.at(index), pages, g + ring, slot);
      } else if (more) {
        issue(next(), pages, g + ring - groups, slot);
        if (g + ring == groups && p.output == Output::cache && finishes(turn + 1)) {
          issue_late<G>(p, next(), rotates, lane, sh.late[warp][(turn + 1) & 1U]);
        }
      }
      close_copies();
      slot = slot + 1 == ring ? 0 : slot + 1;
      // the last of this window's groups is on its way: now the next window's pages
      if (more && g + 1 + ring == groups) pages = pages_of(next());
      if (groups > kSpanGroups && (g + 1) % kSpanGroups == 0) {
        join_as_they_come<(Memory::places > 2)>(g / kSpanGroups, g + 1 == groups, sums,
                                                warp * Memory::places, lane, span, scales, held,
                                                held_scales, before_write);
      }
    }
    if (more) fresh = fresh_of(p, next());
    if (keeps && index + 2 * list.stride < list.count) kept = list.at(index + 2 * list.stride);
    if constexpr (parts > 1) {
      before_write();
      sums.put(warp, lane, span, scales);
    }
    Two weight{};
    if (finishes(turn) && p.output == Output::cache) {
      weight = norm_of(p, tile * kTileChannels + 2 * lane);
    }
    if constexpr (parts > 1) {
      barrier_of(1 + own_tile, 32 * parts);
      if (!finishes(turn)) continue;
      span = sums.template join_all<parts>(own_tile * parts, lane);
    }
    Two x = pooled_two(p, span);
    if (p.output == Output::compressed) {
      store_two<float>(p.compressed,
                       list.at(index).token * p.compressed_stride + tile * kTileChannels + 2 * lane,
                       x);
      continue;
    }
    if (p.recipe.pooled_bf16) x = rounded(x);
    const float squares = row_squares<G, Cluster>(sh, turn, tile, lane, tile_squares(x));
    const Late late = read_late(sh.late[warp][turn & 1U], rotates, lane);
    if (late.kv_slot < 0) continue;
    const Two y = norm_rope<G>(p, x, squares, weight, late, rotates);
    store_tile<G>(p, y, tile, lane, row_target<CacheRows>(p, late.kv_slot));
  }
}

}  // namespace pleat::cuda
