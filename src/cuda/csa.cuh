// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/csa_window.cuh"
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

/// A window's entry comes with the rows of the window two before it: over a fold there are no
/// registers for it. So at most four are there or on their way.
inline constexpr int kEntries = 4;

template <class G>
struct CsaShared {
  double squares[2][CsaTeam<G>::teams][G::tiles];
  Two handed[2][kCsaWarps / 2][32];        ///< the second tile, from partner to partner
  PlanEntry entries[kCsaWarps][kEntries];  ///< of the window in hand and those to come
  LateSlot late[kCsaWarps][2];
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

/// Where a warp stands in its block. With few windows two warps are a unit, else one is.
template <class G>
struct CsaPlace {
  using Team = CsaTeam<G>;

  int lane = static_cast<int>(threadIdx.x) % 32;
  int warp = static_cast<int>(threadIdx.x) / 32;
  int unit;  ///< who finishes two tiles
  int team;  ///< of the block's `teams`
  int teams;
  int first_tile;  ///< of the unit's

  __device__ __forceinline__ explicit CsaPlace(bool split)
      : unit(split ? warp / 2 : warp),
        team(unit / Team::warps),
        teams(split ? Team::teams / 2 : Team::teams),
        first_tile(unit % Team::warps * kWarpTiles) {}
};

/// A warp and its two tiles, or the one of the two that is its part, window after window.
template <class G, class S, class P, int PageRows, int CacheRows, bool Fast>
struct CsaWarp {
  static_assert(G::overlap && G::window == kGroupRows);
  using Team = CsaTeam<G>;

  __device__ __forceinline__ CsaWarp(const FoldParams& params, uint4* dynamic, CsaShared<G>& shared)
      : p(params),
        sh(shared),
        at(params.shares.split),
        tiles(shared_address(dynamic) + at.warp * kWarpTiles * kTileBytes),
        ape(shared_address(dynamic) + CsaMemory::ape + at.first_tile * kTilePartBytes),
        copies(params, tiles, at.first_tile, at.lane),
        bias(bias_of(params)),
        finishes(params.output == Output::cache && folds(0)) {}

  /// The windows that are block `block`'s of p.shares.blocks.
  __device__ __forceinline__ void run(int block, uint4* dynamic) {
    ask_for_bias(dynamic);
    if (!p.early) wait_for_predecessor();
    list = windows(block, dynamic);
    ask_for_first_tiles();
    if (bias != Bias::none) {
      wait_for_copies<kWarpTiles>();
      __syncthreads();  // the position bias is there
    }
#pragma unroll 1
    for (std::int32_t index = list.first; index < list.count; index += list.stride, ++turn) {
      Two x[kWarpTiles];
      fold(index, x);
      if (p.output == Output::cache) {
        finish(x);
      } else {
        keep(entry(turn).token, x);
      }
    }
  }

  __device__ __forceinline__ bool folds(int t) const {
    return !p.shares.split || t == at.warp % 2;
  }
  __device__ __forceinline__ bool rotates() const {  // the second of the warp's tiles
    return at.first_tile + kWarpTiles == G::tiles;
  }
  __device__ __forceinline__ int channel(int t) const {
    return (at.first_tile + t) * kTileChannels;
  }

  __device__ __forceinline__ void ask_for_bias(uint4* dynamic) const {
    if (p.ape != nullptr && at.warp < G::tiles) {  // once for all teams
      issue_ape<G>(p, 0, at.warp * kTileChannels,
                   shared_address(dynamic) + CsaMemory::ape + at.warp * kTilePartBytes, at.lane);
    }
    close_copies();
  }

  __device__ __forceinline__ WindowList windows(int block, uint4* dynamic) const {
    if (p.plan != nullptr) {
      return plan_windows(p, at.team * p.shares.blocks + block, p.shares.blocks * at.teams);
    }
    auto* found = reinterpret_cast<PlanEntry*>(reinterpret_cast<char*>(dynamic) + CsaMemory::ape +
                                               (p.ape != nullptr ? CsaMemory::ape_bytes : 0));
    const std::int32_t sharing = p.shares.sharing;
    return scan_chunk(G{}, p, block / sharing, block % sharing * at.teams + at.team,
                      sharing * at.teams, found);
  }

  __device__ __forceinline__ PlanEntry& entry(std::uint32_t of_turn) const {
    return sh.entries[at.warp][of_turn % kEntries];
  }

  __device__ __forceinline__ void ask_for_first_tiles() {
    if (at.lane == 0) {
      entry(0) = list.head[0];
      entry(1) = list.head[1];
    }
    __syncwarp();
    if (list.first < list.count) pages = csa_pages<G, PageRows>(p, list.head[0]);
    wait_for_rows();
#pragma unroll 1
    for (int t = 0; t < kWarpTiles; ++t)
      ask_for_tile(list.first, 0, t);
  }

