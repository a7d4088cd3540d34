// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/fold.cuh"
#include "cuda/tokens.cuh"

namespace pleat::cuda {

/// Writes one quad of a token's state row, rounded to what the state keeps.
template <class S>
__device__ __forceinline__ void store_quad(void* state, std::int64_t element, const Quad& x) {
  if constexpr (sizeof(S) == 4) {
    *reinterpret_cast<float4*>(static_cast<float*>(state) + element) = {x.v[0], x.v[1], x.v[2],
                                                                        x.v[3]};
  } else {
    uint2 w;
    w.x = numerics::bf16_bits(x.v[0]) | static_cast<std::uint32_t>(numerics::bf16_bits(x.v[1]))
                                            << 16;
    w.y = numerics::bf16_bits(x.v[2]) | static_cast<std::uint32_t>(numerics::bf16_bits(x.v[3]))
                                            << 16;
    *reinterpret_cast<uint2*>(static_cast<Bf16*>(state) + element) = w;
  }
}

/// State rows by blocks `index` of `blocks`, a token a round: every load of a row is on its way
/// before the first of its metadata is needed.
template <class G, class S, class P, int PageRows, int Threads>
__device__ __forceinline__ void save_rows(const FoldParams& p, int index, int blocks) {
  constexpr int quads = G::row_width / 4 / Threads;
  static_assert(quads * 4 * Threads == G::row_width);
  constexpr int kRows = quads >= 4 ? 1 : 4 / quads;  // rows in flight
  const std::int32_t saves = p.saves != nullptr ? p.plan->saves : kEveryLiveToken;
  const bool listed = saves >= 0;
  const std::int32_t count = listed ? saves : p.tokens;
  const int rows_per_page = PageRows > 0 ? PageRows : p.page_rows;
  const bool early_ape = p.ape != nullptr && !p.recipe.ape_when_pooled;
#pragma unroll 1
  for (std::int32_t i = index; i == index || i < count; i += blocks * kRows) {
    uint4 raw[kRows][quads];
    std::int64_t slot[kRows];
    std::int64_t position[kRows];
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      const std::int32_t item = i + k * blocks;
      slot[k] = -1;
      // asked for before it is known whether the list is that long; a plan has room for every token
      std::int32_t t = item;
      if (p.saves != nullptr && item < p.tokens) t = p.saves[item];
      if (item >= count) continue;
      if (!listed) t = item;
#pragma unroll
      for (int q = 0; q < quads; ++q) {
        raw[k][q] = Loader<P>::load(p.projection,
                                    t * p.projection_stride + 4 * (q * Threads + threadIdx.x));
      }
      slot[k] = p.state_slots[t];
      position[k] = p.positions[t];
      if (!listed && slot[k] >= 0 && !is_saved<G>(p, t, p.token_to_req[t], position[k])) {
        slot[k] = -1;
      }
    }
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      if (slot[k] < 0) continue;
      const std::int64_t row =
          slot[k] / rows_per_page * p.page_stride + slot[k] % rows_per_page * p.row_stride;
      const std::int32_t phase = static_cast<std::int32_t>(position[k] % G::ratio);
#pragma unroll
      for (int q = 0; q < quads; ++q) {
        const int c = 4 * (q * Threads + static_cast<int>(threadIdx.x));
        Quad x = Loader<P>::decode(raw[k][q]);
        if (early_ape && c >= G::state_width) {
          const float4 a = __ldg(
              reinterpret_cast<const float4*>(p.ape + phase * p.ape_stride + c - G::state_width));
          x = {{x.v[0] + a.x, x.v[1] + a.y, x.v[2] + a.z, x.v[3] + a.w}};
        }
        store_quad<S>(p.state, row + c, x);
      }
    }
  }
}

}  // namespace pleat::cuda
