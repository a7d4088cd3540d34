// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/fold.cuh"
#include "cuda/tokens.cuh"

// Where the groups of an HCA window lie, and their copies to a warp's slots of shared memory.
namespace pleat::cuda {

inline constexpr int kHcaWarps = 8;
inline constexpr int kHcaThreads = 32 * kHcaWarps;
inline constexpr int kSpanGroups = numerics::kSpanRows / kGroupRows;

/// The plan's windows that are a block's, where it folds by itself. Multiprocessors are not served
/// alike: some read a quarter faster than others. So the blocks that run at once have shares of no
/// more than most windows, and whichever ends makes place for a block that has one of the rest.
__device__ __forceinline__ WindowList windows_of_block(const FoldParams& p, std::int32_t block) {
  const std::int32_t later = block - p.shares.early_blocks;
  if (later < 0) return plan_windows(p, block, p.shares.early_blocks, p.shares.early_windows);
  return plan_windows(p, p.shares.early_windows + later, p.shares.blocks - p.shares.early_blocks);
}

/// Rows of a group from this one on are tokens of this step.
template <class G>
__device__ __forceinline__ int fresh_from(const FoldParams& p, const PlanEntry& e, int group) {
  return G::window - fresh_of(p, e) - group * kGroupRows;
}

/// Whether a group's copies come with its rows' position bias.
template <class G>
__device__ __forceinline__ bool needs_bias(const FoldParams& p, Bias bias, const PlanEntry& e,
                                           int group) {
  return bias == Bias::late || (bias == Bias::early && fresh_from<G>(p, e, group) < kGroupRows);
}

/// The page of a group of a window, where a page is a group and its rows come from the state.
template <class G, int PageRows>
__device__ __forceinline__ std::int32_t page_of(const FoldParams& p, const PlanEntry& e,
                                                int group) {
  if constexpr (PageRows == kGroupRows) {
    if (fresh_from<G>(p, e, group) > 0) {
      return p.block_table[e.request * p.table_stride +
                           static_cast<std::int64_t>(e.row) * G::groups + group];
    }
  }
  return 0;
}

/// Where a group's rows of a window are, from channel \p channel on.
template <class G, int PageRows>
__device__ __forceinline__ TileSource source_of(const FoldParams& p, const PlanEntry& e,
                                                std::int32_t page, int group, int channel) {
  const int first = group * kGroupRows;
  TileSource s{};
  s.fresh_from = fresh_from<G>(p, e, group);
  const std::int64_t token = static_cast<std::int64_t>(e.token) - (G::window - 1) + first;
  s.fresh = token * step_stride<G, PageRows>(p) + channel;
  s.previous = channel + (PageRows > 0 ? page * p.page_stride : 0);
  s.request = e.request;
  s.position = static_cast<std::int64_t>(e.row) * G::ratio + first;
  return s;
}

/// A lane's part of the copies of one tile, window after window.
template <class G, class S, class P, int PageRows>
struct HcaCopies {
  PackedRows<G, S, P> packed;
  int tile;
  int lane;

  __device__ __forceinline__ HcaCopies(const FoldParams& p, int own_tile, int own_lane)
      : packed(p, own_tile, own_lane), tile(own_tile), lane(own_lane) {}

  __device__ __forceinline__ void issue(const FoldParams& p, const PlanEntry& e, std::int32_t page,
                                        int group, std::uint32_t to) const {
    if constexpr (PageRows > 0) {  // most tiles, with fewer instructions
      const int from = fresh_from<G>(p, e, group);
      const std::int64_t token = e.token - (G::window - 1) + group * kGroupRows;
      if (from >= kGroupRows) {
        const S* at = packed.state(p, page);
        issue_rows<G, S, G::row_width>(at, at, to, lane);
        return;
      }
      if (from <= 0) {
        const P* at = packed.projection(token);
        issue_rows<G, P, G::row_width>(at, at, to, lane);
        return;
      }
      if constexpr (std::is_same_v<S, P>) {
        const S* at = packed.state(p, page);
        issue_mixed_rows<G, S, G::row_width>(at, at, packed.projection(token), from, 0, to, lane);
        return;
      }
    }
    const TileSource from = source_of<G, PageRows>(p, e, page, group, tile * kTileChannels);
    issue_tile<G, S, P, PageRows>(p, from, to, lane);
  }
};

}  // namespace pleat::cuda
