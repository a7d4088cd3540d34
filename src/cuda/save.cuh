// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/device.cuh"
#include "cuda/write_through.cuh"

// State rows of the step's tokens, by blocks of their own. What the fold writes is left out.
namespace pleat::cuda {

/// Up to so many tokens, every projection row is asked for before it is known whether it is saved:
/// on a decode step all are, and the way is one latency shorter.
inline constexpr std::int32_t kSaveUnasked = 512;

struct SaveItem {
  std::int32_t token;
  unsigned halves;
};

/// How a block of `Threads` copies rows of geometry G.
template <class G, int Threads>
struct SaveShape {
  static constexpr int quads = G::row_width / 4;
  static constexpr int per_row = quads < Threads ? quads : Threads;  ///< threads
  static constexpr int thread_quads = quads / per_row;
  static constexpr int together = Threads / per_row;  ///< rows side by side
  static constexpr int deep = thread_quads >= 4 ? 1 : 4;  ///< rows in flight
  static constexpr int rows = together * deep;  ///< of a block at once
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

template <class S, class P>
__device__ __forceinline__ void save_quad(const FoldParams& p, std::int64_t to, const uint4& raw,
                                          const float4* ape) {
  Two x[2];
  if constexpr (sizeof(P) == 4) {
    x[0] = {{__uint_as_float(raw.x), __uint_as_float(raw.y)}};
    x[1] = {{__uint_as_float(raw.z), __uint_as_float(raw.w)}};
  } else {
    x[0] = widened(raw.x);
    x[1] = widened(raw.y);
  }
  if (ape != nullptr) {
    const float4 a = __ldg(ape);
    x[0] = {{x[0].v[0] + a.x, x[0].v[1] + a.y}};
    x[1] = {{x[1].v[0] + a.z, x[1].v[1] + a.w}};
  }
  if constexpr (sizeof(S) == 4) {
    *reinterpret_cast<float4*>(static_cast<float*>(p.state) + to) = {x[0].v[0], x[0].v[1],
                                                                     x[1].v[0], x[1].v[1]};
  } else {
    *reinterpret_cast<uint2*>(static_cast<Bf16*>(p.state) + to) = {bf16_word(x[0]),
                                                                   bf16_word(x[1])};
  }
}

/// Copies the rows first.. of `count`, a block's worth every `step`; item(i) says which token,
/// halves(i, token, position) which halves of its row.
template <class G, class S, class P, int Threads, class Item, class Halves>
__device__ __forceinline__ void copy_rows(const FoldParams& p, std::int32_t first,
                                          std::int32_t step, std::int32_t count, Item item,
                                          Halves halves) {
  using Shape = SaveShape<G, Threads>;
  const int in_row = static_cast<int>(threadIdx.x) % Shape::per_row;
  const int row = static_cast<int>(threadIdx.x) / Shape::per_row;
  const bool early_ape = p.ape != nullptr && !p.recipe.ape_when_pooled;
#pragma unroll 1
  for (std::int32_t i = first; i < count; i += step) {
    uint4 raw[Shape::deep][Shape::thread_quads];
    std::int32_t token[Shape::deep];
    std::int64_t slot[Shape::deep];
    std::int64_t position[Shape::deep];
#pragma unroll
    for (int k = 0; k < Shape::deep; ++k) {
      const std::int32_t at = i + k * Shape::together + row;
      token[k] = row < Shape::together && at < count ? item(at) : -1;
      slot[k] = -1;
      if (token[k] < 0) continue;
#pragma unroll
      for (int q = 0; q < Shape::thread_quads; ++q) {
        raw[k][q] = load_quad<P>(
            p.projection, token[k] * p.projection_stride + 4 * (q * Shape::per_row + in_row));
      }
      slot[k] = p.state_slots[token[k]];
      position[k] = p.positions[token[k]];
    }
#pragma unroll
    for (int k = 0; k < Shape::deep; ++k) {
      if (slot[k] < 0) continue;
      const unsigned mask = halves(i + k * Shape::together + row, token[k], position[k]);
      if (mask == 0) continue;
      const std::int64_t to = slot_row(p, slot[k]);
      const float* ape = p.ape + position[k] % G::ratio * p.ape_stride;
#pragma unroll
      for (int q = 0; q < Shape::thread_quads; ++q) {
        const int c = 4 * (q * Shape::per_row + in_row);
        if ((mask >> c % G::state_width / G::head_dim & 1U) == 0) continue;
        const bool biased = early_ape && c >= G::state_width;
        save_quad<S, P>(
            p, to + c, raw[k][q],
            biased ? reinterpret_cast<const float4*>(ape + c - G::state_width) : nullptr);
      }
    }
  }
}

/// The rows that are this step's to save, by block `index` of `blocks`. \p found: a place in shared
/// memory for an item of each thread.
template <class G, class S, class P, int Threads>
__device__ __forceinline__ void save_rows(const FoldParams& p, std::int32_t index,
                                          std::int32_t blocks, SaveItem* found) {
  constexpr std::int32_t rows = SaveShape<G, Threads>::rows;
  constexpr unsigned all = G::overlap ? 3U : 1U;
  wait_for_predecessor();
  const auto ask = [&](std::int32_t, std::int32_t t, std::int64_t position) {
    return halves_to_save<G>(p, t, p.token_to_req[t], position);
  };
  if (p.tokens <= kSaveUnasked) {
    return copy_rows<G, S, P, Threads>(
        p, index * rows, blocks * rows, p.tokens, [](std::int32_t i) { return i; }, ask);
  }
  const std::int32_t listed = p.saves != nullptr ? p.plan->saves : kEveryLiveToken;
  if (listed >= 0) {
    const auto item = [&](std::int32_t i) { return p.saves[i]; };
    if (p.writes_through) {
      return copy_rows<G, S, P, Threads>(p, index * rows, blocks * rows, listed, item, ask);
    }
    return copy_rows<G, S, P, Threads>(
        p, index * rows, blocks * rows, listed, item,
        [](std::int32_t, std::int32_t, std::int64_t) { return all; });
  }
  // look through a token a thread, then copy what was found
  __shared__ std::int32_t count;
#pragma unroll 1
  for (std::int32_t start = index * Threads; start < p.tokens; start += blocks * Threads) {
    const std::int32_t t = start + static_cast<std::int32_t>(threadIdx.x);
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    unsigned mask = 0;
    if (t < p.tokens && p.state_slots[t] >= 0) {
      mask = halves_to_save<G>(p, t, p.token_to_req[t], p.positions[t]);
    }
    if (mask != 0) found[atomicAdd(&count, 1)] = {t, mask};  // rows are independent: any order
    __syncthreads();
    copy_rows<G, S, P, Threads>(
        p, 0, rows, count, [&](std::int32_t i) { return found[i].token; },
        [&](std::int32_t i, std::int32_t, std::int64_t) { return found[i].halves; });
    __syncthreads();
  }
}

}  // namespace pleat::cuda
