// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/fold.cuh"
#include "cuda/save.cuh"
#include "cuda/write_through.cuh"

// Windows of one group (CSA and the indexer: 4 rows and the 4 before them). A warp folds two tiles,
// 128 channels: a team of four warps has a window of CSA, of one warp a window of the indexer.
// While a row is normalised and stored, the copies of the team's next window are in flight.
namespace pleat::cuda {

inline constexpr int kCsaWarps = 8;
inline constexpr int kCsaThreads = 32 * kCsaWarps;
inline constexpr int kWarpTiles = 2;

template <class G>
struct CsaTeam {
  static constexpr int warps = G::tiles / kWarpTiles;
  static constexpr int threads = 32 * warps;
  static constexpr int teams = kCsaWarps / warps;  ///< of a block
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
};

/// A window and the two pages that hold its groups, when a page is a group.
struct CsaWindow {
  PlanEntry entry;
  std::int32_t page[2];
};

template <class G, int PageRows>
__device__ __forceinline__ CsaWindow csa_window(const FoldParams& p, const PlanEntry& e) {
  CsaWindow w{e, {0, 0}};
  if constexpr (PageRows == G::ratio) {
    const int fresh = p.projection != nullptr ? e.fresh : 0;
    const std::int32_t* table = p.block_table + e.request * p.table_stride + e.row;
    if (fresh < G::window && e.row > 0) w.page[0] = table[-1];
    if (fresh < G::ratio) w.page[1] = table[0];
  }
  return w;
}

template <class G, int PageRows>
__device__ __forceinline__ TileSource csa_source(const FoldParams& p, const CsaWindow& w,
                                                 int channel) {
  const PlanEntry& e = w.entry;
  TileSource s{};
  s.fresh_from = G::window - (p.projection != nullptr ? e.fresh : 0);
  s.first = e.row == 0 ? G::ratio : 0;
  const std::int64_t token = static_cast<std::int64_t>(e.token) - (G::window - 1);
  s.fresh = token * step_stride<G, PageRows>(p) + channel;
  s.previous = channel;
  s.current = channel;
  if constexpr (PageRows > 0) {
    s.previous += w.page[0] * p.page_stride;
    s.current += w.page[1] * p.page_stride;
  }
  s.request = e.request;
  s.position = (static_cast<std::int64_t>(e.row) - 1) * G::ratio;
  return s;
}

/// A lane's part of the copies of the warp's two tiles, window after window.
template <class G, class S, class P, int PageRows>
struct CsaCopies {
  const char* state_at;  ///< what the lane copies of a page's first row, in the special layout
  const char* fresh_at;  ///< and of token 0
  std::uint32_t to;
  int channel;
  int lane;

  __device__ __forceinline__ CsaCopies(const FoldParams& p, std::uint32_t tiles, int first_tile,
                                       int own_lane)
      : state_at(static_cast<const char*>(p.state) + lane_bytes<G, S>(first_tile, own_lane)),
        fresh_at(static_cast<const char*>(p.projection) + lane_bytes<G, P>(first_tile, own_lane)),
        to(tiles),
        channel(first_tile * kTileChannels),
        lane(own_lane) {}

