// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/simd/kernels.hpp"

#if PLEAT_HAVE_HIGHWAY
#include "cpu/simd/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/store.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <cstring>

#include "cpu/simd/numerics-inl.hpp"
#include "numerics/order.hpp"
#include "numerics/rounding.hpp"

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

// A row is `n` floats, n a multiple of 64, in memory that stays in the first-level cache: each step
// of the finish is one pass over it.

/// Lines of the next rows that are asked for with each 64 channels.
inline constexpr int kFetchPerBlock = 16;

HWY_INLINE VF At(const float* row, int i) {
  return hn::LoadU(F(), row + i);
}
HWY_INLINE void Put(VF x, float* row, int i) {
  hn::StoreU(x, F(), row + i);
}

void RoundRow(float* row, int n) {
  for (int i = 0; i < n; i += kLanes)
    Put(ToBf16(At(row, i)), row, i);
}

/// numerics::sum_of_squares.
float SumOfSquares(const float* row, int n) {
  float tiles[4096 / kTileChannels];
  constexpr int kVectors = kTileChannels / kLanes;
  for (int t = 0; t < n / kTileChannels; ++t) {
    VF q[kVectors];
    PLEAT_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) {
      const VF x = At(row, t * kTileChannels + v * kLanes);
      q[v] = hn::Mul(x, x);
    }
    PLEAT_UNROLL(4)
    for (int half = kVectors / 2; half > 0; half /= 2) {
      PLEAT_UNROLL(8)
      for (int v = 0; v < half; ++v)
        q[v] = hn::Add(q[v], q[v + half]);
    }
    tiles[t] = SumHalves(F(), q[0]);
  }
  return numerics::sum_halves(tiles, n / kTileChannels);
}

void Scale(float* HWY_RESTRICT row, int n, float scale, const float* HWY_RESTRICT weight,
           bool round) {
  const VF s = hn::Set(F(), scale);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const VF x = hn::Mul(hn::Mul(At(row, i), s), At(weight, i));
    Put(round ? ToBf16(x) : x, row, i);
  }
  for (; i < n; ++i) {  // a narrow rotated part
    const float x = (row[i] * scale) * weight[i];
    row[i] = round ? numerics::to_bf16(x) : x;
  }
}

/// What the rotated part needs.
struct Turn {
  double scale;         ///< numerics::exact_scale
  const float* weight;  ///< of its first channel
  const float* table;
  bool in_pairs;
  bool round;  ///< to bf16 before it turns
};

/// numerics::normed, of half a vector; rounded, where the recipe does.
HWY_INLINE VD Normed(VD x, VD weight, const Turn& t) {
  return hn::Mul(hn::Mul(x, hn::Set(D64(), t.scale)), weight);
}
HWY_INLINE Halves Normed(VF x, VF weight, const Turn& t) {
  const Halves y{Normed(LowerDouble(x), LowerDouble(weight), t),
                 Normed(UpperDouble(x), UpperDouble(weight), t)};
  return t.round ? Widened(ToBf16(OddFloats(y))) : y;
}
/// a * b - c * d and a * b + c * d: rope_even and rope_odd.
HWY_INLINE VF Turned(const Halves& a, VF b, const Halves& c, VF d, bool minus) {
  const auto half = [minus](VD a_, VD b_, VD c_, VD d_) HWY_ATTR {
    const VD cd = hn::Mul(c_, d_);
    return minus ? hn::MulSub(a_, b_, cd) : hn::MulAdd(a_, b_, cd);
  };
  return OddFloats({half(a.low, LowerDouble(b), c.low, LowerDouble(d)),
                    half(a.high, UpperDouble(b), c.high, UpperDouble(d))});
}

