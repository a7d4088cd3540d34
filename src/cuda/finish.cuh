// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/fold.cuh"
#include "cuda/params.cuh"
#include "numerics/codes.hpp"

#if __CUDA_ARCH__ >= 890
#include <cuda_fp8.h>
#endif

// From pooled channels to bytes. A tile of 64 channels lies in 16 lanes, four neighbours each, so a
// half-warp finishes a tile and quads never leave their thread. `lane` is 0..15 in the tile.
namespace pleat::cuda {

inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

/// Sum of a tile's squares, by halves: strides 32..4 cross lanes, 2 and 1 stay in the thread.
__device__ __forceinline__ float tile_squares(const Quad& x) {
  float q[4];
#pragma unroll
  for (int c = 0; c < 4; ++c)
    q[c] = x.v[c] * x.v[c];
#pragma unroll
  for (int stride = 8; stride > 0; stride /= 2) {
#pragma unroll
    for (int c = 0; c < 4; ++c)
      q[c] = q[c] + __shfl_xor_sync(kAllLanes, q[c], stride);
  }
  return (q[0] + q[2]) + (q[1] + q[3]);
}

/// Largest magnitude over `Lanes` neighbouring lanes.
template <int Lanes>
__device__ __forceinline__ float lanes_amax(const Quad& x) {
  float m = numerics::magnitude(x.v[0]);
#pragma unroll
  for (int c = 1; c < 4; ++c)
    m = numerics::larger(m, numerics::magnitude(x.v[c]));
#pragma unroll
  for (int stride = Lanes / 2; stride > 0; stride /= 2) {
    m = numerics::larger(m, __shfl_xor_sync(kAllLanes, m, stride));
  }
  return m;
}

__device__ __forceinline__ void round_quad(Quad& x) {
#pragma unroll
  for (int c = 0; c < 4; ++c)
    x.v[c] = numerics::to_bf16(x.v[c]);
}

/// Norm weight of channels c..c+3.
__device__ __forceinline__ float4 norm_quad(const FoldParams& p, int c) {
  if (p.norm_bf16) {
    const uint2 raw = __ldg(reinterpret_cast<const uint2*>(static_cast<const Bf16*>(p.norm) + c));
    const Quad w = Loader<Bf16>::decode({raw.x, raw.y, 0, 0});
    return {w.v[0], w.v[1], w.v[2], w.v[3]};
  }
  return __ldg(reinterpret_cast<const float4*>(static_cast<const float*>(p.norm) + c));
}

/// What finishing a row needs besides its channels, fetched while the row is still being folded.
/// Each thread has its own, so that no barrier stands between fetching and using it.
struct LateInputs {
  float4 rope;  ///< of the thread's two pairs, as they lie in the table
  std::int64_t kv_slot;
  std::int64_t unused;
};

template <class G>
__device__ __forceinline__ void fetch_late(const FoldParams& p, const PlanEntry& e, bool rotated,
                                           int lane, LateInputs& late) {
  copy_ahead<8>(&late.kv_slot, p.kv_slots + e.token);
  if (!rotated) return;
  const float* row = p.rope + static_cast<std::int64_t>(e.row) * G::ratio * p.rope_stride;
  if (p.recipe.rope_table_in_pairs) {
    copy_ahead<16>(&late.rope, row + 4 * lane);
  } else {
    copy_ahead<8>(&late.rope.x, row + 2 * lane);
    copy_ahead<8>(&late.rope.z, row + kTileChannels / 2 + 2 * lane);
  }
}

/// cos0, cos1, sin0, sin1 of the two pairs.
__device__ __forceinline__ Quad rope_quad(const FoldParams& p, const float4& t) {
  if (p.recipe.rope_table_in_pairs) return {{t.x, t.z, t.y, t.w}};
  return {{t.x, t.y, t.z, t.w}};
}

__device__ __forceinline__ void rotate(Quad& x, const Quad& cs) {
  const Quad in = x;
  x.v[0] = numerics::rope_even(in.v[0], in.v[1], cs.v[0], cs.v[2]);
  x.v[1] = numerics::rope_odd(in.v[0], in.v[1], cs.v[0], cs.v[2]);
  x.v[2] = numerics::rope_even(in.v[2], in.v[3], cs.v[1], cs.v[3]);
  x.v[3] = numerics::rope_odd(in.v[2], in.v[3], cs.v[1], cs.v[3]);
}

/// Four E4M3 codes in a word, the first channel lowest.
__device__ __forceinline__ std::uint32_t e4m3_word(const Quad& x) {
#if __CUDA_ARCH__ >= 890
  const auto low = __nv_cvt_float2_to_fp8x2({x.v[0], x.v[1]}, __NV_SATFINITE, __NV_E4M3);
  const auto high = __nv_cvt_float2_to_fp8x2({x.v[2], x.v[3]}, __NV_SATFINITE, __NV_E4M3);
  return static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16;
#else
  std::uint32_t w = 0;
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    w |= static_cast<std::uint32_t>(numerics::e4m3_code(x.v[c])) << (8 * c);
  }
  return w;
#endif
}

