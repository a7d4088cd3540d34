// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/device.cuh"
#include "cuda/launch.cuh"
#include "cuda/tokens.cuh"

#include <algorithm>

// The plan: closing tokens, and where asked the tokens to save, compacted in token order. One
// launch; the blocks of a cluster take neighbouring stretches of the tokens and tell each other
// how many they found. Deterministic: a token's place is a count of those before it.
namespace pleat::cuda {

inline constexpr int kPlanThreads = 1024;
/// Blocks of a cluster, which share the tokens where there are more than a block's threads.
inline constexpr int kPlanBlocks = 8;
/// Tokens a thread looks at in one sweep, where there are more than threads: one after the other. A
/// warp's are neighbours, 32 at a time.
inline constexpr int kPlanTokens = 4;

/// Counts of a stretch: closing in the low half, saves in the high half; both fit 2^20 and more.
using PlanCounts = std::uint64_t;
__device__ __forceinline__ PlanCounts counts_of(std::uint32_t closing, std::uint32_t saves) {
  return static_cast<PlanCounts>(__popc(closing)) | static_cast<PlanCounts>(__popc(saves)) << 32;
}

__device__ __forceinline__ std::int32_t closing_of(PlanCounts n) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(n));
}
__device__ __forceinline__ std::int32_t saves_of(PlanCounts n) {
  return static_cast<std::int32_t>(n >> 32);
}

/// What the warps of a block count, and the blocks of a cluster tell each other.
template <int Cluster>
struct PlanShared {
  PlanCounts warps[kPlanThreads / 32];  ///< of each; then of all before it
  PlanCounts total;                     ///< of the sweeps so far, in all blocks
  /// Two sweeps in turn: who tells those of sweep s + 2 has heard all of sweep s + 1, before which
  /// every block has read those of sweep s.
  PlanCounts blocks[2][Cluster];
  std::uint64_t arrived[2];
};

/// A block may tell its peers counts once it has waited (cluster_wait()) for all of them to have
/// been here.
template <int Cluster>
__device__ __forceinline__ void start_cluster(PlanShared<Cluster>& sh, int tid) {
#if __CUDA_ARCH__ >= 900
  if constexpr (Cluster > 1) {
    if (tid < 2) {
      barrier_init(&sh.arrived[tid], 1);
      barrier_init_fence();
    }
    __syncwarp();
    cluster_arrive();
  }
#endif
}

/// Tells all blocks of the cluster what this one counted, and returns the sum of what they tell; \p
/// before gets that of the blocks before this one added. By one warp.
template <int Cluster>
__device__ __forceinline__ PlanCounts counts_of_cluster(PlanCounts own, PlanShared<Cluster>& sh,
                                                        std::uint32_t turn, int rank, int lane,
                                                        PlanCounts& before) {
  PlanCounts total = 0;
#if __CUDA_ARCH__ >= 900
  const std::uint32_t side = turn & 1U;
  if (lane == 0) barrier_expect(&sh.arrived[side], sizeof(sh.blocks[0]));
  if (lane < Cluster) {
    put_to_peer(peer_address(shared_address(&sh.blocks[side][rank]), lane), own,
                peer_address(shared_address(&sh.arrived[side]), lane));
  }
  barrier_wait(&sh.arrived[side], turn >> 1 & 1U);
#pragma unroll
  for (int r = 0; r < Cluster; ++r) {
    const PlanCounts n = sh.blocks[side][r];
    before += r < rank ? n : 0;
    total += n;
  }
#else
  __trap();  // never chosen there
#endif
  return total;
}

/// What was counted before a warp, in this sweep and those before. All threads of all blocks come
/// here, and those of a block meet before they come again. After the last call a block may end:
/// nobody tells it anything more, and who needs what it told waits for it in its own memory.
template <int Cluster>
__device__ __forceinline__ PlanCounts counts_before(PlanCounts own, PlanShared<Cluster>& sh,
                                                    std::uint32_t turn, int rank, int warp,
                                                    int lane) {
  if (lane == 0) sh.warps[warp] = own;
  __syncthreads();
  if (warp == 0) {
    const PlanCounts of_lane = lane < static_cast<int>(blockDim.x) / 32 ? sh.warps[lane] : 0;
    PlanCounts through = of_lane;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      const PlanCounts below = __shfl_up_sync(0xFFFFFFFFU, through, d);
      if (lane >= d) through += below;
    }
    const PlanCounts earlier = sh.total;
    PlanCounts before = earlier;
    PlanCounts total = earlier + through;  // in the last lane
    if constexpr (Cluster > 1) {
      const PlanCounts of_block = __shfl_sync(0xFFFFFFFFU, through, 31);
      total = earlier + counts_of_cluster(of_block, sh, turn, rank, lane, before);
    }
    sh.warps[lane] = before + through - of_lane;
    __syncwarp();  // all lanes have read the earlier total
    if (lane == 31) sh.total = total;
  }
  __syncthreads();
  return sh.warps[warp];
}