/// Norm and RoPE of the last `n` channels: vectors where they fit, numerics otherwise.
void Rotate(float* HWY_RESTRICT x, int n, const Turn& t) {
  const F d;
  const int pairs = n / 2;
  int i = 0;
  for (; i + kLanes <= pairs; i += kLanes) {
    VF cos;
    VF sin;
    if (t.in_pairs) {
      hn::LoadInterleaved2(d, t.table + 2 * i, cos, sin);
    } else {
      cos = hn::LoadU(d, t.table + i);
      sin = hn::LoadU(d, t.table + pairs + i);
    }
    VF in_even;
    VF in_odd;
    VF even_weight;
    VF odd_weight;
    hn::LoadInterleaved2(d, x + 2 * i, in_even, in_odd);
    hn::LoadInterleaved2(d, t.weight + 2 * i, even_weight, odd_weight);
    const Halves even = Normed(in_even, even_weight, t);
    const Halves odd = Normed(in_odd, odd_weight, t);
    hn::StoreInterleaved2(Turned(even, cos, odd, sin, true), Turned(even, sin, odd, cos, false), d,
                          x + 2 * i);
  }
  for (; i < pairs; ++i) {
    const float cos = t.in_pairs ? t.table[2 * i] : t.table[i];
    const float sin = t.in_pairs ? t.table[2 * i + 1] : t.table[pairs + i];
    double pair[2];
    for (int k = 0; k < 2; ++k) {
      pair[k] = numerics::normed(x[2 * i + k], t.scale, t.weight[2 * i + k]);
      if (t.round) {
        pair[k] = static_cast<double>(numerics::to_bf16(numerics::odd_float(pair[k])));
      }
    }
    x[2 * i] = numerics::odd_float(numerics::rope_even(pair[0], pair[1], cos, sin));
    x[2 * i + 1] = numerics::odd_float(numerics::rope_odd(pair[0], pair[1], cos, sin));
  }
}

/// Of all lanes, in all lanes.
HWY_INLINE VF Largest(VF magnitudes) {
  return hn::MaxOfLanes(F(), magnitudes);
}

VF LargestMagnitude(const float* row, int n) {
  VF m = hn::Zero(F());
  for (int i = 0; i < n; i += kLanes)
    m = Larger(hn::Abs(At(row, i)), m);
  return Largest(m);
}

/// 2^e as its UE8M0 byte, e + 127, in all lanes. The scalar twins are calls of fmaxf, which would
/// cost the caller its registers.
HWY_INLINE VU Ue8m0(VF scale) {
  const U d;
  const VU u = hn::BitCast(d, scale);
  const auto inexact = hn::Ne(hn::And(u, hn::Set(d, 0x7FFFFFU)), hn::Zero(d));
  return hn::Add(hn::ShiftRight<23>(u), hn::IfThenElseZero(inexact, hn::Set(d, 1U)));
}
/// 2^-e.
HWY_INLINE VF Inverse(VU ue8m0) {
  return hn::BitCast(F(), hn::ShiftLeft<23>(hn::Sub(hn::Set(U(), 254U), ue8m0)));
}
/// numerics::fp8_exponent.
HWY_INLINE VU Fp8Exponent(VF amax, bool floor_on_scale) {
  const VF most = hn::Set(F(), numerics::kE4m3Max);
  const VF floor = hn::Set(F(), numerics::kFp8Floor);
  return Ue8m0(floor_on_scale ? hn::Max(hn::Div(amax, most), floor)
                              : hn::Div(hn::Max(amax, floor), most));
}
HWY_INLINE std::uint8_t Byte(VU x) {
  return static_cast<std::uint8_t>(hn::GetLane(x));
}

void PutBf16(const float* row, int n, std::uint8_t* out) {
  // the out pointer may be odd in no format, but its type is bytes: go by a copy that is aligned
  alignas(64) std::uint16_t bits[kLanes];
  for (int i = 0; i < n; i += kLanes) {
    StoreBf16(At(row, i), bits);
    std::memcpy(out + 2 * i, bits, sizeof(bits));
  }
}

/// E4M3 codes of row * factor.
void PutE4m3(const float* row, int n, VF f, std::uint8_t* out) {
  for (int i = 0; i < n; i += kLanes)
    StoreBytes(E4m3Code(hn::Mul(At(row, i), f)), out + i);
}

