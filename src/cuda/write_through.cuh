// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/tile.cuh"
#include "cuda/tokens.cuh"

// State rows that the fold itself writes. Each row and half of the state, or of a step's
// projection, is read by the windows of exactly one closing token. So whoever reads it may also
// write it, and needs nobody's leave:
// - policy all: a row of the projection is written from the copy that is folded, not read again;
// - ring: a row that this step's tokens push out is replaced by the warp that has just read it.
// save.cuh leaves out what is written here.
namespace pleat::cuda {

/// The position of the token that closes the window in which half \p half of position \p at is
/// read.
template <class G>
__device__ __forceinline__ std::int64_t closing_position(std::int64_t at, int half) {
  return at / G::ratio * G::ratio + G::ratio - 1 + (G::overlap && half == 0 ? G::ratio : 0);
}

/// Which halves of live token t's state row its own step has to write apart from the fold, a bit
/// each: all or none, but where the fold writes through.
template <class G>
__device__ __forceinline__ unsigned halves_to_save(const FoldParams& p, std::int32_t t,
                                                   std::int32_t request, std::int64_t position) {
  constexpr int halves = G::overlap ? 2 : 1;
  if (!is_saved(G{}, p, t, request, position)) return 0;
  unsigned mask = (1U << halves) - 1U;
  if (!p.writes_through) return mask;
  std::int64_t read = position;
  if (p.ring) {  // what the row held before this step
    const std::int64_t written = times_around(p, t, -p.page_rows, request, position);
    read = position - (written + 1) * p.page_rows;
    if (read < 0) return mask;
  }
#pragma unroll
  for (int half = 0; half < halves; ++half) {
    const std::int64_t closing = closing_position<G>(read, half);
    if (is_token(p, t + (closing - position), request, closing)) mask &= ~(1U << half);
  }
  return mask;
}

/// The token of this step that takes the ring row of position \p at, or -1. \p e: a window that
/// reads it from the ring.
template <class G>
__device__ __forceinline__ std::int32_t token_that_replaces(const FoldParams& p, const PlanEntry& e,
                                                            std::int64_t at) {
  const std::int64_t ahead = static_cast<std::int64_t>(e.row) * G::ratio + G::ratio - 1 - e.token;
  const std::int64_t position =
      at + times_around(p, at - ahead, p.page_rows, e.request, at) * p.page_rows;
  const auto token = static_cast<std::int32_t>(position - ahead);
  if (position == at || !is_saved(G{}, p, token, e.request, position)) return -1;
  return token;
}

/// Writes what the fold of one tile has to: \p first is the tile's first row in the window, \p
/// channel its first channel. By a whole warp, from a settled tile; \p unbiased: its scores still
/// lack the position bias that the state has.
template <class G, class S, class P>
__device__ __forceinline__ void write_through(const FoldParams& p, const PlanEntry& e, int first,
                                              int channel, int fresh_from, const TileRows& rows,
                                              bool unbiased, int lane) {
  const std::int64_t position =
      static_cast<std::int64_t>(e.row) * G::ratio + G::ratio - G::window + first + lane;
  std::int32_t token = -1;
  if (lane < kGroupRows && position >= 0) {
    if (!p.ring) {
      if (lane >= fresh_from) token = e.token - (G::window - 1) + first + lane;
    } else if (lane < fresh_from) {
      token = token_that_replaces<G>(p, e, position);
    }
  }
  const unsigned any = __ballot_sync(0xFFFFFFFFU, token >= 0);
  if (any == 0) return;
  std::int64_t to = 0;
  if (token >= 0) to = slot_row(p, p.state_slots[token]);
#pragma unroll 1
  for (int r = 0; r < kGroupRows; ++r) {
    if ((any >> r & 1U) == 0) continue;
    const int c = half_of<G>(r) * G::head_dim + channel + 2 * lane;
    const std::int64_t at = __shfl_sync(0xFFFFFFFFU, to, r) + c;
    Two score;
    Two value;
    Two bias{};
    if (!p.ring) {
      score = rows.score(r);
      value = rows.value(r);
      if (unbiased) bias = rows.bias(r);
    } else {
      const std::int32_t t = __shfl_sync(0xFFFFFFFFU, token, r);
      const std::int64_t from = t * p.projection_stride + c;
      value = load_two<P>(p.projection, from);
      score = load_two<P>(p.projection, from + G::state_width);
      if (bias_of(p) == Bias::early) {
        bias = load_two<float>(p.ape, p.positions[t] % G::ratio * p.ape_stride + c);
        unbiased = true;
      }
    }
    if (unbiased) score = {{score.v[0] + bias.v[0], score.v[1] + bias.v[1]}};
    store_two<S>(p.state, at, value);
    store_two<S>(p.state, at + G::state_width, score);
  }
}

}  // namespace pleat::cuda
