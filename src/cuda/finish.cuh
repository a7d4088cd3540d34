// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/channels.cuh"
#include "cuda/device.cuh"
#include "cuda/params.cuh"
#include "numerics/codes.hpp"
#include "numerics/order.hpp"

#if __CUDA_ARCH__ >= 890
#include <cuda_fp8.h>
#endif

// From pooled channels to bytes. A tile of 64 channels is a warp's, two neighbours a lane.
namespace pleat::cuda {

inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

/// The sum over lanes, by halves, from stride \p first on.
__device__ __forceinline__ double sum_lanes(double sum, int first) {
#pragma unroll
  for (int bit = first; bit > 0; bit /= 2)
    sum = sum + __shfl_xor_sync(kAllLanes, sum, bit);
  return sum;
}
__device__ __forceinline__ double lane_squares(const Two& x) {
  return numerics::pair_squares(x.v[0], x.v[1]);
}

/// Sum of a tile's squares, in all lanes.
__device__ __forceinline__ double tile_squares(const Two& x) {
  return sum_lanes(lane_squares(x), 16);
}

/// Of two tiles, at once: of the first in the lanes whose bit kSecondTile is clear, else of the
/// second. What the first step adds is the same in either order.
inline constexpr int kSecondTile = 16;
__device__ __forceinline__ double two_tile_squares(const Two (&x)[2], int lane) {
  const double first = lane_squares(x[0]);
  const double second = lane_squares(x[1]);
  const bool second_here = (lane & kSecondTile) != 0;
  const double other = __shfl_xor_sync(kAllLanes, second_here ? first : second, kSecondTile);
  return sum_lanes((second_here ? second : first) + other, kSecondTile / 2);
}

/// Sums of the tiles' squares, by halves.
template <int Tiles>
__device__ __forceinline__ double sum_tiles(const double (&s)[Tiles]) {
  if constexpr (Tiles == 2) {
    return s[0] + s[1];
  } else {
    static_assert(Tiles == 8);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }
}

/// A row's squares, of which the warp has two neighbouring tiles. \p shared: for all of them, where
/// several warps have one; \p meet: their barrier.
template <class G, class Meet>
__device__ __forceinline__ double squares_of_row(const Two (&x)[2], int first_tile, int lane,
                                                 double (&shared)[G::tiles], Meet meet) {
  const double own = two_tile_squares(x, lane);
  if constexpr (G::tiles == 2) {
    return own + __shfl_xor_sync(kAllLanes, own, kSecondTile);
  } else {
    if (lane == 0 || lane == kSecondTile) shared[first_tile + lane / kSecondTile] = own;
    meet();
    return sum_tiles(shared);
  }
}

__device__ __forceinline__ float largest_of(const Two& x) {
  return numerics::larger(fabsf(x.v[0]), fabsf(x.v[1]));
}

/// The largest over a warp of numbers that are not negative, which are in the order of their bits.
/// If some are NaN, of the others; if all are, 0, which is where the host begins to look for it.
__device__ __forceinline__ float warp_largest(float m) {
  const int bits = m == m ? __float_as_int(m) : 0;
  return __int_as_float(__reduce_max_sync(kAllLanes, bits));
}

/// The largest over `Lanes` neighbouring lanes.
template <int Lanes>
__device__ __forceinline__ float lanes_largest(float m) {
#pragma unroll
  for (int lanes = Lanes / 2; lanes > 0; lanes /= 2)
    m = numerics::larger(m, __shfl_xor_sync(kAllLanes, m, lanes));
  return m;
}

/// Norm weights of two channels.
__device__ __forceinline__ Two norm_of(const FoldParams& p, int channel) {
  return p.norm_bf16 ? load_two<Bf16>(p.norm, channel) : load_two<float>(p.norm, channel);
}

/// What finishing a tile of a row needs besides its channels.
struct Late {
  std::int64_t kv_slot;
  float cos;  ///< of the lane's pair, if the tile is rotated
  float sin;
};

/// It comes to shared memory with the rows of the window: over a fold there are no registers for
/// it, and after one, no time to fetch it. A warp has two, in turn.
struct LateSlot {
  std::int64_t kv_slot;
  float cos[32];
  float sin[32];
};

/// A closing token whose row is not wanted may lie past the table.
__device__ __forceinline__ bool has_rope_row(const FoldParams& p, const PlanEntry& e) {
  return e.row < p.rope_windows;
}
template <class G>
__device__ __forceinline__ const float* rope_of(const FoldParams& p, const PlanEntry& e, int lane) {
  const float* row = p.rope + static_cast<std::int64_t>(e.row) * G::ratio * p.rope_stride;
  return row + (p.recipe.rope_table_in_pairs ? 2 * lane : lane);
}
template <class G>
__device__ __forceinline__ int sine_after_cosine(const FoldParams& p) {
  return p.recipe.rope_table_in_pairs ? 1 : G::rope_dim / 2;
}

/// Issues the copies; who waits for the tile that they are issued with has them.
template <class G>
__device__ __forceinline__ void issue_late(const FoldParams& p, const PlanEntry& e, bool rotated,
                                           int lane, LateSlot& to) {
  if (lane == 0) copy_small<8>(&to.kv_slot, p.kv_slots + e.token);
  if (!rotated || !has_rope_row(p, e)) return;
  const float* cos = rope_of<G>(p, e, lane);
  copy_small<4>(&to.cos[lane], cos);
  copy_small<4>(&to.sin[lane], cos + sine_after_cosine<G>(p));
}
__device__ __forceinline__ Late read_late(const LateSlot& from, bool rotated, int lane) {
  if (!rotated) return {from.kv_slot, 0.0F, 0.0F};
  return {from.kv_slot, from.cos[lane], from.sin[lane]};
}

/// The same at once.
template <class G>
__device__ __forceinline__ Late fetch_late(const FoldParams& p, const PlanEntry& e, bool rotated,
                                           int lane) {
  Late late{p.kv_slots[e.token], 0.0F, 0.0F};
  if (!rotated || !has_rope_row(p, e)) return late;
  const float* cos = rope_of<G>(p, e, lane);
  late.cos = cos[0];
  late.sin = cos[sine_after_cosine<G>(p)];
  return late;
}

/// Norm of two channels that are not rotated.
__device__ __forceinline__ Two norm_plain(const FoldParams& p, const Two& x, float scale,
                                          const Two& weight) {
  const Two y{{(x.v[0] * scale) * weight.v[0], (x.v[1] * scale) * weight.v[1]}};
  return p.recipe.norm_bf16 ? rounded(y) : y;
}

/// Norm and RoPE of a pair of rotated channels. \p scale: numerics::exact_scale.
__device__ __forceinline__ Two norm_rotated(const FoldParams& p, const Two& x, double scale,
                                            const Two& weight, float cos, float sin) {
  double pair[2];
#pragma unroll
  for (int c = 0; c < 2; ++c) {
    pair[c] = numerics::normed(x.v[c], scale, weight.v[c]);
    if (p.recipe.norm_bf16) {
      pair[c] = static_cast<double>(numerics::to_bf16(numerics::odd_float(pair[c])));
    }
  }
  return {{numerics::odd_float(numerics::rope_even(pair[0], pair[1], cos, sin)),
           numerics::odd_float(numerics::rope_odd(pair[0], pair[1], cos, sin))}};
}

/// Norm of one tile, and RoPE where it is the rotated one. \p squares: of the whole row.
template <class G>
__device__ __forceinline__ Two norm_rope(const FoldParams& p, const Two& x, double squares,
                                         const Two& weight, const Late& late, bool rotated) {
  const double mean = numerics::mean_square(squares, G::head_dim, p.eps);
  const float scale = numerics::rms_scale(mean);
  if (!rotated) return norm_plain(p, x, scale, weight);
  return norm_rotated(p, x, numerics::exact_scale(mean, scale), weight, late.cos, late.sin);
}

/// Two E4M3 codes, the first channel lower. NaN becomes the largest code, as in software: no cache
/// holds a NaN's.
__device__ __forceinline__ std::uint16_t e4m3_codes(const Two& x) {
#if __CUDA_ARCH__ >= 890
  const unsigned codes = __nv_cvt_float2_to_fp8x2({x.v[0], x.v[1]}, __NV_SATFINITE, __NV_E4M3);
  return static_cast<std::uint16_t>(codes - (((codes & 0x7F7FU) + 0x0101U) >> 7U & 0x0101U));
#else
  return static_cast<std::uint16_t>(numerics::e4m3_code(x.v[0]) | numerics::e4m3_code(x.v[1]) << 8);
#endif
}

/// Where a row's bytes go.
struct RowTarget {
  std::uint8_t* values;
  std::uint8_t* scales;
};

template <int CacheRows>
__device__ __forceinline__ RowTarget row_target(const FoldParams& p, std::int64_t slot) {
  const std::int64_t rows = CacheRows > 0 ? CacheRows : p.cache_rows;
  const std::int64_t row = slot % rows;
  std::uint8_t* page = p.cache + slot / rows * p.cache_page_stride;
  return {page + row * p.value_bytes, page + rows * p.value_bytes + row * p.scale_bytes};
}

__device__ __forceinline__ void put_codes(std::uint8_t* to, const Two& x) {
  *reinterpret_cast<std::uint16_t*>(to) = e4m3_codes(x);
}
__device__ __forceinline__ void put_bf16(std::uint8_t* to, const Two& x) {
  *reinterpret_cast<std::uint32_t*>(to) = bf16_word(x);
}
__device__ __forceinline__ Two times(const Two& x, float f) {
  return {{x.v[0] * f, x.v[1] * f}};
}

/// Bytes of an attention row's tile, of \p tiles.
__device__ __forceinline__ void store_tile(const FoldParams& p, const Two& x, int tile, int tiles,
                                           int lane, const RowTarget& to) {
  const int channel = tile * kTileChannels + 2 * lane;
  if (p.format == RowFormat::bf16) return put_bf16(to.values + 2 * channel, x);
  if (p.format == RowFormat::fp8_tensor) {
    const float scale = *p.fp8_scale;
    const Two r = rounded(x);
    return put_codes(to.values + channel,
                     {{numerics::quotient(r.v[0], scale), numerics::quotient(r.v[1], scale)}});
  }
  if (tile == tiles - 1) {  // the format has 64 rotated channels
    put_bf16(to.values + tile * kTileChannels + 4 * lane, x);
    if (lane == 0) to.scales[tile] = 0;
    return;
  }
  const Two r = rounded(x);
  const float amax = warp_largest(largest_of(r));
  const std::int32_t e = numerics::fp8_exponent(amax, p.recipe.floor_on_scale);
  put_codes(to.values + channel, times(r, numerics::pow2(-e)));
  if (lane == 0) to.scales[tile] = numerics::ue8m0_byte(e);
}

/// Hadamard-128 of a row that is two tiles of a warp: ascending butterflies, the first in the lane,
/// five across lanes, the last between the tiles.
__device__ __forceinline__ void hadamard(Two (&x)[2], int lane) {
#pragma unroll
  for (Two& t : x)
    t = {{t.v[0] + t.v[1], t.v[0] - t.v[1]}};
#pragma unroll
  for (int h = 1; h < 32; h *= 2) {
    const bool upper = (lane & h) != 0;
#pragma unroll
    for (Two& t : x) {
#pragma unroll
      for (float& v : t.v) {
        const float other = __shfl_xor_sync(kAllLanes, v, h);
        v = upper ? other - v : v + other;
      }
    }
  }
#pragma unroll
  for (int c = 0; c < 2; ++c) {
    const float a = x[0].v[c];
    const float b = x[1].v[c];
    x[0].v[c] = (a + b) * numerics::kHadamardScale;
    x[1].v[c] = (a - b) * numerics::kHadamardScale;
  }
}

/// Bytes of an indexer row.
__device__ __forceinline__ void store_index_row(const FoldParams& p, Two (&x)[2], int lane,
                                                const RowTarget& to) {
  if (p.recipe.hadamard) {
    if (p.recipe.norm_bf16) {
      x[0] = rounded(x[0]);
      x[1] = rounded(x[1]);
    }
    hadamard(x, lane);
  }
  if (p.recipe.index_bf16) {
    x[0] = rounded(x[0]);
    x[1] = rounded(x[1]);
  }
  if (p.format == RowFormat::index_fp8) {
    const float amax = warp_largest(numerics::larger(largest_of(x[0]), largest_of(x[1])));
    const float scale =
        p.recipe.index_scale_raw
            ? numerics::quotient(numerics::larger(amax, numerics::kFp8Floor), numerics::kE4m3Max)
            : numerics::pow2(numerics::fp8_exponent(amax, false));
    const float inverse = numerics::reciprocal(scale);
#pragma unroll
    for (int t = 0; t < 2; ++t)
      put_codes(to.values + t * kTileChannels + 2 * lane, times(x[t], inverse));
    if (lane == 0) *reinterpret_cast<float*>(to.scales) = scale;
    return;
  }
  const bool toward_zero = p.recipe.fp4_ties_to_zero;
  const float floor = toward_zero ? numerics::kFp8Floor : numerics::kFp4Floor;
#pragma unroll
  for (int t = 0; t < 2; ++t) {  // a half-warp has a block of 32 channels
    const std::int32_t e = numerics::fp4_exponent(lanes_largest<16>(largest_of(x[t])), floor);
    const Two y = times(x[t], numerics::pow2(-e));
    to.values[t * kTileChannels / 2 + lane] = static_cast<std::uint8_t>(
        numerics::e2m1_code(y.v[0], toward_zero) | numerics::e2m1_code(y.v[1], toward_zero) << 4);
    if (lane % 16 == 0) to.scales[2 * t + lane / 16] = numerics::ue8m0_byte(e);
  }
}

/// Norm, RoPE and the bytes of two neighbouring tiles of a row, from \p first_tile on: a warp's
/// part of an attention row, or an indexer row. \p squares: of all the row's tiles.
template <class G, int CacheRows>
__device__ __forceinline__ void finish_two_tiles(const FoldParams& p, Two (&x)[2], double squares,
                                                 const Two (&weight)[2], const Late& late,
                                                 int first_tile, int lane) {
  x[0] = norm_rope<G>(p, x[0], squares, weight[0], late, false);
  x[1] = norm_rope<G>(p, x[1], squares, weight[1], late, first_tile + 2 == G::tiles);
  const RowTarget to = row_target<CacheRows>(p, late.kv_slot);
  if constexpr (G::tiles == 2) {
    store_index_row(p, x, lane, to);
  } else {
    store_tile(p, x[0], first_tile, G::tiles, lane, to);
    store_tile(p, x[1], first_tile + 1, G::tiles, lane, to);
  }
}

}  // namespace pleat::cuda
