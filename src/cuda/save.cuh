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

/// How `Threads` threads copy rows of geometry G.
template <class G, int Threads>
struct SaveShape {
  static constexpr int quads = G::row_width / 4;
  static constexpr int per_row = quads < Threads ? quads : Threads;  ///< threads
  static constexpr int row_quads = quads / per_row;                  ///< of a thread
  static constexpr int pass_quads = row_quads < 2 ? row_quads : 2;   ///< in flight
  static constexpr int passes = row_quads / pass_quads;
  static constexpr int together = Threads / per_row;  ///< rows side by side
  static constexpr int deep = 2 / pass_quads;         ///< and one after the other, in flight
  static constexpr int rows = together * deep;
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

/// Copies the rows first.. of a list, SaveShape::rows every `step`. By Threads threads, of which
/// this is `tid`.
template <class G, class S, class P, int Threads>
__device__ __forceinline__ void copy_rows(const FoldParams& p, int tid, std::int32_t first,
                                          std::int32_t step, const SaveList& list) {
  using Shape = SaveShape<G, Threads>;
  const int in_row = tid % Shape::per_row;
  const int row = tid / Shape::per_row;
  const bool early_ape = p.ape != nullptr && !p.recipe.ape_when_pooled;
#pragma unroll 1
  for (std::int32_t i = first; i < list.count; i += step) {
#pragma unroll 1
    for (int pass = 0; pass < Shape::passes; ++pass) {
      uint4 raw[Shape::deep][Shape::pass_quads];
      std::int32_t token[Shape::deep];
      std::int64_t slot[Shape::deep];
      std::int64_t position[Shape::deep];
      const auto channel = [&](int q) {
        return 4 * ((pass * Shape::pass_quads + q) * Shape::per_row + in_row);
      };
#pragma unroll
      for (int k = 0; k < Shape::deep; ++k) {
        const std::int32_t at = i + k * Shape::together + row;
        token[k] = row < Shape::together && at < list.count ? list.token(at) : -1;
        slot[k] = -1;
        if (token[k] < 0) continue;
#pragma unroll
        for (int q = 0; q < Shape::pass_quads; ++q) {
          raw[k][q] = load_quad<P>(p.projection, token[k] * p.projection_stride + channel(q));
        }
        slot[k] = p.state_slots[token[k]];
        position[k] = p.positions[token[k]];
      }
#pragma unroll
      for (int k = 0; k < Shape::deep; ++k) {
        if (slot[k] < 0) continue;
        unsigned mask = G::overlap ? 3U : 1U;
        if (list.found != nullptr) {
          mask = list.found[i + k * Shape::together + row].halves;
        } else if (!list.whole) {
          mask = halves_to_save<G>(p, token[k], p.token_to_req[token[k]], position[k]);
        }
        if (mask == 0) continue;
        const std::int64_t to = slot_row(p, slot[k]);
        const float* ape = p.ape + position[k] % G::ratio * p.ape_stride;
#pragma unroll
        for (int q = 0; q < Shape::pass_quads; ++q) {
          const int c = channel(q);
          if ((mask >> c % G::state_width / G::head_dim & 1U) == 0) continue;
          const bool biased = early_ape && c >= G::state_width;
          save_quad<S, P>(
              p, to + c, raw[k][q],
              biased ? reinterpret_cast<const float4*>(ape + c - G::state_width) : nullptr);
        }
      }
    }
  }
}

/// The rows that are this step's to save, by block `index` of `blocks`, of Threads threads. \p
/// found: a place in shared memory for an item of each.
template <class G, class S, class P, int Threads>
__device__ __forceinline__ void save_rows(const FoldParams& p, std::int32_t index,
                                          std::int32_t blocks, SaveItem* found) {
  __shared__ std::int32_t count;
  const int tid = static_cast<int>(threadIdx.x);
  constexpr std::int32_t rows = SaveShape<G, Threads>::rows;
  const std::int32_t listed =
      p.tokens > kSaveUnasked && p.saves != nullptr ? p.plan->saves : kEveryLiveToken;
  SaveList list{nullptr, nullptr, p.tokens, false};
  if (listed >= 0) list = {p.saves, nullptr, listed, !p.writes_through};
  const bool looks = p.tokens > kSaveUnasked && listed < 0;  // a token a thread, then copies
#pragma unroll 1
  for (std::int32_t start = index * Threads; !looks || start < p.tokens;
       start += blocks * Threads) {
    if (looks) {
      const std::int32_t t = start + tid;
      if (tid == 0) count = 0;
      __syncthreads();
      unsigned mask = 0;
      if (t < p.tokens && p.state_slots[t] >= 0) {
        mask = halves_to_save<G>(p, t, p.token_to_req[t], p.positions[t]);
      }
      if (mask != 0) found[atomicAdd(&count, 1)] = {t, mask};  // rows are independent: any order
      __syncthreads();
      list = {nullptr, found, count, false};
    }
    copy_rows<G, S, P, Threads>(p, tid, looks ? 0 : index * rows, looks ? rows : blocks * rows,
                                list);
    if (!looks) break;
    __syncthreads();
  }
}

}  // namespace pleat::cuda