  __device__ __forceinline__ void issue(const FoldParams& p, const CsaWindow& w, int t) const {
    const std::uint32_t slot = to + t * kTileBytes;
    if constexpr (PageRows > 0) {  // most tiles, with fewer instructions
      const int fresh = p.projection != nullptr ? w.entry.fresh : 0;
      if (fresh == 0 && w.entry.row > 0) {
        constexpr int size = static_cast<int>(sizeof(S));
        const auto at = [&](std::int32_t page) {
          const std::int64_t bytes =
              static_cast<std::int64_t>(page) * static_cast<std::int32_t>(p.page_stride) * size;
          return reinterpret_cast<const S*>(state_at + bytes) + t * kTileChannels;
        };
        issue_rows<G, S, G::row_width>(at(w.page[0]), at(w.page[1]), slot, lane);
        return;
      }
      if (fresh >= G::window && w.entry.row > 0) {
        constexpr int row_bytes = G::row_width * static_cast<int>(sizeof(P));
        const std::int64_t token = w.entry.token - (G::window - 1);
        const auto* at =
            reinterpret_cast<const P*>(fresh_at + token * row_bytes) + t * kTileChannels;
        issue_rows<G, P, G::row_width>(at, at + G::ratio * G::row_width, slot, lane);
        return;
      }
    }
    const TileSource from = csa_source<G, PageRows>(p, w, channel + t * kTileChannels);
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

/// Folds the windows that are block `block`'s of p.fold_blocks.
template <class G, class S, class P, int PageRows, int CacheRows, bool Fast>
__device__ __forceinline__ void fold_groups(const FoldParams& p, int block, uint4* dynamic,
                                            CsaShared<G>& sh) {
  static_assert(G::overlap && G::window == kGroupRows);
  using Team = CsaTeam<G>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int team = warp / Team::warps;
  const int first_tile = warp % Team::warps * kWarpTiles;
  const int channel = first_tile * kTileChannels;
  const std::uint32_t memory = shared_address(dynamic);
  const std::uint32_t tiles = memory + warp * kWarpTiles * kTileBytes;
  const std::uint32_t ape = memory + CsaMemory::ape + first_tile * kTilePartBytes;
  const Bias bias = bias_of(p);
  const bool rotates = first_tile + kWarpTiles == G::tiles;  // the second of the warp's tiles
  const bool finishes = p.output == Output::cache;

  if (p.ape != nullptr && warp < G::tiles) {  // once for all teams
    issue_ape<G>(p, 0, warp * kTileChannels, memory + CsaMemory::ape + warp * kTilePartBytes, lane);
  }
  close_copies();
  wait_for_predecessor();

  WindowList list;
  if (p.plan != nullptr) {
    list = plan_windows(p, team * p.fold_blocks + block, p.fold_blocks * Team::teams);
  } else {
    auto* found = reinterpret_cast<PlanEntry*>(reinterpret_cast<char*>(dynamic) + CsaMemory::ape +
                                               (p.ape != nullptr ? CsaMemory::ape_bytes : 0));
    list = scan_chunk<G>(p, block, team, Team::teams, found);
  }
  const CsaCopies<G, S, P, PageRows> copies(p, tiles, first_tile, lane);
  std::int32_t index = list.first;
  CsaWindow now{};
  CsaWindow next{};
  PlanEntry after{};  // asked for a window ahead, as its pages are
  if (index < list.count) now = csa_window<G, PageRows>(p, list.head[0]);
#pragma unroll 1
  for (int t = 0; t < kWarpTiles; ++t) {
    if (index < list.count) copies.issue(p, now, t);
    close_copies();
  }
  if (bias != Bias::none) {
    wait_for_copies<kWarpTiles>();
    __syncthreads();  // the position bias is there
  }
  if (index + list.stride < list.count) next = csa_window<G, PageRows>(p, list.head[1]);
  if (index + 2 * list.stride < list.count) after = list.entries[index + 2 * list.stride];
  std::uint32_t side = 0;
#pragma unroll 1
  for (; index < list.count; index += list.stride, side ^= 1U) {
    const PlanEntry entry = now.entry;
    Late late{};
    if (finishes) late = fetch_late<G>(p, entry, rotates, lane);
    const int fresh_from = G::window - (p.projection != nullptr ? entry.fresh : 0);
    Two x[kWarpTiles];
#pragma unroll 1
    for (int t = 0; t < kWarpTiles; ++t) {
      wait_for_copies<kWarpTiles - 1>();
      __syncwarp();
      Bias left;
      const auto rows = Settler<S, P>::settle(tiles + t * kTileBytes, ape + t * kTilePartBytes,
                                              fresh_from, bias, lane, left);
      const Two pooled = pool_tile<G, Fast>(p, rows, entry.row == 0, left);
      if (p.writes_through) [[unlikely]] {
        write_through<G, S, P>(p, entry, 0, channel + t * kTileChannels, fresh_from, rows,
                               left == Bias::early, lane);
      }
      if (t == 0) {
        x[0] = pooled;
      } else {
        x[1] = pooled;
      }
      __syncwarp();  // every lane has read its part
      if (index + list.stride < list.count) copies.issue(p, next, t);
      close_copies();
    }
    now = next;
    if (index + 2 * list.stride < list.count) next = csa_window<G, PageRows>(p, after);
    if (index + 3 * list.stride < list.count) after = list.entries[index + 3 * list.stride];
    if (!finishes) {
#pragma unroll
      for (int t = 0; t < kWarpTiles; ++t) {
        store_two<float>(p.compressed,
                         entry.token * p.compressed_stride + channel + t * kTileChannels + 2 * lane,
                         x[t]);
      }
      continue;
    }
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
  if (block < p.fold_blocks) {
    fold_groups<G, S, P, PageRows, CacheRows, Fast>(p, block, dynamic, sh);
  } else {
    wait_for_predecessor();
    save_rows<G, S, P, kCsaThreads>(p, block - p.fold_blocks,
                                    static_cast<int>(gridDim.x) - p.fold_blocks,
                                    reinterpret_cast<SaveItem*>(dynamic));
  }
  let_successor_start();
}

}  // namespace pleat::cuda