__device__ __forceinline__ uint2 bf16_words(const Quad& x) {
  const auto pair = [](float a, float b) {
    return static_cast<std::uint32_t>(numerics::bf16_bits(a)) |
           static_cast<std::uint32_t>(numerics::bf16_bits(b)) << 16;
  };
  return {pair(x.v[0], x.v[1]), pair(x.v[2], x.v[3])};
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

/// Norm and RoPE of one quad. `scale` is 1 / rms.
__device__ __forceinline__ void norm_rope_quad(const FoldParams& p, Quad& x, float scale,
                                               const float4& weight, const LateInputs& late,
                                               bool rotated) {
  x = {{(x.v[0] * scale) * weight.x, (x.v[1] * scale) * weight.y, (x.v[2] * scale) * weight.z,
        (x.v[3] * scale) * weight.w}};
  if (p.recipe.norm_bf16) round_quad(x);
  if (rotated) rotate(x, rope_quad(p, late.rope));
}

/// Bytes of an attention row's tile.
template <class G>
__device__ __forceinline__ void store_tile(const FoldParams& p, Quad x, int tile, int lane,
                                           const RowTarget& to) {
  const int channel = tile * kTileChannels + 4 * lane;
  if (p.format == RowFormat::bf16) {
    *reinterpret_cast<uint2*>(to.values + 2 * channel) = bf16_words(x);
    return;
  }
  if (p.format == RowFormat::fp8_tensor) {
    const float scale = *p.fp8_scale;
#pragma unroll
    for (int c = 0; c < 4; ++c)
      x.v[c] = numerics::quotient(numerics::to_bf16(x.v[c]), scale);
    *reinterpret_cast<std::uint32_t*>(to.values + channel) = e4m3_word(x);
    return;
  }
  if (tile == G::tiles - 1) {
    *reinterpret_cast<uint2*>(to.values + G::nope_dim + 8 * lane) = bf16_words(x);
    if (lane == 0) to.scales[tile] = 0;
    return;
  }
  round_quad(x);
  const unsigned half = 0xFFFFU << (threadIdx.x & 16U);
  float amax = numerics::magnitude(x.v[0]);
#pragma unroll
  for (int c = 1; c < 4; ++c)
    amax = numerics::larger(amax, numerics::magnitude(x.v[c]));
#pragma unroll
  for (int stride = 8; stride > 0; stride /= 2) {
    amax = numerics::larger(amax, __shfl_xor_sync(half, amax, stride));
  }
  const std::int32_t e = numerics::fp8_exponent(amax, p.recipe.floor_on_scale);
  const float inverse = numerics::pow2(-e);
#pragma unroll
  for (int c = 0; c < 4; ++c)
    x.v[c] = x.v[c] * inverse;
  *reinterpret_cast<std::uint32_t*>(to.values + channel) = e4m3_word(x);
  if (lane == 0) to.scales[tile] = numerics::ue8m0_byte(e);
}

/// Hadamard-128 over a warp: ascending butterflies, two in the thread, five across lanes.
__device__ __forceinline__ void hadamard_warp(Quad& x, int lane32) {
  const Quad a = x;
  const float s0 = a.v[0] + a.v[1];
  const float d0 = a.v[0] - a.v[1];
  const float s1 = a.v[2] + a.v[3];
  const float d1 = a.v[2] - a.v[3];
  x = {{s0 + s1, d0 + d1, s0 - s1, d0 - d1}};
#pragma unroll
  for (int h = 1; h < 32; h *= 2) {
    const bool upper = (lane32 & h) != 0;
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const float other = __shfl_xor_sync(kAllLanes, x.v[c], h);
      x.v[c] = upper ? other - x.v[c] : x.v[c] + other;
    }
  }
#pragma unroll
  for (int c = 0; c < 4; ++c)
    x.v[c] = x.v[c] * numerics::kHadamardScale;
}

/// Bytes of an indexer row, which lies in one warp.
__device__ __forceinline__ void store_index_row(const FoldParams& p, Quad x, int lane32,
                                                const RowTarget& to) {
  if (p.recipe.hadamard) {
    if (p.recipe.norm_bf16) round_quad(x);
    hadamard_warp(x, lane32);
  }
  if (p.recipe.index_bf16) round_quad(x);
  if (p.format == RowFormat::index_fp8) {
    const float amax = lanes_amax<32>(x);
    const float scale =
        p.recipe.index_scale_raw
            ? numerics::quotient(numerics::larger(amax, numerics::kFp8Floor), numerics::kE4m3Max)
            : numerics::pow2(numerics::fp8_exponent(amax, false));
    const float inverse = numerics::quotient(1.0F, scale);
#pragma unroll
    for (int c = 0; c < 4; ++c)
      x.v[c] = x.v[c] * inverse;
    *reinterpret_cast<std::uint32_t*>(to.values + 4 * lane32) = e4m3_word(x);
    if (lane32 == 0) *reinterpret_cast<float*>(to.scales) = scale;
    return;
  }
  const bool toward_zero = p.recipe.fp4_ties_to_zero;
  const float floor = toward_zero ? numerics::kFp8Floor : numerics::kFp4Floor;
  const std::int32_t e = numerics::fp4_exponent(lanes_amax<8>(x), floor);
  const float inverse = numerics::pow2(-e);
  std::uint32_t codes = 0;
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    codes |= static_cast<std::uint32_t>(numerics::e2m1_code(x.v[c] * inverse, toward_zero))
             << (4 * c);
  }
  *reinterpret_cast<std::uint16_t*>(to.values + 2 * lane32) = static_cast<std::uint16_t>(codes);
  if (lane32 % 8 == 0) to.scales[lane32 / 8] = numerics::ue8m0_byte(e);
}

}  // namespace pleat::cuda
