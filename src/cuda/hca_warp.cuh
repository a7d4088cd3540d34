// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/fold.cuh"
#include "cuda/join.cuh"
#include "cuda/write_through.cuh"

// Windows of many groups (HCA: 128 rows). A warp folds one tile of 64 channels of a window, group
// after group, while the copies of its next groups are on their way: it waits for nobody. Only the
// tiles' sums of squares cross warps. There are two ways to lay warps over tiles and windows:
// - a cluster of 8 blocks, a tile each, whose warps have windows of their own. Where there are
//   fewer windows than warps, two, four or eight warps share one: for up to some 200 windows.
// - a block for a window, a warp for each tile: all multiprocessors take part, which clusters do
// not
//   reach, and for devices without clusters.
namespace pleat::cuda {

inline constexpr int kHcaWarps = 8;
inline constexpr int kHcaThreads = 32 * kHcaWarps;
inline constexpr int kRing = 2;  ///< tiles of a warp in shared memory
inline constexpr int kSpanGroups = numerics::kSpanRows / kGroupRows;
inline constexpr int kMostSplit = 8;  ///< warps that may share a window: one a span

/// Dynamic shared memory: the warps' tiles, what warps that share a window have folded, the
/// position bias (where there is one), the windows that a block without a plan has found.
struct HcaMemory {
  static constexpr int folded = kHcaWarps * kRing * kTileBytes;
  static constexpr int ape = folded + static_cast<int>(sizeof(FoldedTiles<kHcaWarps>));
  static constexpr int ape_bytes = Hca::value.ratio * kTileRowBytes;
  static constexpr int found_bytes = kScanThreads * static_cast<int>(sizeof(PlanEntry));
};

/// Sums of squares of rows, two in turn: who tells those of round r + 2 has heard all of round
/// r + 1, and so every other one has read those of round r.
template <class G>
struct HcaShared {
  float squares[2][kHcaWarps][G::tiles];
  std::uint64_t arrived[2][kHcaWarps];
};

/// A window, and the pages of its groups where a page is a group: lane l has that of group l.
struct HcaWindow {
  PlanEntry entry;
  std::int32_t page;
};

template <class G, int PageRows>
__device__ __forceinline__ std::int32_t page_of_lane(const FoldParams& p, const PlanEntry& e,
                                                     int lane) {
  if constexpr (PageRows == kGroupRows) {
    const int fresh = p.projection != nullptr ? e.fresh : 0;
    if (lane < G::groups && lane * kGroupRows < G::window - fresh) {
      return p.block_table[e.request * p.table_stride +
                           static_cast<std::int64_t>(e.row) * G::groups + lane];
    }
  }
  return 0;
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

/// The windows of one warp: 2^shift warps share each.
struct HcaTurns {
  std::int32_t first;
  std::int32_t stride;
  std::int32_t count;  ///< those before it are meant
  int shift;
};

/// Scales of what a warp has folded of a window; they mean something where it is not plain.
struct Joints {
  static constexpr int span = 2;  ///< after the two places: of the span that is being folded
  static constexpr int held = 3;
  Scales of[4];  ///< with an index at run time: in memory, not in registers that others need
};

/// One warp of a block, through all of its windows.
template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
struct HcaWarp {
  static constexpr bool clustered = Cluster > 1;
  static_assert(Cluster == (clustered ? G::tiles : 1) && G::tiles == kHcaWarps);
  const FoldParams& p;
  HcaShared<G>& sh;
  FoldedTiles<kHcaWarps>& folded;
  std::uint32_t tiles_at;  ///< the warp's ring
  std::uint32_t ape_at;
  int tile;
  int warp;
  int lane;
  Bias bias;
  const char* state_at;     ///< what the lane copies of a page's first row, in the special layout
  const char* fresh_at;     ///< and of token 0
  std::uint32_t round = 0;  ///< rows that the warp has finished
  bool bias_is_there = false;

  [[nodiscard]] __device__ __forceinline__ std::uint32_t tile_of(int slot) const {
    return tiles_at + static_cast<std::uint32_t>(slot * kTileBytes);
  }
  /// The bias of a block's own tile is there as a whole; that of a warp's own comes with the rows.
  [[nodiscard]] __device__ __forceinline__ std::uint32_t ape_of(int group, int slot) const {
    const int part = clustered ? group : warp * kRing + slot;
    return ape_at + static_cast<std::uint32_t>(part * kTilePartBytes);
  }
  [[nodiscard]] __device__ __forceinline__ int fresh_of(const PlanEntry& e) const {
    return p.projection != nullptr ? e.fresh : 0;
  }

  __device__ __forceinline__ void issue(const HcaWindow& w, int group, int slot) const {
    const int first = group * kGroupRows;
    const int fresh_from = G::window - fresh_of(w.entry) - first;
    if (!clustered && p.ape != nullptr && (bias == Bias::late || fresh_from < kGroupRows)) {
      issue_ape<G>(p, first, tile * kTileChannels, ape_of(group, slot), lane);
    }
    std::int32_t page = 0;
    if constexpr (PageRows > 0) {  // most tiles, with fewer instructions
      page = __shfl_sync(kAllLanes, w.page, group);
      if (fresh_from >= kGroupRows) {
        constexpr int size = static_cast<int>(sizeof(S));
        const std::int64_t bytes =
            static_cast<std::int64_t>(page) * static_cast<std::int32_t>(p.page_stride) * size;
        const auto* at = reinterpret_cast<const S*>(state_at + bytes);
        issue_rows<G, S, G::row_width>(at, at, tile_of(slot), lane);
        return;
      }
      if (fresh_from <= 0) {
        constexpr int row_bytes = G::row_width * static_cast<int>(sizeof(P));
        const std::int64_t token = w.entry.token - (G::window - 1) + first;
        const auto* at = reinterpret_cast<const P*>(fresh_at + token * row_bytes);
        issue_rows<G, P, G::row_width>(at, at, tile_of(slot), lane);
        return;
      }
    }
    const TileSource from = source_of<G, PageRows>(p, w.entry, page, group, tile * kTileChannels);
    issue_tile<G, S, P, PageRows>(p, from, tile_of(slot), lane);
  }

  /// Joins the span that a warp has just folded, its i-th, to those before it, as neighbours meet:
  /// what waits for its neighbour is held in a register or in the warp's two places. After the last
  /// one, `span` is all of them.
  __device__ __forceinline__ void join(int i, int spans, bool plain, Sums& span, Sums& held,
                                       Joints& joints) {
    const bool whole = i + 1 == spans;
    if (!plain) [[unlikely]] {
      ScaledSums sums{span, joints.of[Joints::span]};
      if ((i & 1) == 0) {
        held = span;
        joints.of[Joints::held] = sums.scales;
      } else {
        sums = join_apart({held, joints.of[Joints::held]}, sums);
#pragma unroll 1
        for (int place = 0; (i >> place & 2) != 0; ++place)
          sums = join_apart({folded.get(warp, place, lane), joints.of[place]}, sums);
        span = sums.sums;
        joints.of[Joints::span] = sums.scales;
        if (!whole) {
          folded.put(warp, i >> 1 & 1, lane, span);
          joints.of[i >> 1 & 1] = sums.scales;
        }
      }
    } else if ((i & 1) == 0) {
      held = span;
    } else {
      span = sum_of(held, span);
      if ((i & 2) != 0) {
        span = sum_of(folded.get(warp, 0, lane), span);
        if ((i & 4) != 0) span = sum_of(folded.get(warp, 1, lane), span);
      }
      if (!whole) folded.put(warp, i >> 1 & 1, lane, span);
    }
    if (!whole) span = {};
  }

  /// Joins what the warps that share a window have. True for the warp that has it then.
  __device__ __forceinline__ bool meet(Sums& sums, bool plain, const Scales& scales,
                                       int shift) const {
    if (shift == 0) return true;
    const int split = 1 << shift;
    const int part = warp & (split - 1);
    const int barrier = 1 + (warp >> shift);
    if (part != 0) folded.hand_over(warp, lane, sums, plain, scales);
    barrier_of(barrier, split * 32);
    if (part == 0) sums = folded.join_all(warp, lane, shift, sums, plain, scales);
    barrier_of(barrier, split * 32);  // what was handed over is read
    return part == 0;
  }

  /// The sums of squares of all tiles of the row.
  __device__ __forceinline__ void exchange(float own, float (&squares)[G::tiles]) {
    const std::uint32_t side = round & 1U;
    if constexpr (!clustered) {
      if (lane == 0) sh.squares[side][0][warp] = own;
      __syncthreads();
#pragma unroll
      for (int i = 0; i < G::tiles; ++i)
        squares[i] = sh.squares[side][0][i];
    }
#if __CUDA_ARCH__ >= 900
    if constexpr (clustered) {
      if (lane == 0) barrier_expect(&sh.arrived[side][warp], sizeof(sh.squares[0][0]));
      if (lane < Cluster) {  // tells block `lane`; every block hears all tiles
        put_to_peer(peer_address(shared_address(&sh.squares[side][warp][tile]), lane), own,
                    peer_address(shared_address(&sh.arrived[side][warp]), lane));
      }
      barrier_wait(&sh.arrived[side][warp], round >> 1 & 1U);
#pragma unroll
      for (int i = 0; i < G::tiles; ++i)
        squares[i] = sh.squares[side][warp][i];
    }
#endif
    ++round;
  }

  /// Normalises, rotates, quantises and stores the warp's tile of a row.
  __device__ __forceinline__ void finish(const PlanEntry& e, Two x, const Late& late,
                                         const Two& weight) {
    if (p.output == Output::compressed) {
      store_two<float>(p.compressed,
                       e.token * p.compressed_stride + tile * kTileChannels + 2 * lane, x);
      return;
    }
    if (p.recipe.pooled_bf16) x = rounded(x);
    float squares[G::tiles];
    exchange(tile_squares(x), squares);
    if (late.kv_slot < 0) return;
    const Two y = norm_rope<G>(p, x, sum_tiles(squares), weight, late, tile == G::tiles - 1);
    store_tile<G>(p, y, tile, lane, row_target<CacheRows>(p, late.kv_slot));
  }

  __device__ __forceinline__ void work(const WindowList& list, const HcaTurns& turns,
                                       const Two& weight) {
    const int groups = G::groups >> turns.shift;
    const int spans = groups / kSpanGroups;
    const int part = warp & ((1 << turns.shift) - 1);
    const int first_group = part * groups;
    std::int32_t index = turns.first;
    HcaWindow now{};
    HcaWindow next{};
    if (index < turns.count) {
      now.entry = index == list.first ? list.head[0] : list.entries[index];
      now.page = page_of_lane<G, PageRows>(p, now.entry, lane);
    }
#pragma unroll
    for (int i = 0; i < kRing; ++i) {
      if (index < turns.count) issue(now, first_group + i, i);
      close_copies();
    }
    if (clustered && !bias_is_there) {  // in parts that each warp has fetched
      wait_for_copies<kRing>();
      __syncthreads();
      bias_is_there = true;
    }
    int slot = 0;
#pragma unroll 1
    for (; index < turns.count; index += turns.stride) {
      const bool more = index + turns.stride < turns.count;
      if (more) {
        next.entry = list.entries[index + turns.stride];
        if (groups == kSpanGroups) next.page = page_of_lane<G, PageRows>(p, next.entry, lane);
      }
      Late late{};
      if (p.output == Output::cache && part == 0) {
        late = fetch_late<G>(p, now.entry, tile == G::tiles - 1, lane);
      }
      const int fresh = fresh_of(now.entry);
      bool plain = true;
      Joints joints;
      Sums held;
      Sums span{};
#pragma unroll 1
      for (int g = 0; g < groups; ++g) {
        const int group = first_group + g;
        const int fresh_from = G::window - fresh - group * kGroupRows;
        const TileRows rows{tile_of(slot), ape_of(group, slot), lane};
        wait_for_copies<kRing - 1>();
        __syncwarp();
        const Bias left = settle<S, P>(rows.at, rows.ape, fresh_from, bias, lane);
        const bool was_plain = plain;
        fold_rows<0, Fast>(p.exp, rows, left, g % kSpanGroups == 0, span, plain,
                           &joints.of[Joints::span]);
        if (was_plain && !plain) [[unlikely]] {
#pragma unroll 1
          for (int i = 0; i < 4; ++i) {
            if (i != Joints::span) joints.of[i] = {};  // what was folded before
          }
        }
        if (p.writes_through) [[unlikely]] {
          write_through<G, S, P>(p, now.entry, group * kGroupRows, tile * kTileChannels, fresh_from,
                                 rows, left == Bias::early);
        }
        __syncwarp();  // every lane has read its part
        const bool here = g + kRing < groups;
        if (here || more) {
          const HcaWindow w{
              {here ? now.entry.token : next.entry.token,
               here ? now.entry.request : next.entry.request, here ? now.entry.row : next.entry.row,
               here ? now.entry.fresh : next.entry.fresh},
              here ? now.page : next.page};
          issue(w, first_group + (here ? g + kRing : g + kRing - groups), slot);
        }
        close_copies();
        slot = slot + 1 == kRing ? 0 : slot + 1;
        if ((g + 1) % kSpanGroups == 0) {
          join(g / kSpanGroups, spans, plain, span, held, joints);
          if (more && 2 * (g + 1) == groups) {  // its entry has come by now
            next.page = page_of_lane<G, PageRows>(p, next.entry, lane);
          }
        }
      }
      if (meet(span, plain, plain ? Scales{} : joints.of[Joints::span], turns.shift)) {
        Two x;
#pragma unroll
        for (int c = 0; c < 2; ++c)
          x.v[c] = numerics::pooled_of({span.weight[c], span.value[c], 0}, p.recipe.pooled_bf16);
        finish(now.entry, x, late, weight);
      }
      now = next;
    }
  }
};

}  // namespace pleat::cuda
