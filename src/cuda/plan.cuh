// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/device.cuh"
#include "cuda/tokens.cuh"

#include <cooperative_groups.h>

// The plan: closing tokens, and where asked the tokens to save, compacted in token order. One
// launch; up to 8 blocks of a cluster take neighbouring stretches of the tokens and tell each other
// how many they found. Deterministic: a token's place is a count of those before it.
namespace pleat::cuda {

inline constexpr int kPlanThreads = 1024;
/// Tokens a thread looks at in one sweep: one after the other, so of few tokens each gets a thread
/// of its own. A warp's are neighbours, 32 at a time.
inline constexpr int kPlanTokens = 4;
/// Tokens above which several blocks share the work; below, one block is quicker than a cluster.
inline constexpr std::int32_t kOneBlockTokens = kPlanThreads * kPlanTokens;

/// Counts of a stretch: closing in the low half, saves in the high half; both fit 2^20 and more.
using PlanCounts = std::uint64_t;
__device__ __forceinline__ PlanCounts counts_of(std::uint32_t closing, std::uint32_t saves) {
  return static_cast<PlanCounts>(__popc(closing)) | static_cast<PlanCounts>(__popc(saves)) << 32;
}

/// What the warps of a block count, and the blocks of a cluster tell each other.
struct PlanShared {
  PlanCounts warps[kPlanThreads / 32];  ///< of each and those before it
  PlanCounts block[2];                  ///< two sweeps in turn
};

struct PlanPlace {
  PlanCounts before;  ///< in this sweep, by warps before this one
  PlanCounts total;   ///< in this sweep, by all
};

/// What was counted before a warp. All threads of all blocks come here, and those of a block meet
/// before they come again.
template <int Cluster>
__device__ __forceinline__ PlanPlace place_of_warp(PlanCounts own, PlanShared& sh,
                                                   std::uint32_t side, int rank, int warp,
                                                   int lane) {
  if (lane == 0) sh.warps[warp] = own;
  __syncthreads();
  if (warp == 0) {
    PlanCounts w = lane < static_cast<int>(blockDim.x) / 32 ? sh.warps[lane] : 0;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      const PlanCounts below = __shfl_up_sync(0xFFFFFFFFU, w, d);
      if (lane >= d) w += below;
    }
    sh.warps[lane] = w;
    if (lane == 31) sh.block[side] = w;
  }
  PlanPlace place{0, 0};
  if constexpr (Cluster > 1) {
#if __CUDA_ARCH__ >= 900
    auto cluster = cooperative_groups::this_cluster();
    cluster.sync();
#pragma unroll
    for (int r = 0; r < Cluster; ++r) {
      const PlanCounts n = *cluster.map_shared_rank(&sh.block[side], r);
      place.before += r < rank ? n : 0;
      place.total += n;
    }
#else
    __trap();  // never chosen there
#endif
  } else {
    __syncthreads();
    place.total = sh.block[side];
  }
  place.before += warp > 0 ? sh.warps[warp - 1] : 0;
  return place;
}

/// \p g: a value, as the functions of tokens.cuh take it.
template <class G, int Cluster, int Tokens>
__global__ void __launch_bounds__(kPlanThreads)
    plan_kernel(const __grid_constant__ FoldParams p, const __grid_constant__ PlanParams out,
                const __grid_constant__ G g) {
  __shared__ PlanShared sh;
  wait_for_rows();
  const int tid = static_cast<int>(threadIdx.x);
  const int lane = tid % 32;
  const int warp = tid / 32;
  const int rank = Cluster > 1 ? static_cast<int>(blockIdx.x) : 0;
  const int sweep = static_cast<int>(blockDim.x) * Tokens;
  PlanCounts carried = 0;
  std::uint32_t side = 0;
#pragma unroll 1
  for (std::int64_t start = 0; start < p.tokens;
       start += static_cast<std::int64_t>(sweep) * Cluster) {
    const std::int64_t first =
        start + static_cast<std::int64_t>(rank) * sweep + warp * 32 * Tokens + lane;
    // Entries of earlier sweeps end before these; those of this one are written when all threads
    // have met.
#pragma unroll
    for (std::int32_t t = static_cast<std::int32_t>(first), k = 0; k < Tokens; ++k, t += 32) {
      if (t < min(p.tokens, kAskedEarly)) out.entries[t] = {};
    }
    std::int64_t position[Tokens];
    bool live[Tokens];
    std::int32_t request[Tokens];
#pragma unroll
    for (int k = 0; k < Tokens; ++k) {
      const std::int64_t t = first + 32 * k;
      const bool in = t < p.tokens;
      live[k] = in && is_live(p, static_cast<std::int32_t>(t));
      position[k] = in ? p.positions[t] : 0;
      request[k] = in ? p.token_to_req[t] : 0;
    }
#pragma unroll
    for (int k = 0; k < Tokens; ++k)
      position[k] = live[k] ? position[k] : 0;  // padding may hold anything
    bool keep[Tokens] = {};
    if (out.list_saves) are_saved(g, p, first, request, position, keep);
    std::uint32_t closing[Tokens];  // a bit for each lane's token
    std::uint32_t saved[Tokens];
    PlanCounts of_warp = 0;
#pragma unroll
    for (int k = 0; k < Tokens; ++k) {
      closing[k] = __ballot_sync(0xFFFFFFFFU, live[k] && (position[k] + 1) % g.ratio == 0);
      saved[k] = __ballot_sync(0xFFFFFFFFU, live[k] && keep[k]);
      of_warp += counts_of(closing[k], saved[k]);
    }
    const auto [before, total] = place_of_warp<Cluster>(of_warp, sh, side, rank, warp, lane);
    PlanCounts place = carried + before;
    const std::uint32_t below = (1U << lane) - 1U;
#pragma unroll
    for (int k = 0; k < Tokens; ++k) {
      const auto t = static_cast<std::int32_t>(first + 32 * k);
      const PlanCounts own = place + counts_of(closing[k] & below, saved[k] & below);
      if ((closing[k] >> lane & 1U) != 0) {
        out.entries[static_cast<std::uint32_t>(own)] = {
            t, request[k], static_cast<std::int32_t>(position[k] / g.ratio),
            fresh_rows(g, p, t, request[k], position[k])};
      }
      if ((saved[k] >> lane & 1U) != 0) out.saves[own >> 32] = t;
      place += counts_of(closing[k], saved[k]);
    }
    carried += total;
    side ^= 1U;
    __syncthreads();  // the warps' counts are written again
  }
  if (rank == 0 && tid == 0) {
    PlanHeader h = out.values;
    h.closing = static_cast<std::int32_t>(static_cast<std::uint32_t>(carried));
    h.saves = out.list_saves ? static_cast<std::int32_t>(carried >> 32) : kEveryLiveToken;
    *out.header = h;
  }
#if __CUDA_ARCH__ >= 900
  if constexpr (Cluster > 1) {
    cooperative_groups::this_cluster().sync();  // peers may still read this block's counts
  }
#endif
}

}  // namespace pleat::cuda
