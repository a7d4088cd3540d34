// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/device.cuh"
#include "cuda/write_through.cuh"

// State rows of the step's tokens, by blocks of their own. What the fold writes is left out.
namespace pleat::cuda {

struct SaveItem {
  std::int32_t token;
  unsigned halves;
};

/// How `Threads` threads copy rows of geometry G: a thread has four quads of channels in flight, of
/// one row or of several.
template <class G, int Threads>
struct SaveShape {
  static constexpr int quads = G::row_width / 4;
  static constexpr int per_row = quads < Threads ? quads : Threads;  ///< threads
  static constexpr int row_quads = quads / per_row;                  ///< of a thread
  static constexpr int together = Threads / per_row;                 ///< rows side by side
  static constexpr int deep = 4 / row_quads;  ///< and one after the other, in flight
  static constexpr int rows = together * deep;
  static_assert(row_quads * deep == 4 && per_row % 32 == 0 && rows <= 32);
};

/// Four channels as they lie in memory: 16 bytes of fp32, or 8 of bf16.
template <class P>
__device__ __forceinline__ uint4 load_quad(const void* from, std::int64_t element) {
  if constexpr (sizeof(P) == 4) {
    return load_stream16(static_cast<const float*>(from) + element);
  } else {
    const uint2 v = *reinterpret_cast<const uint2*>(static_cast<const Bf16*>(from) + element);
    return {v.x, v.y, 0, 0};
  }
}

/// \p ape: what is added to them, if anything is.
template <class S, class P>
__device__ __forceinline__ void save_quad(const FoldParams& p, std::int64_t to, const uint4& raw,
                                          bool biased, const float4& ape) {
  Two x[2];
  if constexpr (sizeof(P) == 4) {
    x[0] = {{__uint_as_float(raw.x), __uint_as_float(raw.y)}};
    x[1] = {{__uint_as_float(raw.z), __uint_as_float(raw.w)}};
  } else {
    x[0] = widened(raw.x);
    x[1] = widened(raw.y);
  }
  if (biased) {
    x[0] = {{x[0].v[0] + ape.x, x[0].v[1] + ape.y}};
    x[1] = {{x[1].v[0] + ape.z, x[1].v[1] + ape.w}};
  }
  if constexpr (sizeof(S) == 4) {
    *reinterpret_cast<float4*>(static_cast<float*>(p.state) + to) = {x[0].v[0], x[0].v[1],
                                                                     x[1].v[0], x[1].v[1]};
  } else {
    *reinterpret_cast<uint2*>(static_cast<Bf16*>(p.state) + to) = {bf16_word(x[0]),
                                                                   bf16_word(x[1])};
  }
}

/// Which rows are copied: every token's, those that the plan lists, or those that were found.
struct SaveList {
  const std::int32_t* listed;
  const SaveItem* found;
  std::int32_t count;
  bool whole;  ///< every row that is listed, and all of it

