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
// of the finish is one pass over it. Only the rotated part may be of any even length.

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

/// numerics::pair_squares of neighbouring channels.
HWY_INLINE VD PairSquares(const float* row) {
  constexpr int kDoubles = kLanes / 2;
  const VD a = LoadDoubles(row);
  const VD b = LoadDoubles(row + kDoubles);
  const VD even = hn::ConcatEven(D64(), b, a);
  const VD odd = hn::ConcatOdd(D64(), b, a);
  return hn::MulAdd(odd, odd, hn::Mul(even, even));
}

/// numerics::sum_of_squares.
double SumOfSquares(const float* row, int n) {
  double tiles[4096 / kTileChannels];
  constexpr int kVectors = kTileChannels / kLanes;
  for (int t = 0; t < n / kTileChannels; ++t) {
    VD q[kVectors];
    PLEAT_UNROLL(16)
    for (int v = 0; v < kVectors; ++v)
      q[v] = PairSquares(row + t * kTileChannels + v * kLanes);
    PLEAT_UNROLL(4)
    for (int half = kVectors / 2; half > 0; half /= 2) {
      PLEAT_UNROLL(8)
      for (int v = 0; v < half; ++v)
        q[v] = hn::Add(q[v], q[v + half]);
    }
    tiles[t] = SumHalves(D64(), q[0]);
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

/// The table row of `n` channels as pairs, which is how the channels lie: cos and sin in turn.
HWY_INLINE const float* InPairs(const float* table, int n, bool in_pairs, float* room) {
  if (in_pairs) return table;
  int i = 0;
  for (; i + kLanes <= n / 2; i += kLanes) {
    hn::StoreInterleaved2(hn::LoadU(F(), table + i), hn::LoadU(F(), table + n / 2 + i), F(),
                          room + 2 * i);
  }
  for (; i < n / 2; ++i) {
    room[2 * i] = table[i];
    room[2 * i + 1] = table[n / 2 + i];
  }
  return room;
}

/// numerics::rope_even and rope_odd of pairs that lie side by side; `trig` is their cos and sin.
HWY_INLINE VD Turned(VD x, VD trig) {
  const D64 d;
  const VD minus_in_even = hn::OddEven(hn::Zero(d), hn::Set(d, -0.0));
  const VD other = hn::Xor(hn::Reverse2(d, trig), minus_in_even);  // -sin and cos
  return hn::MulAdd(hn::DupEven(x), trig, hn::Mul(hn::DupOdd(x), other));
}

/// Norm and RoPE of the last `n` channels: vectors where they fit, numerics otherwise.
template <bool kRound>
void RotateRounded(float* HWY_RESTRICT x, int n, const Turn& t) {
  float room[kTileChannels];
  const float* HWY_RESTRICT trig = InPairs(t.table, n, t.in_pairs, room);
  const VD scale = hn::Set(D64(), t.scale);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto normed = [&](int at) HWY_ATTR {  // numerics::normed
      return hn::Mul(hn::Mul(LoadDoubles(x + at), scale), LoadDoubles(t.weight + at));
    };
    Halves y{normed(i), normed(i + kLanes / 2)};
    if constexpr (kRound) y = Widened(ToBf16(OddFloats(y)));
    y = {Turned(y.low, LoadDoubles(trig + i)), Turned(y.high, LoadDoubles(trig + i + kLanes / 2))};
    Put(OddFloats(y), x, i);
  }
  for (; i < n; i += 2) {
    double pair[2];
    for (int k = 0; k < 2; ++k) {
      pair[k] = numerics::normed(x[i + k], t.scale, t.weight[i + k]);
      if (kRound) pair[k] = static_cast<double>(numerics::to_bf16(numerics::odd_float(pair[k])));
    }
    x[i] = numerics::odd_float(numerics::rope_even(pair[0], pair[1], trig[i], trig[i + 1]));
    x[i + 1] = numerics::odd_float(numerics::rope_odd(pair[0], pair[1], trig[i], trig[i + 1]));
  }
}

void Rotate(float* x, int n, const Turn& t) {
  t.round ? RotateRounded<true>(x, n, t) : RotateRounded<false>(x, n, t);
}

VF LargestMagnitude(const float* row, int n) {
  VF m = hn::Zero(F());
  for (int i = 0; i < n; i += kLanes)
    m = Larger(hn::Abs(At(row, i)), m);
  return hn::Set(F(), MaxHalves(F(), m));
}

/// RoundRow first.
VF LargestRounded(float* row, int n) {
  VF m = hn::Zero(F());
  for (int i = 0; i < n; i += kLanes) {
    const VF x = ToBf16(At(row, i));
    Put(x, row, i);
    m = Larger(hn::Abs(x), m);
  }
  return hn::Set(F(), MaxHalves(F(), m));
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
/// numerics::fp8_exponent, by numerics::exponent_of_448th.
HWY_INLINE VU Fp8Exponent(VF amax, bool floor_on_scale) {
  const U d;
  const VF floored = floor_on_scale ? amax : hn::Max(amax, hn::Set(F(), numerics::kFp8Floor));
  const VU e = hn::ShiftRight<23>(hn::Add(hn::BitCast(d, floored), hn::Set(d, 0x1FFFFFU)));
  // e + 135, and 1e-4 <= 2^-13
  return floor_on_scale ? hn::Sub(hn::Max(e, hn::Set(d, 122U)), hn::Set(d, 8U))
                        : hn::Sub(e, hn::Set(d, 8U));
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
  const float* HWY_RESTRICT norm = f.norm;
  constexpr int kVectors = kFp8Block / kLanes;
  const VF s = hn::Set(F(), scale);
  // A pass each for what hangs together by long waits: the blocks of a pass overlap.
  float amax[4096 / kFp8Block];
  for (int b = 0; b < nope; b += kFp8Block) {
    VF most = hn::Zero(F());
    PLEAT_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) {
      const int i = b + v * kLanes;
      const VF x = ToBf16(hn::Mul(hn::Mul(At(row, i), s), At(norm, i)));
      Put(x, row, i);
      most = Larger(hn::Abs(x), most);
    }
    amax[b / kFp8Block] = MaxHalves(F(), most);
    ahead.fetch(kFetchPerBlock);
  }
  const bool floor_on_scale = r.floor_on_scale;
  for (int b = 0; b < nope; b += kFp8Block) {
    const VU e = Fp8Exponent(hn::Set(F(), amax[b / kFp8Block]), floor_on_scale);
    const VF factor = Inverse(e);
    PLEAT_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) {
      const int i = b + v * kLanes;
      StoreBytes(E4m3Code(hn::Mul(At(row, i), factor)), values + i);
    }
    scales[b / kFp8Block] = Byte(e);
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

/// Codes of 4 bits, two a byte: the lane before the lower.
HWY_INLINE void StoreNibbles(VU codes, std::uint8_t* to) {
  const hn::Repartition<std::uint64_t, F> d;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  const auto pairs = hn::BitCast(d, codes);
  hn::StoreU(hn::TruncateTo(bytes, hn::Or(pairs, hn::ShiftRight<28>(pairs))), bytes, to);
}

/// Of an indexer row, or of a block of it; rounds it first, where the recipe does.
HWY_INLINE VF IndexAmax(const RecipeTraits& r, float* row, int n) {
  return r.index_bf16 ? LargestRounded(row, n) : LargestMagnitude(row, n);
}

void StoreIndexFp8(const RecipeTraits& r, int n, float* row, std::uint8_t* values,
                   std::uint8_t* scales) {
  const F d;
  const VF amax = IndexAmax(r, row, n);
  VF scale;
  VF factor;
  if (r.index_scale_raw) {
    scale = hn::Div(hn::Max(amax, hn::Set(d, numerics::kFp8Floor)), hn::Set(d, numerics::kE4m3Max));
    factor = hn::Div(hn::Set(d, 1.0F), scale);
  } else {
    const VU e = Fp8Exponent(amax, false);
    scale = hn::BitCast(d, hn::ShiftLeft<23>(e));
    factor = Inverse(e);
  }
  for (int i = 0; i < n; i += kLanes)
    StoreBytes(E4m3Code(hn::Mul(At(row, i), factor)), values + i);
  const float one = hn::GetLane(scale);
  std::memcpy(scales, &one, 4);
}

template <bool kTiesToZero>
void StoreIndexMxfp4(const RecipeTraits& r, int n, float* row, std::uint8_t* values,
                     std::uint8_t* scales) {
  const F d;
  const VF floor = hn::Set(d, kTiesToZero ? numerics::kFp8Floor : numerics::kFp4Floor);
  for (int b = 0; b < n / kFp4Block; ++b) {
    float* x = row + b * kFp4Block;
    const VF amax = hn::Max(IndexAmax(r, x, kFp4Block), floor);
    const VU e = Ue8m0(hn::Mul(amax, hn::Set(d, numerics::kSixth)));
    const VF factor = Inverse(e);
    for (int i = 0; i < kFp4Block; i += kLanes) {
      const VU codes = E2m1Code<kTiesToZero>(hn::Mul(At(x, i), factor));
      StoreNibbles(codes, values + (b * kFp4Block + i) / 2);
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
    if (r.norm_bf16) RoundRow(row + n - kTileChannels, kTileChannels);  // the others are rounded
    Hadamard(row, n);
  }
  if (c.row_format == RowFormat::index_fp8) return StoreIndexFp8(r, n, row, values, scales);
  if (r.fp4_ties_to_zero) return StoreIndexMxfp4<true>(r, n, row, values, scales);
  StoreIndexMxfp4<false>(r, n, row, values, scales);
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
