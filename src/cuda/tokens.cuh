// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/device.cuh"
#include "cuda/params.cuh"
#include "cuda/tokens_chunk.hpp"

// What can be read off a step's tokens, the same for the plan kernel and for blocks without a plan.
// A geometry is handed on as a value: of one of the three, which are types, all of it is known to
// the compiler; any other is an AnyGeometry (any_geometry.cuh).
namespace pleat::cuda {

__device__ __forceinline__ bool is_live(const FoldParams& p, std::int32_t t) {
  return p.state_slots[t] >= 0;
}

/// Whether token u is the live token of this request at this position. \p AtOnce: without a branch,
/// so that what several such questions need is loaded at once.
template <bool AtOnce = false>
__device__ __forceinline__ bool is_token(const FoldParams& p, std::int64_t u, std::int32_t request,
                                         std::int64_t position) {
  const bool inside = u >= 0 && u < p.tokens;
  if (!AtOnce && !inside) return false;
  const std::int64_t i = inside ? u : 0;
  const bool live = p.state_slots[i] >= 0;
  const bool same = p.token_to_req[i] == request;
  const bool there = p.positions[i] == position;
  return inside & live & same & there;
}

/// How often \p by can be added to token t and its position so that it still is a token of this
/// step: as in fresh_rows, being one is monotone. A long chunk goes around a short ring many times.
__device__ __forceinline__ std::int64_t times_around(const FoldParams& p, std::int64_t t,
                                                     std::int64_t by, std::int32_t request,
                                                     std::int64_t position) {
  std::int64_t n = 0;
  std::int64_t step = 1;
  const auto reaches = [&](std::int64_t times) {
    return is_token(p, t + times * by, request, position + times * by);
  };
#pragma unroll 1
  while (reaches(n + step)) {
    n += step;
    step *= 2;
  }
#pragma unroll 1
  for (step /= 2; step > 0; step /= 2) {
    if (reaches(n + step)) n += step;
  }
  return n;
}

/// How many of the window's rows up to closing token t are tokens of this step. Tokens of a
/// request are contiguous, so being one is monotone in the distance: prefill has them all, decode
/// has one, and bisection finds the edge between.
template <class G>
__device__ __forceinline__ std::int32_t fresh_rows(const G& g, const FoldParams& p, std::int32_t t,
                                                   std::int32_t request, std::int64_t position) {
  const auto is_fresh = [&](std::int32_t back) {
    return is_token(p, static_cast<std::int64_t>(t) - back, request, position - back);
  };
  if (is_fresh(g.window - 1)) return g.window;
  if (!is_fresh(1)) return 1;
  std::int32_t n = 1;
#pragma unroll 1
  for (std::int32_t step = g.window / 2; step > 0; step /= 2) {
    if (is_fresh(n + step - 1)) n += step;
  }
  return n;
}

/// Whether live tokens' state rows are written: policy tail, and what a ring can hold. Both say
/// "not if the request reaches some length in this step", and the token that would reach it has a
/// known place. Tokens first, first + 32, ...: what policy tail asks of them is loaded at once.
template <class G, int Tokens>
__device__ __forceinline__ void are_saved(const G& g, const FoldParams& p, std::int64_t first,
                                          const std::int32_t (&request)[Tokens],
                                          const std::int64_t (&position)[Tokens],
                                          bool (&saved)[Tokens]) {
#pragma unroll
  for (bool& s : saved)
    s = true;
  if (p.policy == StatePolicy::tail) {
#pragma unroll
    for (int k = 0; k < Tokens; ++k) {
      const std::int64_t before = g.overlap ? g.ratio : 0;
      const std::int64_t length = ((position[k] + before) / g.ratio + 1) * g.ratio + p.rollback;
      const std::int64_t ahead = length - 1 - position[k];
      saved[k] =
          !is_token<(Tokens > 1)>(p, first + 32 * k + ahead, request[k], position[k] + ahead);
    }
  }
  if (p.ring) {
#pragma unroll
    for (int k = 0; k < Tokens; ++k) {
      saved[k] = saved[k] &
                 !is_token(p, first + 32 * k + p.page_rows, request[k], position[k] + p.page_rows);
    }
  }
}

template <class G>
__device__ __forceinline__ bool is_saved(const G& g, const FoldParams& p, std::int32_t t,
                                         std::int32_t request, std::int64_t position) {
  bool saved[1];
  are_saved<G, 1>(g, p, t, {request}, {position}, saved);
  return saved[0];
}

/// The closing windows that a block works through: the plan's, or those it finds in its own chunk.
/// The first two entries are at hand; past the count they mean nothing.
struct WindowList {
  const PlanEntry* entries;
  std::int32_t count;
  std::int32_t first;
  std::int32_t stride;
  PlanEntry head[2];

