// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/fold.cuh"
#include "cuda/save.cuh"
#include "cuda/write_through.cuh"

// Windows of one group (CSA and the indexer: 4 rows and the 4 before them). A warp folds two tiles,
// 128 channels, and finishes them: a team of four warps has a window of CSA, of one warp a window
// of the indexer. While a row is normalised and stored, the copies of the team's next window are in
// flight. With few windows a partner folds the second tile, and hands over what it has pooled.
namespace pleat::cuda {

inline constexpr int kCsaWarps = 8;
inline constexpr int kCsaThreads = 32 * kCsaWarps;
inline constexpr int kWarpTiles = 2;
inline constexpr int kPairBarrier = 1 + kCsaWarps;  ///< barriers before it are the teams'

template <class G>
struct CsaTeam {
  static constexpr int warps = G::tiles / kWarpTiles;
  static constexpr int threads = 32 * warps;
  static constexpr int teams = kCsaWarps / warps;  ///< of a block, where no warp has a partner
};

/// Dynamic shared memory: the warps' tiles, the position bias of a row (where there is one), the
/// windows that a block without a plan has found.
struct CsaMemory {
  static constexpr int ape = kCsaWarps * kWarpTiles * kTileBytes;
  static constexpr int ape_bytes = Csa::value.head_dim / kTileChannels * kTilePartBytes;
  static constexpr int found_bytes = kScanThreads * static_cast<int>(sizeof(PlanEntry));
};

template <class G>
struct CsaShared {
  float squares[2][CsaTeam<G>::teams][G::tiles];
  Two handed[2][kCsaWarps / 2][32];  ///< the second tile, from partner to partner
  LateSlot late[kCsaWarps][2];
};

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

/// Pools a settled tile.
template <class G, bool Fast>
__device__ __forceinline__ Two pool_tile(const FoldParams& p, const TileRows& rows,
                                         bool first_window, Bias bias) {
  Sums sums{};
  Scales scales;
  if (first_window) [[unlikely]] {
    fold_rows<G::ratio, Fast>(p.exp, rows, bias, true, sums, scales);
  } else {
    fold_rows<0, Fast>(p.exp, rows, bias, true, sums, scales);
  }
  return pooled_two(p, sums);
}

/// Folds the windows that are block `block`'s of p.shares.blocks.
template <class G, class S, class P, int PageRows, int CacheRows, bool Fast>
__device__ __forceinline__ void fold_groups(const FoldParams& p, int block, uint4* dynamic,
                                            CsaShared<G>& sh) {
  static_assert(G::overlap && G::window == kGroupRows);
  using Team = CsaTeam<G>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int pair = warp / 2;
  const int unit = p.shares.split ? pair : warp;  // who finishes two tiles
  const auto folds = [&](int t) { return !p.shares.split || t == warp % 2; };
  const int team = unit / Team::warps;
  const int teams = p.shares.split ? Team::teams / 2 : Team::teams;
  const int first_tile = unit % Team::warps * kWarpTiles;
  const int channel = first_tile * kTileChannels;
  const std::uint32_t memory = shared_address(dynamic);
  const std::uint32_t tiles = memory + warp * kWarpTiles * kTileBytes;
  const std::uint32_t ape = memory + CsaMemory::ape + first_tile * kTilePartBytes;
  const Bias bias = bias_of(p);
  const bool rotates = first_tile + kWarpTiles == G::tiles;  // the second of the warp's tiles
  const bool stores = p.output == Output::cache;
  const bool finishes = stores && folds(0);

  if (p.ape != nullptr && warp < G::tiles) {  // once for all teams
    issue_ape<G>(p, 0, warp * kTileChannels, memory + CsaMemory::ape + warp * kTilePartBytes, lane);
  }
  close_copies();
  if (!p.early) wait_for_predecessor();

  WindowList list;
  if (p.plan != nullptr) {
    list = plan_windows(p, team * p.shares.blocks + block, p.shares.blocks * teams);
  } else {
    auto* found = reinterpret_cast<PlanEntry*>(reinterpret_cast<char*>(dynamic) + CsaMemory::ape +
                                               (p.ape != nullptr ? CsaMemory::ape_bytes : 0));
    list = scan_chunk<G>(p, block, team, teams, found);
  }
  const CsaCopies<G, S, P, PageRows> copies(p, tiles, first_tile, lane);
  std::int32_t index = list.first;
  CsaPages pages{};
  if (index < list.count) pages = csa_pages<G, PageRows>(p, list.head[0]);
  wait_for_rows();
#pragma unroll 1
  for (int t = 0; t < kWarpTiles; ++t) {
    if (index < list.count && folds(t)) copies.issue(p, list.head[0], pages, t);
    if (index < list.count && finishes && t == 0) {
      issue_late<G>(p, list.head[0], rotates, lane, sh.late[warp][0]);
    }
    close_copies();
  }
  if (bias != Bias::none) {
    wait_for_copies<kWarpTiles>();
    __syncthreads();  // the position bias is there
  }
  int fresh = fresh_of(p, list.head[0]);
  bool first_window = list.head[0].row == 0;
  PlanEntry next = list.head[1];
  std::uint32_t side = 0;
#pragma unroll 1
  for (; index < list.count; index += list.stride, side ^= 1U) {
    const bool more = index + list.stride < list.count;
    if (more) pages = csa_pages<G, PageRows>(p, next);
    const int fresh_from = G::window - fresh;
    Two x[kWarpTiles];
#pragma unroll 1
    for (int t = 0; t < kWarpTiles; ++t) {
      if (!folds(t)) {
        close_copies();
        continue;
      }
      wait_for_copies<kWarpTiles - 1>();
      __syncwarp();
      Bias left;
      const auto rows = Settler<S, P>::settle(tiles + t * kTileBytes, ape + t * kTilePartBytes,
                                              fresh_from, bias, lane, left);
      const Two pooled = pool_tile<G, Fast>(p, rows, first_window, left);
      if (p.writes_through) [[unlikely]] {
        write_through<G, S, P>(p, list.at(index), 0, channel + t * kTileChannels, fresh_from, rows,
                               left == Bias::early, lane);
      }
      if (t == 0) {
        x[0] = pooled;
      } else {
        x[1] = pooled;
      }
      __syncwarp();  // every lane has read its part
      if (more) {
        copies.issue(p, PageRows > 0 ? next : list.at(index + list.stride), pages, t);
        if (finishes && t == 0) {
          issue_late<G>(p, next, rotates, lane, sh.late[warp][side ^ 1U]);
        }
      }
      close_copies();
    }
    fresh = fresh_of(p, next);
    first_window = next.row == 0;
    if (index + 2 * list.stride < list.count) next = list.at(index + 2 * list.stride);
    if (!stores) {
      const std::int64_t token = list.at(index).token;
#pragma unroll
      for (int t = 0; t < kWarpTiles; ++t) {
        if (!folds(t)) continue;
        store_two<float>(p.compressed,
                         token * p.compressed_stride + channel + t * kTileChannels + 2 * lane,
                         x[t]);
      }
      continue;
    }
    if (p.shares.split) {
      Two& handed = sh.handed[side][pair][lane];
      if (!finishes) handed = x[1];
      barrier_of(kPairBarrier + pair, 64);
      if (!finishes) continue;
      x[1] = handed;
    }
    const Late late = read_late(sh.late[warp][side], rotates, lane);
    Two weight[kWarpTiles];
    float squares[G::tiles];
#pragma unroll
    for (int t = 0; t < kWarpTiles; ++t) {
      weight[t] = norm_of(p, channel + t * kTileChannels + 2 * lane);
      if (p.recipe.pooled_bf16) x[t] = rounded(x[t]);
      squares[t] = tile_squares(x[t]);
    }
    if constexpr (Team::warps > 1) {
      if (lane == 0) {
        sh.squares[side][team][first_tile] = squares[0];
        sh.squares[side][team][first_tile + 1] = squares[1];
      }
      barrier_of(1 + team, Team::threads);
#pragma unroll
      for (int i = 0; i < G::tiles; ++i)
        squares[i] = sh.squares[side][team][i];
    }
    if (late.kv_slot < 0) continue;
    finish_two_tiles<G, CacheRows>(p, x, squares, weight, late, first_tile, lane);
  }
}

template <class G, class S, class P, int PageRows, int CacheRows, bool Fast>
__global__ void __launch_bounds__(kCsaThreads, 2) csa_kernel(const __grid_constant__ FoldParams p) {
  __shared__ CsaShared<G> sh;
  extern __shared__ uint4 dynamic_memory[];
  uint4* const dynamic = aligned_dynamic(dynamic_memory);
  const int block = static_cast<int>(blockIdx.x);
  if (block < p.shares.blocks) {
    fold_groups<G, S, P, PageRows, CacheRows, Fast>(p, block, dynamic, sh);
  } else {
    save_rows<G, S, P, kCsaThreads>(p, block - p.shares.blocks,
                                    static_cast<int>(gridDim.x) - p.shares.blocks,
                                    reinterpret_cast<SaveItem*>(dynamic));
  }
}

}  // namespace pleat::cuda
