// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/channels.cuh"
#include "cuda/device.cuh"
#include "cuda/params.cuh"
#include "cuda/rows.cuh"

// A tile is what a warp folds at once: 8 rows of 64 channels, scores and values, 4 KiB. The warp
// copies it to its own part of shared memory without passing registers, waits for its own copies
// and reads it two channels a lane: no other warp is in the way, and the copies of its next tile
// are on their way as soon as it has read this one.
namespace pleat::cuda {

inline constexpr int kTileRowBytes = kTileChannels * 4;  ///< a slot; bf16 rows fill half of it
inline constexpr int kTilePartBytes = kGroupRows * kTileRowBytes;
inline constexpr int kTileBytes = 2 * kTilePartBytes;  ///< scores, then values

/// Where the rows of a tile come from. Element offsets are of the tile's first channel of the
/// values; scores are one state width further, the current group's half one head dim.
struct TileSource {
  std::int64_t fresh;     ///< of row 0 in the projection, were all rows fresh
  std::int64_t previous;  ///< of the previous group's first row in the state, or of the only one's
  std::int64_t current;   ///< of the current group's, where windows overlap
  int fresh_from;         ///< rows from this one on are tokens of this step
  int first;              ///< rows before it are before position 0
  std::int32_t request;   ///< where rows are looked up one by one
  std::int64_t position;  ///< of row 0, there
};

/// Which group of an overlapped window a row is in.
template <class G>
__device__ __forceinline__ constexpr int half_of(int r) {
  return G::overlap && r >= G::ratio ? 1 : 0;
}

/// Issues the copies of the rows of one type. PageRows 0: each row is looked up.
template <class G, class T, int PageRows, bool Fresh>
__device__ __forceinline__ void issue_rows_of(const FoldParams& p, const TileSource& from,
                                              std::uint32_t to, int lane) {
  constexpr int lanes = kTileChannels * sizeof(T) / 16;  // of a row
  constexpr int together = 32 / lanes;                   // rows
  const auto* base = static_cast<const T*>(Fresh ? p.projection : p.state);
  const int in_row = lane % lanes;
#pragma unroll
  for (int i = 0; i < kGroupRows / together; ++i) {
    const int r = i * together + lane / lanes;
    if (r < from.first || (r >= from.fresh_from) != Fresh) continue;
    const int half = half_of<G>(r);
    std::int64_t at;
    if constexpr (Fresh) {
      at = from.fresh + r * step_stride<G, PageRows>(p);
    } else if constexpr (PageRows > 0) {
      at = (half == 0 ? from.previous : from.current) +
           (r - half * G::ratio) * page_row_stride<G, PageRows>(p);
    } else {
      at = from.previous + state_row(p, from.request, from.position + r);
    }
    const T* row = base + at + half * G::head_dim + in_row * (16 / static_cast<int>(sizeof(T)));
    const std::uint32_t slot = to + static_cast<std::uint32_t>(r * kTileRowBytes + in_row * 16);
    copy_stream16(slot, row + G::state_width);
    copy_stream16(slot + kTilePartBytes, row);
  }
}

/// Issues all copies of a tile.
template <class G, class S, class P, int PageRows>
__device__ __forceinline__ void issue_tile(const FoldParams& p, const TileSource& from,
                                           std::uint32_t to, int lane) {
  if (from.fresh_from > 0) issue_rows_of<G, S, PageRows, false>(p, from, to, lane);
  if (from.fresh_from < kGroupRows) issue_rows_of<G, P, PageRows, true>(p, from, to, lane);
}

/// The tile's position bias, rows first_row.. of the table: [8][64] floats to shared memory.
template <class G>
__device__ __forceinline__ void issue_ape(const FoldParams& p, int first_row, int channel,
                                          std::uint32_t to, int lane) {
#pragma unroll
  for (int i = 0; i < kGroupRows / 2; ++i) {
    const int r = 2 * i + lane / 16;
    const float* row =
        p.ape + (first_row + r) % G::ratio * p.ape_stride + half_of<G>(r) * G::head_dim;
    copy_stream16(to + static_cast<std::uint32_t>(r * kTileRowBytes + lane % 16 * 16),
                  row + channel + lane % 16 * 4);
  }
}

/// The two channels of a lane in row r of a tile in shared memory.
template <class T>
__device__ __forceinline__ Two read_two(std::uint32_t part, int r, int lane) {
  const auto at = part + static_cast<std::uint32_t>(r * kTileRowBytes + lane * 2 * sizeof(T));
  if constexpr (sizeof(T) == 4) {
    const float2 x = shared_float2(at);
    return {{x.x, x.y}};
  } else {
    return widened(shared_word(at));
  }
}

/// A tile as the state would hold it, whether its rows come from there or from the projection.
template <class S, class P>
struct TileRows {
  std::uint32_t at;
  std::uint32_t ape;  ///< of the tile's rows
  int fresh_from;
  int lane;
  bool early;  ///< the position bias is added to the scores of the projection

  __device__ __forceinline__ Two bias(int r) const { return read_two<float>(ape, r, lane); }

  __device__ __forceinline__ Two score(int r) const {
    const bool fresh = r >= fresh_from;
    Two s;
    if constexpr (sizeof(S) == sizeof(P)) {
      s = read_two<S>(at, r, lane);
    } else {
      s = fresh ? read_two<P>(at, r, lane) : read_two<S>(at, r, lane);
    }
    if (early && fresh) {
      const Two a = bias(r);
      s = {{s.v[0] + a.v[0], s.v[1] + a.v[1]}};
    }
    if constexpr (sizeof(S) == 2) {
      if (fresh) s = rounded(s);
    }
    return s;
  }

  __device__ __forceinline__ Two value(int r) const {
    constexpr std::uint32_t part = kTilePartBytes;
    if constexpr (sizeof(S) == sizeof(P)) {
      return read_two<S>(at + part, r, lane);
    } else {
      if (r < fresh_from) return read_two<S>(at + part, r, lane);
      return kept<S>(read_two<P>(at + part, r, lane));
    }
  }
};

}  // namespace pleat::cuda
