// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/hca_window.cuh"
#include "cuda/join.cuh"

// What the warps of a block that folds HCA windows have in shared memory, and what the blocks of a
// cluster tell each other.
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

/// Sums of squares of windows, two in turn: who tells those of window w + 2 has heard all of window
/// w + 1, before which every block has read those of window w.
template <class G>
struct HcaShared {
  double squares[2][G::tiles];
  std::uint64_t arrived[2];
  LateSlot late[kHcaWarps][2];
};

/// Tells all blocks of the cluster a tile's sum of squares, and returns the row's. By one warp of
/// each tile. \p turn: windows before this one.
template <class G, int Cluster>
__device__ __forceinline__ double row_squares(HcaShared<G>& sh, std::uint32_t turn, int tile,
                                              int lane, double own) {
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
      put_to_peer(peer_address(shared_address(&sh.squares[side][tile]), lane),
                  __double_as_longlong(own), peer_address(shared_address(&sh.arrived[side]), lane));
    }
    barrier_wait(&sh.arrived[side], turn >> 1 & 1U);
#endif
  }
  double squares[G::tiles];
#pragma unroll
  for (int i = 0; i < G::tiles; ++i)
    squares[i] = sh.squares[side][i];
  return sum_tiles(squares);
}

}  // namespace pleat::cuda