/// Butterflies at distance kDistance within vectors: lane i becomes x[i] + x[i ^ kDistance], or the
/// difference, the lane whose bit is clear first.
template <int kDistance>
HWY_INLINE VF Butterfly(VF x) {
  const U d;
  const VU lane = hn::Iota(d, 0U);
  const VU bit = hn::And(lane, hn::Set(d, static_cast<std::uint32_t>(kDistance)));
  const VF partner = hn::TableLookupLanes(
      x,
      hn::IndicesFromVec(
          F(), hn::BitCast(I(), hn::Xor(lane, hn::Set(d, static_cast<std::uint32_t>(kDistance))))));
  constexpr int kShift = 31 - __builtin_ctz(kDistance);
  const VU sign = hn::ShiftLeft<kShift>(bit);  // the sign bit, where this lane is the second
  return hn::Add(partner, hn::BitCast(F(), hn::Xor(hn::BitCast(d, x), sign)));
}

void Hadamard(float* row, int n) {
  for (int i = 0; i < n; i += kLanes) {
    VF x = Butterfly<1>(At(row, i));
    x = Butterfly<2>(x);
    if constexpr (kLanes > 4) x = Butterfly<4>(x);
    if constexpr (kLanes > 8) x = Butterfly<8>(x);
    Put(x, row, i);
  }
  for (int h = kLanes; h < n; h *= 2) {
    for (int start = 0; start < n; start += 2 * h) {
      for (int i = start; i < start + h; i += kLanes) {
        const VF a = At(row, i);
        const VF b = At(row, i + h);
        Put(hn::Add(a, b), row, i);
        Put(hn::Sub(a, b), row, i + h);
      }
    }
  }
  const VF scale = hn::Set(F(), numerics::kHadamardScale);
  for (int i = 0; i < n; i += kLanes)
    Put(hn::Mul(At(row, i), scale), row, i);
}

/// Norm, RoPE and quantising in one: a block stays in registers from the scaling to its codes.
/// Rounding to bf16 twice is rounding once, so that recipes differ in the rotated part only.
void StoreFp8Mla(const Finish& f, float scale, const Turn& turn, float* HWY_RESTRICT row,
                 Ahead& ahead, std::uint8_t* HWY_RESTRICT values,
                 std::uint8_t* HWY_RESTRICT scales) {
  const Compressor& c = f.compressor;
  const RecipeTraits r = traits_of(c.recipe);
  const int rope = c.geometry.rope_dim;
  const int nope = c.geometry.head_dim - rope;
  constexpr int kVectors = kFp8Block / kLanes;
  const VF s = hn::Set(F(), scale);
  for (int b = 0; b < nope; b += kFp8Block) {
    VF x[kVectors];
    VF amax = hn::Zero(F());
    PLEAT_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) {
      const int i = b + v * kLanes;
      x[v] = ToBf16(hn::Mul(hn::Mul(At(row, i), s), At(f.norm, i)));
      amax = Larger(hn::Abs(x[v]), amax);
    }
    const VU e = Fp8Exponent(Largest(amax), r.floor_on_scale);
    const VF factor = Inverse(e);
    PLEAT_UNROLL(16)
    for (int v = 0; v < kVectors; ++v)
      StoreBytes(E4m3Code(hn::Mul(x[v], factor)), values + b + v * kLanes);
    scales[b / kFp8Block] = Byte(e);
    ahead.fetch(kFetchPerBlock);
  }
  scales[nope / kFp8Block] = 0;
  row += nope;
  Rotate(row, rope, turn);
  int i = 0;
  for (; i + kLanes <= rope; i += kLanes)
    PutBf16(row + i, kLanes, values + nope + 2 * i);
  for (; i < rope; ++i) {
    const std::uint16_t bits = numerics::bf16_bits(row[i]);
    std::memcpy(values + nope + 2 * i, &bits, 2);
  }
}

void StoreFp8Tensor(const Finish& f, const float* row, std::uint8_t* values) {
  const VF scale = hn::Set(F(), f.fp8_scale);
  for (int i = 0; i < f.compressor.geometry.head_dim; i += kLanes)
    StoreBytes(E4m3Code(hn::Div(ToBf16(At(row, i)), scale)), values + i);
}