  __device__ __forceinline__ std::int32_t token(std::int32_t i) const {
    return found != nullptr ? found[i].token : listed != nullptr ? listed[i] : i;
  }
};

/// Whether rows are asked for before it is known whether they are saved: one latency less. With
/// short windows many close on every step, and their rows, which somebody waits for, come first.
template <class G>
inline constexpr bool kRowsFirst = !G::overlap;

/// Copies the rows first.. of a list, SaveShape::rows every `step`. By Threads threads, of which
/// this is `tid`. In each warp a lane finds out about a row, all of them at once.
template <class G, class S, class P, int Threads>
__device__ __forceinline__ void copy_rows(const FoldParams& p, int tid, std::int32_t first,
                                          std::int32_t step, const SaveList& list) {
  using Shape = SaveShape<G, Threads>;
  constexpr unsigned all_lanes = 0xFFFFFFFFU;
  const int lane = tid % 32;
  const int in_row = tid % Shape::per_row;
  const int row = tid / Shape::per_row;
  const bool early_ape = p.ape != nullptr && !p.recipe.ape_when_pooled;
  const auto channel = [&](int q) { return 4 * (q * Shape::per_row + in_row); };
#pragma unroll 1
  for (std::int32_t i = first; i < list.count; i += step) {
    const std::int32_t at = i + lane;
    const std::int32_t own = lane < Shape::rows && at < list.count ? list.token(at) : -1;
    uint4 raw[Shape::deep][Shape::row_quads];
    const auto load_rows = [&](std::int32_t lane_token) {
#pragma unroll
      for (int k = 0; k < Shape::deep; ++k) {
        const std::int32_t token = __shfl_sync(all_lanes, lane_token, k * Shape::together + row);
        if (token < 0) continue;
#pragma unroll
        for (int q = 0; q < Shape::row_quads; ++q)
          raw[k][q] = load_quad<P>(p.projection, token * p.projection_stride + channel(q));
      }
    };
    const bool rows_first = kRowsFirst<G> && !p.early;  // early, they are what is waited for
    if (rows_first) load_rows(own);
    std::int64_t slot = -1;
    std::int64_t position = 0;
    std::int32_t request = 0;
    if (own >= 0) {
      slot = p.state_slots[own];
      position = p.positions[own];
      request = p.token_to_req[own];
    }
    // The bias waits for the position alone, while it is found out whether the row is saved.
    const std::int64_t in_ape = slot < 0 ? 0 : position % G::ratio * p.ape_stride - G::state_width;
    float4 bias[Shape::deep][Shape::row_quads];
#pragma unroll
    for (int k = 0; k < Shape::deep; ++k) {
      const float* ape = p.ape + __shfl_sync(all_lanes, in_ape, k * Shape::together + row);
#pragma unroll
      for (int q = 0; q < Shape::row_quads; ++q) {
        if (!early_ape || channel(q) < G::state_width) continue;
        bias[k][q] = __ldg(reinterpret_cast<const float4*>(ape + channel(q)));
      }
    }
    unsigned mask = 0;
    std::int64_t to = 0;
    if (slot >= 0) {
      mask = G::overlap ? 3U : 1U;
      if (list.found != nullptr) {
        mask = list.found[at].halves;
      } else if (!list.whole) {
        mask = halves_to_save<G>(p, own, request, position);
      }
      to = slot_row(p, slot);
    }
    wait_for_rows();
    if (!rows_first) load_rows(mask != 0 ? own : -1);
#pragma unroll
    for (int k = 0; k < Shape::deep; ++k) {
      const int from = k * Shape::together + row;
      const unsigned halves = __shfl_sync(all_lanes, mask, from);
      const std::int64_t there = __shfl_sync(all_lanes, to, from);
#pragma unroll
      for (int q = 0; q < Shape::row_quads; ++q) {
        const int c = channel(q);
        if ((halves >> c % G::state_width / G::head_dim & 1U) == 0) continue;
        save_quad<S, P>(p, there + c, raw[k][q], early_ape && c >= G::state_width, bias[k][q]);
      }
    }
  }
}

/// The rows that are this step's to save, by block `index` of `blocks`, of Threads threads. \p
/// found: a place in shared memory for an item of each.
template <class G, class S, class P, int Threads>
__device__ __forceinline__ void save_rows(const FoldParams& p, std::int32_t index,
                                          std::int32_t blocks, SaveItem* found) {
  constexpr std::int32_t rows = SaveShape<G, Threads>::rows;
  __shared__ std::int32_t count;
  const int tid = static_cast<int>(threadIdx.x);
  if (!p.early) wait_for_rows();
  const std::int32_t listed =
      p.tokens > kFewTokens && p.saves != nullptr ? p.plan->saves : kEveryLiveToken;
  // Of few tokens every row is looked at: on a decode step all are saved.
  if (p.tokens <= kFewTokens || listed >= 0) {
    SaveList list{nullptr, nullptr, p.tokens, false};
    if (listed >= 0) list = {p.saves, nullptr, listed, !p.writes_through};
    copy_rows<G, S, P, Threads>(p, tid, index * rows, blocks * rows, list);
    wait_for_rows();
    return;
  }
#pragma unroll 1
  for (std::int32_t start = index * Threads; start < p.tokens; start += blocks * Threads) {
    const std::int32_t t = start + tid;  // a token a thread, then copies
    if (tid == 0) count = 0;
    __syncthreads();
    unsigned mask = 0;
    if (t < p.tokens && p.state_slots[t] >= 0) {
      mask = halves_to_save<G>(p, t, p.token_to_req[t], p.positions[t]);
    }
    if (mask != 0) found[atomicAdd(&count, 1)] = {t, mask};  // rows are independent: any order
    __syncthreads();
    copy_rows<G, S, P, Threads>(p, tid, 0, rows, {nullptr, found, count, false});
    __syncthreads();
  }
  wait_for_rows();  // who had none too
}

}  // namespace pleat::cuda
