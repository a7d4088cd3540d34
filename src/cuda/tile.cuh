// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/channels.cuh"
#include "cuda/device.cuh"
#include "cuda/params.cuh"
#include "cuda/rows.cuh"

#include <utility>

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

/// Copies of rows of type T by one warp: so many lanes a row, so many rows at once.
template <class T>
struct CopyShape {
  static constexpr int lanes = kTileChannels * static_cast<int>(sizeof(T)) / 16;
  static constexpr int together = 32 / lanes;
  static constexpr int elements = 16 / static_cast<int>(sizeof(T));  ///< of a lane
};

/// Where in packed rows a lane's copies of a tile start.
template <class G, class T>
__device__ __forceinline__ std::int64_t lane_bytes(int tile, int lane) {
  using Shape = CopyShape<T>;
  return (lane / Shape::lanes * G::row_width + tile * kTileChannels +
          lane % Shape::lanes * Shape::elements) *
         static_cast<int>(sizeof(T));
}

/// Packed rows, Stride elements apart, two groups of an overlapped window perhaps elsewhere; from
/// what the lane copies of the first row of each.
template <class G, class T, int Stride>
__device__ __forceinline__ void issue_rows(const T* previous, const T* current, std::uint32_t to,
                                           int lane) {
  using Shape = CopyShape<T>;
  static_assert(!G::overlap || G::ratio % Shape::together == 0);
  constexpr int size = static_cast<int>(sizeof(T));
  const unsigned row = static_cast<unsigned>(lane) / Shape::lanes;
  const unsigned in_row = static_cast<unsigned>(lane) % Shape::lanes;
  const std::uint32_t slot = to + row * kTileRowBytes + in_row * 16;
  const auto one = [&]<int R>(std::integral_constant<int, R>) {
    constexpr int half = half_of<G>(R);
    constexpr int at = (half * G::head_dim + (R - half * G::ratio) * Stride) * size;
    const T* from = half == 0 ? previous : current;
    copy_stream16_at<R * kTileRowBytes, at + G::state_width * size>(slot, from);
    copy_stream16_at<R * kTileRowBytes + kTilePartBytes, at>(slot, from);
  };
  const auto all = [&]<int... I>(std::integer_sequence<int, I...>) {
    (one(std::integral_constant<int, I * Shape::together>{}), ...);
  };
  all(std::make_integer_sequence<int, kGroupRows / Shape::together>{});
}

/// Rows that lie Stride elements apart (0: `stride` says).
template <class G, class T, int Stride>
__device__ __forceinline__ void issue_packed(const T* previous, const T* current,
                                             [[maybe_unused]] std::int64_t stride, std::uint32_t to,
                                             int lane) {
  using Shape = CopyShape<T>;
  const unsigned row = static_cast<unsigned>(lane) / Shape::lanes;
  const unsigned in_row = static_cast<unsigned>(lane) % Shape::lanes;
  if constexpr (Stride > 0) {
    const unsigned own = row * Stride + in_row * Shape::elements;
    issue_rows<G, T, Stride>(previous + own, current + own, to, lane);
  } else {
    const std::uint32_t slot = to + row * kTileRowBytes + in_row * 16;
    const std::int64_t own = row * stride + in_row * Shape::elements;
#pragma unroll
    for (int i = 0; i < kGroupRows / Shape::together; ++i) {
      const int r = i * Shape::together;
      const int half = half_of<G>(r);
      const T* at = (half == 0 ? previous : current) + own + half * G::head_dim +
                    (r - half * G::ratio) * stride;
      const std::uint32_t here = slot + static_cast<std::uint32_t>(r * kTileRowBytes);
      copy_stream16(here, at + G::state_width);
      copy_stream16(here + kTilePartBytes, at);
    }
  }
}

/// Rows of one type among others: those of this step, or those before it.
template <class G, class T, int PageRows, bool Fresh>
__device__ __forceinline__ void issue_some(const FoldParams& p, const TileSource& from,
                                           std::uint32_t to, int lane) {
  using Shape = CopyShape<T>;
  const auto* base = static_cast<const T*>(Fresh ? p.projection : p.state);
  const int in_row = lane % Shape::lanes;
#pragma unroll 1
  for (int r = lane / Shape::lanes; r < kGroupRows; r += Shape::together) {
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
    const T* row = base + at + half * G::head_dim + in_row * Shape::elements;
    const std::uint32_t slot = to + static_cast<std::uint32_t>(r * kTileRowBytes + in_row * 16);
    copy_stream16(slot, row + G::state_width);
    copy_stream16(slot + kTilePartBytes, row);
  }
}