/// With one token a thread all tokens are looked at in one sweep: launch_plan_kernel() sees to it.
/// \p g: a value, as the functions of tokens.cuh take it.
template <class G, int Cluster, int Tokens>
__global__ void __launch_bounds__(kPlanThreads)
    plan_kernel(const __grid_constant__ FoldParams p, const __grid_constant__ PlanParams out,
                const __grid_constant__ G g) {
  __shared__ PlanShared<Cluster> sh;
  const int tid = static_cast<int>(threadIdx.x);
  if (tid == 0) sh.total = 0;
  start_cluster(sh, tid);
  wait_for_rows();
  const int lane = tid % 32;
  const int warp = tid / 32;
  const int rank = Cluster > 1 ? static_cast<int>(blockIdx.x) : 0;
  const int threads = static_cast<int>(blockDim.x);
  const int sweep = threads * Tokens;
  const std::int32_t asked = min(p.tokens, kAskedEarly);
  std::uint32_t turn = 0;
#pragma unroll 1
  for (std::int32_t start = 0; start < p.tokens; start += sweep * Cluster) {
    const std::int32_t first = start + rank * sweep + warp * 32 * Tokens + lane;
    std::int64_t position[Tokens];
    bool live[Tokens];
    std::int32_t request[Tokens];
#pragma unroll
    for (int k = 0; k < Tokens; ++k) {
      const std::int32_t t = first + 32 * k;
      const bool in = t < p.tokens;
      live[k] = in && is_live(p, t);
      position[k] = in ? p.positions[t] : 0;
      request[k] = in ? p.token_to_req[t] : 0;
    }
    // After the loads are issued: the wait, or the stores, would hold them up.
    if constexpr (Cluster > 1) {
#if __CUDA_ARCH__ >= 900
      if (turn == 0) cluster_wait();
#endif
    } else {
      // Entries are written only after all threads have met, in counts_before().
#pragma unroll 1
      for (std::int32_t i = tid; turn == 0 && i < asked; i += threads)
        out.entries[i] = {};
    }
#pragma unroll
    for (int k = 0; k < Tokens; ++k)
      position[k] = live[k] ? position[k] : 0;  // padding may hold anything
    bool keep[Tokens] = {};
    if (out.list_saves) are_saved(g, p, first, request, position, keep);
    std::uint32_t closes[Tokens];  // a bit for each lane's token
    std::uint32_t saved[Tokens];
    PlanCounts of_warp = 0;
#pragma unroll
    for (int k = 0; k < Tokens; ++k) {
      closes[k] = __ballot_sync(0xFFFFFFFFU, live[k] && (position[k] + 1) % g.ratio == 0);
      saved[k] = __ballot_sync(0xFFFFFFFFU, live[k] && keep[k]);
      of_warp += counts_of(closes[k], saved[k]);
    }
    PlanCounts place = counts_before(of_warp, sh, turn, rank, warp, lane);
    const std::uint32_t below = (1U << lane) - 1U;
#pragma unroll
    for (int k = 0; k < Tokens; ++k) {
      const std::int32_t t = first + 32 * k;
      const PlanCounts own = place + counts_of(closes[k] & below, saved[k] & below);
      if ((closes[k] >> lane & 1U) != 0) {
        out.entries[closing_of(own)] = {t, request[k],
                                        static_cast<std::int32_t>(position[k] / g.ratio),
                                        fresh_rows(g, p, t, request[k], position[k])};
      }
      if ((saved[k] >> lane & 1U) != 0) out.saves[saves_of(own)] = t;
      place += counts_of(closes[k], saved[k]);
    }
    ++turn;
    if constexpr (Tokens > 1) __syncthreads();  // the next sweep writes the warps' counts
  }
  if constexpr (Cluster > 1) {
    // A block writes entries that another would clear: so those past the count are cleared when
    // all blocks know it.
    for (std::int32_t i = closing_of(sh.total) + rank * threads + tid; i < asked;
         i += Cluster * threads)
      out.entries[i] = {};
  }
  if (rank == 0 && tid == 0) {
    PlanHeader h = out.values;
    h.closing = closing_of(sh.total);
    h.saves = out.list_saves ? saves_of(sh.total) : kEveryLiveToken;
    *out.header = h;
  }
}

/// Threads of each block, up to all, that look at the tokens in one sweep.
inline int plan_threads(std::int32_t tokens, int of_thread, int blocks) {
  const int of_warps = 32 * of_thread * blocks;
  const int warps = std::max(1, (tokens + of_warps - 1) / of_warps);
  return 32 * std::min(warps, kPlanThreads / 32);
}

template <class G>
cudaError_t launch_plan_kernel(const FoldParams& p, const PlanParams& out, const G& g,
                               bool clusters, bool chained, cudaStream_t stream) {
  const auto launched = [&](auto* kernel, int blocks, int of_thread) {
    return launch(kernel, blocks, plan_threads(p.tokens, of_thread, blocks), blocks, 0, chained,
                  stream, p, out, g);
  };
  if (p.tokens <= kPlanThreads) return launched(plan_kernel<G, 1, 1>, 1, 1);
  if (!clusters) return launched(plan_kernel<G, 1, kPlanTokens>, 1, kPlanTokens);
  if (p.tokens <= kPlanBlocks * kPlanThreads) {
    return launched(plan_kernel<G, kPlanBlocks, 1>, kPlanBlocks, 1);
  }
  return launched(plan_kernel<G, kPlanBlocks, kPlanTokens>, kPlanBlocks, kPlanTokens);
}

}  // namespace pleat::cuda