  /// Loaded where this stands: registers are what a fold lacks first.
  __device__ __forceinline__ PlanEntry at(std::int32_t i) const {
    PlanEntry e;
    asm volatile("ld.v4.s32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(e.token), "=r"(e.request), "=r"(e.row), "=r"(e.fresh)
                 : "l"(entries + i));
    return e;
  }
};

/// The plan's windows first, first + stride, ..., before \p end. The first two entries are asked
/// for together with the count that says whether they are any: a plan writes kAskedEarly of them,
/// or as many as there are tokens if those are fewer. Farther ones wait for the count.
__device__ __forceinline__ WindowList plan_windows(const FoldParams& p, std::int32_t first,
                                                   std::int32_t stride,
                                                   std::int32_t end = kEveryWindow) {
  WindowList list{p.entries, min(p.plan->closing, end), first, stride, {}};
  const std::int32_t second = first + stride;
  const std::int32_t last = min(p.tokens, kAskedEarly) - 1;
  list.head[0] = p.entries[min(first, last)];
  list.head[1] = p.entries[min(second, last)];
  if (second >= kAskedEarly) [[unlikely]] {
    if (first >= kAskedEarly && first < list.count) list.head[0] = list.at(first);
    if (second < list.count) list.head[1] = list.at(second);
  }
  return list;
}

/// Tokens of this step among the last rows of a window; an op without a projection has them in the
/// state.
__device__ __forceinline__ int fresh_of(const FoldParams& p, const PlanEntry& e) {
  return p.projection != nullptr ? e.fresh : 0;
}

/// Entries of the chunk's closing tokens, in token order, into shared memory. Needs a block of at
/// least kScanThreads threads, all of them here.
template <class G>
__device__ __forceinline__ WindowList scan_chunk(const G& g, const FoldParams& p,
                                                 std::int32_t chunk_index, std::int32_t first,
                                                 std::int32_t stride, PlanEntry* found) {
  __shared__ std::int32_t counts[kScanThreads / 32];
  const int tid = static_cast<int>(threadIdx.x);
  const std::int32_t t = chunk_index * kScanThreads + tid;
  bool closing = false;
  std::int64_t position = 0;
  std::uint32_t vote = 0;
  if (tid < kScanThreads) {
    if (t < p.tokens && is_live(p, t)) {
      position = p.positions[t];
      closing = (position + 1) % g.ratio == 0;
    }
    vote = __ballot_sync(0xFFFFFFFFU, closing);
    if (tid % 32 == 0) counts[tid / 32] = __popc(vote);
  }
  __syncthreads();
  std::int32_t before = 0;
  std::int32_t total = 0;
#pragma unroll
  for (int w = 0; w < kScanThreads / 32; ++w) {
    before += w < tid / 32 ? counts[w] : 0;
    total += counts[w];
  }
  if (closing) {
    // norm_rope_store has no use for the request and does not get it
    const std::int32_t request = p.token_to_req != nullptr ? p.token_to_req[t] : 0;
    const std::int32_t fresh = p.projection != nullptr ? fresh_rows(g, p, t, request, position) : 0;
    found[before + __popc(vote & ((1U << (tid % 32)) - 1U))] = {
        t, request, static_cast<std::int32_t>(position / g.ratio), fresh};
  }
  __syncthreads();
  return {found, total, first, stride, {found[first], found[(first + stride) % kScanThreads]}};
}

}  // namespace pleat::cuda