/// Issues all copies of a tile. Most are of one kind.
template <class G, class S, class P, int PageRows>
__device__ __forceinline__ void issue_tile(const FoldParams& p, const TileSource& from,
                                           std::uint32_t to, int lane) {
  constexpr int packed = PageRows > 0 ? G::row_width : 0;
  if (from.fresh_from <= 0 && from.first == 0) {
    const auto* rows = static_cast<const P*>(p.projection) + from.fresh;
    const std::int64_t stride = step_stride<G, PageRows>(p);
    issue_packed<G, P, packed>(rows, rows + G::ratio % kGroupRows * stride, stride, to, lane);
    return;
  }
  if (PageRows > 0 && from.fresh_from >= kGroupRows && from.first == 0) {
    const auto* state = static_cast<const S*>(p.state);
    issue_packed<G, S, packed>(state + from.previous, state + from.current,
                               page_row_stride<G, PageRows>(p), to, lane);
    return;
  }
  issue_some<G, S, PageRows, false>(p, from, to, lane);
  if (from.fresh_from < kGroupRows) issue_some<G, P, PageRows, true>(p, from, to, lane);
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

/// When the position bias of a tile's scores is added: it is in them or there is none, to every row
/// before pooling, or when pooling (recipe sglang).
enum class Bias { none, early, late };

__device__ __forceinline__ Bias bias_of(const FoldParams& p) {
  if (p.ape == nullptr) return Bias::none;
  return p.recipe.ape_when_pooled ? Bias::late : Bias::early;
}

/// What settle() returns of a tile that it leaves as it is, and whether it does: rows of one kind,
/// in floats.
template <class S, class P>
__device__ __forceinline__ bool is_settled(int fresh_from, Bias bias, Bias& left) {
  left = fresh_from >= kGroupRows && bias == Bias::early ? Bias::none : bias;
  return sizeof(S) == 4 && sizeof(P) == 4 &&
         (bias != Bias::early || fresh_from >= kGroupRows || fresh_from <= 0);
}

/// Makes of the copies, in place, what the state would hold of them, as floats: position bias in
/// the scores of this step's rows, bf16 widened or rounded to. Returns what is left to add.
template <class S, class P>
__device__ __forceinline__ Bias settle(std::uint32_t tile, std::uint32_t ape, int fresh_from,
                                       Bias bias, int lane) {
  constexpr bool floats = sizeof(S) == 4 && sizeof(P) == 4;
  const bool early = bias == Bias::early;
  Bias left;
  if (is_settled<S, P>(fresh_from, bias, left)) [[likely]]
    return left;
  const std::uint32_t own = static_cast<std::uint32_t>(lane) * 8;
#pragma unroll 1
  for (int r = 0; r < kGroupRows; ++r) {
    const bool fresh = r >= fresh_from;
    if (floats && !fresh) continue;
    const std::uint32_t at = tile + static_cast<std::uint32_t>(r * kTileRowBytes);
    Two score = fresh ? read_two<P>(tile, r, lane) : read_two<S>(tile, r, lane);
    if (early && fresh) {
      const Two a = read_two<float>(ape, r, lane);
      score = {{score.v[0] + a.v[0], score.v[1] + a.v[1]}};
    }
    if constexpr (!floats) {
      Two value = fresh ? read_two<P>(tile + kTilePartBytes, r, lane)
                        : read_two<S>(tile + kTilePartBytes, r, lane);
      if (fresh) {
        score = kept<S>(score);
        value = kept<S>(value);
      }
      __syncwarp();  // a bf16 row lies where other lanes' floats go
      put_shared_float2(at + kTilePartBytes + own, value.v[0], value.v[1]);
    }
    put_shared_float2(at + own, score.v[0], score.v[1]);
  }
  return early ? Bias::none : bias;
}

/// A settled tile.
struct TileRows {
  std::uint32_t at;
  std::uint32_t ape;  ///< of the tile's rows
  int lane;

  __device__ __forceinline__ Two score(int r) const { return read_two<float>(at, r, lane); }
  __device__ __forceinline__ Two value(int r) const {
    return read_two<float>(at + kTilePartBytes, r, lane);
  }
  __device__ __forceinline__ Two bias(int r) const { return read_two<float>(ape, r, lane); }
};

}  // namespace pleat::cuda