  /// Copies a tile of a window, and with it what will be needed no sooner.
  __device__ __forceinline__ void ask_for_tile(std::int32_t index, std::uint32_t of_turn,
                                               int t) const {
    if (index < list.count) {
      const PlanEntry e = entry(of_turn);
      if (folds(t)) copies.issue(p, e, pages, t);
      if (t == 0) {
        ask_for_entry(index + 2 * list.stride, of_turn + 2);
      } else if (finishes) {
        issue_late<G>(p, e, rotates(), at.lane, sh.late[at.warp][of_turn & 1U]);
      }
    }
    close_copies();
  }

  __device__ __forceinline__ void ask_for_entry(std::int32_t index, std::uint32_t of_turn) const {
    if (at.lane != 0 || index >= list.count) return;
    if (p.plan != nullptr) {
      copy_small<sizeof(PlanEntry)>(&entry(of_turn), list.entries + index);
    } else {
      entry(of_turn) = list.at(index);
    }
  }

  /// Pools the warp's tiles of a window; each makes room for the next window's.
  __device__ __forceinline__ void fold(std::int32_t index, Two (&x)[kWarpTiles]) {
    const int fresh_from = G::window - fresh_of(p, entry(turn));
    const bool first_window = entry(turn).row == 0;
    const std::int32_t next = index + list.stride;
    if (next < list.count) pages = csa_pages<G, PageRows>(p, entry(turn + 1));
#pragma unroll 1
    for (int t = 0; t < kWarpTiles; ++t) {
      wait_for_copies<kWarpTiles - 1>();
      __syncwarp();
      if (folds(t)) {
        Bias left;
        const auto rows = Settler<S, P>::settle(tiles + t * kTileBytes, ape + t * kTilePartBytes,
                                                fresh_from, bias, at.lane, left);
        const Two pooled = pool_tile<G, Fast>(p, rows, first_window, left);
        if (p.writes_through) [[unlikely]] {
          write_through<G, S, P>(p, entry(turn), 0, channel(t), fresh_from, rows,
                                 left == Bias::early, at.lane);
        }
        if (t == 0) {
          x[0] = pooled;
        } else {
          x[1] = pooled;
        }
        __syncwarp();  // every lane has read its part
      }
      ask_for_tile(next, turn + 1, t);
    }
  }

  /// Pooled rows as they are.
  __device__ __forceinline__ void keep(std::int64_t token, const Two (&x)[kWarpTiles]) const {
#pragma unroll
    for (int t = 0; t < kWarpTiles; ++t) {
      if (!folds(t)) continue;
      store_two<float>(p.compressed, token * p.compressed_stride + channel(t) + 2 * at.lane, x[t]);
    }
  }

  /// The tiles' part of the row.
  __device__ __forceinline__ void finish(Two (&x)[kWarpTiles]) {
    const std::uint32_t side = turn & 1U;  // of what two windows have in turn
    if (p.shares.split) {
      const int pair = at.warp / 2;
      Two& handed = sh.handed[side][pair][at.lane];
      if (!finishes) handed = x[1];
      barrier_of(kPairBarrier + pair, 64);
      if (!finishes) return;
      x[1] = handed;
    }
    const Late late = read_late(sh.late[at.warp][side], rotates(), at.lane);
    Two weight[kWarpTiles];
#pragma unroll
    for (int t = 0; t < kWarpTiles; ++t) {
      weight[t] = norm_of(p, channel(t) + 2 * at.lane);
      if (p.recipe.pooled_bf16) x[t] = rounded(x[t]);
    }
    const double squares = squares_of_row<G>(x, at.first_tile, at.lane, sh.squares[side][at.team],
                                             [&] { barrier_of(1 + at.team, Team::threads); });
    if (late.kv_slot < 0) return;
    finish_two_tiles<G, CacheRows>(p, x, squares, weight, late, at.first_tile, at.lane);
  }

  const FoldParams& p;
  CsaShared<G>& sh;
  const CsaPlace<G> at;
  const std::uint32_t tiles;
  const std::uint32_t ape;
  const CsaCopies<G, S, P, PageRows> copies;
  const Bias bias;
  const bool finishes;

  WindowList list;
  CsaPages pages{};        ///< of the window asked for last
  std::uint32_t turn = 0;  ///< windows before this one
};

/// Folds the windows that are block `block`'s of p.shares.blocks.
template <class G, class S, class P, int PageRows, int CacheRows, bool Fast>
__device__ __forceinline__ void fold_groups(const FoldParams& p, int block, uint4* dynamic,
                                            CsaShared<G>& sh) {
  CsaWarp<G, S, P, PageRows, CacheRows, Fast>(p, dynamic, sh).run(block, dynamic);
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
