// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/fold.cuh"
#include "cuda/tokens.cuh"

// Where the rows of a window of two groups lie, and their copies to a warp's tiles in shared
// memory.
namespace pleat::cuda {

/// The pages that hold a window's two groups, when a page is a group.
struct CsaPages {
  std::int32_t previous;
  std::int32_t current;
};

template <class G, int PageRows>
__device__ __forceinline__ CsaPages csa_pages(const FoldParams& p, const PlanEntry& e) {
  CsaPages pages{0, 0};
  if constexpr (PageRows == G::ratio) {
    const int fresh = fresh_of(p, e);
    const std::int32_t* table = p.block_table + e.request * p.table_stride + e.row;
    if (fresh < G::window && e.row > 0) pages.previous = table[-1];
    if (fresh < G::ratio) pages.current = table[0];
  }
  return pages;
}

template <class G, int PageRows>
__device__ __forceinline__ TileSource csa_source(const FoldParams& p, const PlanEntry& e,
                                                 const CsaPages& pages, int channel) {
  TileSource s{};
  s.fresh_from = G::window - fresh_of(p, e);
  s.first = e.row == 0 ? G::ratio : 0;
  const std::int64_t token = static_cast<std::int64_t>(e.token) - (G::window - 1);
  s.fresh = token * step_stride<G, PageRows>(p) + channel;
  s.previous = channel;
  s.current = channel;
  if constexpr (PageRows > 0) {
    s.previous += pages.previous * p.page_stride;
    s.current += pages.current * p.page_stride;
  }
  s.request = e.request;
  s.position = (static_cast<std::int64_t>(e.row) - 1) * G::ratio;
  return s;
}

/// A lane's part of the copies of the warp's two tiles, window after window.
template <class G, class S, class P, int PageRows>
struct CsaCopies {
  PackedRows<G, S, P> packed;
  std::uint32_t to;
  int channel;
  int lane;

  __device__ __forceinline__ CsaCopies(const FoldParams& p, std::uint32_t tiles, int first_tile,
                                       int own_lane)
      : packed(p, first_tile, own_lane),
        to(tiles),
        channel(first_tile * kTileChannels),
        lane(own_lane) {}

  __device__ __forceinline__ void issue(const FoldParams& p, const PlanEntry& e,
                                        const CsaPages& pages, int t) const {
    const std::uint32_t slot = to + t * kTileBytes;
    if constexpr (PageRows > 0) {  // most tiles, with fewer instructions
      const int fresh = fresh_of(p, e);
      const std::int64_t token = e.token - (G::window - 1);
      if (fresh == 0 && e.row > 0) {
        issue_rows<G, S, G::row_width>(packed.state(p, pages.previous, t),
                                       packed.state(p, pages.current, t), slot, lane);
        return;
      }
      if (fresh >= G::window && e.row > 0) {
        const P* at = packed.projection(token, t);
        issue_rows<G, P, G::row_width>(at, at + G::ratio * G::row_width, slot, lane);
        return;
      }
      if constexpr (std::is_same_v<S, P>) {
        issue_mixed_rows<G, S, G::row_width>(
            packed.state(p, pages.previous, t), packed.state(p, pages.current, t),
            packed.projection(token, t), G::window - fresh, e.row > 0 ? 0 : G::ratio, slot, lane);
        return;
      }
    }
    const TileSource from = csa_source<G, PageRows>(p, e, pages, channel + t * kTileChannels);
    issue_tile<G, S, P, PageRows>(p, from, slot, lane);
  }
};

}  // namespace pleat::cuda