void StoreIndexFp8(const Compressor& c, const float* row, std::uint8_t* values,
                   std::uint8_t* scales) {
  const int n = c.geometry.head_dim;
  const F d;
  const VF amax = LargestMagnitude(row, n);
  VF scale;
  if (traits_of(c.recipe).index_scale_raw) {
    scale = hn::Div(hn::Max(amax, hn::Set(d, numerics::kFp8Floor)), hn::Set(d, numerics::kE4m3Max));
  } else {
    scale = hn::BitCast(d, hn::ShiftLeft<23>(Fp8Exponent(amax, false)));
  }
  PutE4m3(row, n, hn::Div(hn::Set(d, 1.0F), scale), values);
  const float one = hn::GetLane(scale);
  std::memcpy(scales, &one, 4);
}

template <bool kTiesToZero>
void StoreIndexMxfp4(int n, const float* row, std::uint8_t* values, std::uint8_t* scales) {
  const F d;
  const VF floor = hn::Set(d, kTiesToZero ? numerics::kFp8Floor : numerics::kFp4Floor);
  for (int b = 0; b < n / kFp4Block; ++b) {
    const float* x = row + b * kFp4Block;
    const VF amax = hn::Max(LargestMagnitude(x, kFp4Block), floor);
    const VU e = Ue8m0(hn::Mul(amax, hn::Set(d, numerics::kSixth)));
    const VF factor = Inverse(e);
    alignas(64) std::uint8_t codes[kFp4Block];
    for (int i = 0; i < kFp4Block; i += kLanes)
      StoreBytes(E2m1Code<kTiesToZero>(hn::Mul(At(x, i), factor)), codes + i);
    for (int i = 0; i < kFp4Block; i += 8) {  // eight codes to four bytes, by shifts of a word
      std::uint64_t w = 0;
      std::memcpy(&w, codes + i, 8);
      w = (w | w >> 4) & 0x00FF00FF00FF00FFU;
      w = (w | w >> 8) & 0x0000FFFF0000FFFFU;
      const auto packed = static_cast<std::uint32_t>(w | w >> 16);
      std::memcpy(values + (b * kFp4Block + i) / 2, &packed, 4);
    }
    scales[b] = Byte(e);
  }
}

void StoreRow(const Finish& f, const float* rope_row, float* row, Ahead& ahead,
              std::uint8_t* values, std::uint8_t* scales) {
  const Compressor& c = f.compressor;
  const RecipeTraits r = traits_of(c.recipe);
  const int n = c.geometry.head_dim;
  if (r.pooled_bf16) RoundRow(row, n);
  const int nope = n - c.geometry.rope_dim;
  const double mean = numerics::mean_square(SumOfSquares(row, n), n, c.eps);
  const float scale = numerics::rms_scale(mean);
  const Turn turn{numerics::exact_scale(mean, scale), f.norm + nope, rope_row,
                  r.rope_table_in_pairs, r.norm_bf16};
  ahead.fetch(kFetchPerBlock);
  if (c.row_format == RowFormat::fp8_mla) {
    return StoreFp8Mla(f, scale, turn, row, ahead, values, scales);
  }
  Scale(row, nope, scale, f.norm, r.norm_bf16);
  ahead.fetch(n / kFp8Block * kFetchPerBlock);
  Rotate(row + nope, c.geometry.rope_dim, turn);
  if (c.row_format == RowFormat::bf16) return PutBf16(row, n, values);
  if (c.row_format == RowFormat::fp8_tensor) return StoreFp8Tensor(f, row, values);
  if (r.hadamard) {
    if (r.norm_bf16) RoundRow(row, n);
    Hadamard(row, n);
  }
  if (r.index_bf16) RoundRow(row, n);
  if (c.row_format == RowFormat::index_fp8) return StoreIndexFp8(c, row, values, scales);
  if (r.fp4_ties_to_zero) return StoreIndexMxfp4<true>(n, row, values, scales);
  StoreIndexMxfp4<false>(n, row, values, scales);
}

}  // namespace pleat::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // PLEAT_SIMD_TARGET

#if HWY_ONCE
namespace pleat::cpu::simd {

Store store([[maybe_unused]] SimdTarget target) {
  return PLEAT_SIMD_CHOOSE(StoreRow, target);
}

}  // namespace pleat::cpu::simd
#endif  // HWY_ONCE
#endif  // PLEAT_HAVE_HIGHWAY
