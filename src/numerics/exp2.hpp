// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/portable.hpp"

namespace pleat::numerics {

/// e^f = 1 + (f + f^2 * q(f)) on [-log(2)/2, log(2)/2]; q by a minimax fit of the relative error of
/// e^f (3.2e-9), its coefficients rounded one by one with the rest fitted again.
struct ExpPoly {
  static constexpr float c2 = 0x1.fffffcp-2F;
  static constexpr float c3 = 0x1.555492p-3F;
  static constexpr float c4 = 0x1.5558b2p-5F;
  static constexpr float c5 = 0x1.12398ep-7F;
  static constexpr float c6 = 0x1.6a4b34p-10F;
};

inline constexpr float kLog2E = 0x1.715476p+0F;
/// 1.9e-9 too large. It stands for log 2 in every weight alike, so that a ratio of weights a factor
/// of 2^k apart is off by k * 1.9e-9 of itself: of the larger, never more than 1e-9.
inline constexpr float kLn2 = 0x1.62e430p-1F;
/// Adding and subtracting 1.5 * 2^23 rounds to an integer, ties to even; the integer is also in the
/// low bits of the sum.
inline constexpr float kRoundMagic = 12582912.0F;
/// A score this far below its group's largest, or farther, weighs what one at this distance weighs:
/// 2^-124 or so, the last that no rounding can push below the normal floats.
inline constexpr float kWeightReach = 86.0F;
/// Scores of a group whose largest is beyond this are clamped to it, on both sides.
inline constexpr float kScoreLimit = 1048576.0F;

/// What the scores of a group are measured from: a whole power of two near its largest weight, so
/// that groups are later brought to one scale without rounding.
struct GroupScale {
  float magic;  ///< kRoundMagic - n, n = round(max * log2 e): smaller is larger
  float floor;  ///< max - kWeightReach
};

/// Whether the group's scores have to be clamped first (also when all are NaN or -inf).
PLEAT_HD bool beyond_limit(float max) {
  return !(magnitude(max) <= kScoreLimit);
}
PLEAT_HD float clamp_score(float score) {
  return smaller(larger(score, -kScoreLimit), kScoreLimit);  // NaN: the lowest
}

PLEAT_HD GroupScale scale_of_group(float max) {
  const float whole = fused(max, kLog2E, kRoundMagic) - kRoundMagic;
  return {kRoundMagic - whole, max - kWeightReach};
}

/// A weight in two parts, of which the first is a power of two: together they are several times
/// more exact than their rounded sum.
struct Weight {
  float whole;
  float rest;  ///< -0.31 to 0.44 of `whole`
  float sum;
};

/// e^score / 2^n, the weight of a score in its group: about 0.7 to 1.43 for the largest. The order
/// of operations is part of docs/numerics.md. tests/numerics/exp2_test.cpp holds whole + rest to
/// its bounds over every float, of e^(score - n * kLn2): relative error at most 2.9e-8 for |score|
/// <= 65536, 3.7e-8 up to kScoreLimit. Monotone. Exactly 1 for a score of 0 where n = 0. A NaN
/// score weighs as one at the floor. \p low: see late_sum.
template <bool HasLow>
PLEAT_HD Weight weight_of_score(float score, float low, const GroupScale& g) {
  const float z = larger(score, g.floor);
  const float shifted = fused(z, kLog2E, g.magic);
  const float n = shifted - g.magic;
  float f = fused(n, -kLn2, z);  // exact
  if (HasLow) f = f + (score > g.floor ? low : 0.0F);
  float q = ExpPoly::c6;
  q = fused(q, f, ExpPoly::c5);
  q = fused(q, f, ExpPoly::c4);
  q = fused(q, f, ExpPoly::c3);
  q = fused(q, f, ExpPoly::c2);
  const float e = fused(f * f, q, f);
  // shifted ends in the integer part's bits; everything above them leaves by the shift
  const float whole = float_of((bits_of(shifted) << 23) + 0x3F800000U);
  const float rest = whole * e;
  return {whole, rest, whole + rest};
}

/// 2^k for a whole k in [-126, 0] that is a float.
PLEAT_HD float pow2_of_whole(float k) {
  return float_of(bits_of(k + (kRoundMagic + 127.0F)) << 23);
}

}  // namespace pleat::numerics
