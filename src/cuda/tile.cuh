// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/channels.cuh"
#include "cuda/device.cuh"
#include "cuda/params.cuh"
#include "cuda/rows.cuh"

#include <type_traits>
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

/// The same with rows of two kinds: from `fresh_from` on those of this step, and none before
/// `first`. \p fresh: as if all rows were of this step. On a decode step every window is so.
template <class G, class T, int Stride>
__device__ __forceinline__ void issue_mixed_rows(const T* previous, const T* current,
                                                 const T* fresh, int fresh_from, int first,
                                                 std::uint32_t to, int lane) {
  using Shape = CopyShape<T>;
  static_assert(!G::overlap || G::ratio % Shape::together == 0);
  const int row = lane / Shape::lanes;
  const std::uint32_t slot =
      to + static_cast<std::uint32_t>(row * kTileRowBytes + lane % Shape::lanes * 16);
#pragma unroll
  for (int i = 0; i < kGroupRows / Shape::together; ++i) {
    const int r = i * Shape::together;
    const int half = half_of<G>(r);
    const T* before = (half == 0 ? previous : current) + (r - half * G::ratio) * Stride;
    const T* at = (r + row >= fresh_from ? fresh + r * Stride : before) + half * G::head_dim;
    if (r + row < first) continue;
    const std::uint32_t here = slot + static_cast<std::uint32_t>(r * kTileRowBytes);
    copy_stream16_at<0, G::state_width* static_cast<int>(sizeof(T))>(here, at);
    copy_stream16_at<kTilePartBytes, 0>(here, at);
  }
}

/// Where a lane's copies start in packed rows, in the special layout.
template <class G, class S, class P>
struct PackedRows {
  const char* state_at;  ///< what the lane copies of a page's first row
  const char* fresh_at;  ///< and of token 0

  __device__ __forceinline__ PackedRows(const FoldParams& p, int tile, int lane)
      : state_at(static_cast<const char*>(p.state) + lane_bytes<G, S>(tile, lane)),
        fresh_at(static_cast<const char*>(p.projection) + lane_bytes<G, P>(tile, lane)) {}

  /// \p further: tiles from the lane's own on.
  __device__ __forceinline__ const S* state(const FoldParams& p, std::int32_t page,
                                            int further = 0) const {
    const std::int64_t bytes = static_cast<std::int64_t>(page) *
                               static_cast<std::int32_t>(p.page_stride) *
                               static_cast<int>(sizeof(S));
    return reinterpret_cast<const S*>(state_at + bytes) + further * kTileChannels;
  }
  __device__ __forceinline__ const P* projection(std::int64_t token, int further = 0) const {
    constexpr int row_bytes = G::row_width * static_cast<int>(sizeof(P));
    return reinterpret_cast<const P*>(fresh_at + token * row_bytes) + further * kTileChannels;
  }
};

/// Rows of this step, any stride apart.
template <class G, class P>
__device__ __forceinline__ void issue_fresh_rows(const FoldParams& p, std::int64_t first_row,
                                                 std::uint32_t to, int lane) {
  using Shape = CopyShape<P>;
  const int row = lane / Shape::lanes;
  const int in_row = lane % Shape::lanes;
  const auto* from = static_cast<const P*>(p.projection) + first_row + row * p.projection_stride +
                     in_row * Shape::elements;
  const std::uint32_t slot = to + static_cast<std::uint32_t>(row * kTileRowBytes + in_row * 16);
#pragma unroll
  for (int i = 0; i < kGroupRows / Shape::together; ++i) {
    const int r = i * Shape::together;
    const P* at = from + r * p.projection_stride + half_of<G>(r) * G::head_dim;
    const std::uint32_t here = slot + static_cast<std::uint32_t>(r * kTileRowBytes);
    copy_stream16(here, at + G::state_width);
    copy_stream16(here + kTilePartBytes, at);
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

/// Issues all copies of a tile, in any layout.
template <class G, class S, class P, int PageRows>
__device__ __forceinline__ void issue_tile(const FoldParams& p, const TileSource& from,
                                           std::uint32_t to, int lane) {
  if (PageRows == 0 && from.fresh_from <= 0 && from.first == 0) {
    issue_fresh_rows<G, P>(p, from.fresh, to, lane);
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

/// The two channels at an address in shared memory.
template <class T>
__device__ __forceinline__ Two read_two(std::uint32_t at) {
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

/// A tile in shared memory, as floats, two channels a lane: what the state would hold, but for the
/// position bias where that is yet to be added.
struct TileRows {
  std::uint32_t at;  ///< of the lane in row 0
  std::uint32_t ape;

  __device__ __forceinline__ Two score(int r) const {
    return read_two<float>(at + static_cast<std::uint32_t>(r * kTileRowBytes));
  }
  __device__ __forceinline__ Two value(int r) const {
    return read_two<float>(at + static_cast<std::uint32_t>(kTilePartBytes + r * kTileRowBytes));
  }
  __device__ __forceinline__ Two bias(int r) const {
    return read_two<float>(ape + static_cast<std::uint32_t>(r * kTileRowBytes));
  }
};

/// Makes of the copies, in place, what the state would hold of them, as floats: position bias in
/// the scores of this step's rows, bf16 widened or rounded to. Tiles whose rows are all of one
/// kind, and floats, stay as they are.
template <class S, class P>
struct Settler {
  static constexpr bool floats = sizeof(S) == 4 && sizeof(P) == 4;

  /// \p left: when the bias that is left is added.
  __device__ __forceinline__ static TileRows settle(std::uint32_t tile, std::uint32_t ape,
                                                    int fresh_from, Bias bias, int lane,
                                                    Bias& left) {
    const std::uint32_t own = static_cast<std::uint32_t>(lane) * 8;
    const TileRows rows{tile + own, ape + own};
    const bool early = bias == Bias::early;
    left = fresh_from >= kGroupRows && early ? Bias::none : bias;
    if (floats && (!early || fresh_from >= kGroupRows || fresh_from <= 0)) [[likely]]
      return rows;
    left = early ? Bias::none : bias;
#pragma unroll 1
    for (int r = floats ? fresh_from : 0; r < kGroupRows; ++r) {
      const bool fresh = r >= fresh_from;
      const auto at = static_cast<std::uint32_t>(r * kTileRowBytes);
      Two score = fresh ? copied<P>(tile + at, lane) : copied<S>(tile + at, lane);
      if (early && fresh) {
        const Two a = rows.bias(r);
        score = {{score.v[0] + a.v[0], score.v[1] + a.v[1]}};
      }
      if constexpr (!floats) {
        Two value = fresh ? copied<P>(tile + kTilePartBytes + at, lane)
                          : copied<S>(tile + kTilePartBytes + at, lane);
        if (fresh) {
          score = kept<S>(score);
          value = kept<S>(value);
        }
        __syncwarp();  // a bf16 row lies where other lanes' floats go
        put_shared_float2(rows.at + kTilePartBytes + at, value.v[0], value.v[1]);
      }
      put_shared_float2(rows.at + at, score.v[0], score.v[1]);
    }
    return rows;
  }

 private:
  template <class T>
  __device__ __forceinline__ static Two copied(std::uint32_t row, int lane) {
    return read_two<T>(row + static_cast<std::uint32_t>(lane) * 2 * sizeof(T));
  }
};

}  // namespace pleat::cuda
