// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/portable.hpp"

namespace pleat::numerics {

/// The polynomial for 2^f on [-1/2, 1/2]: c0 = 1; the others by a minimax fit of the relative
/// error, rounded one by one with the rest fitted again.
struct Exp2Poly {
  static constexpr float c1 = 0x1.62e430p-1F;
  static constexpr float c2 = 0x1.ebfbdcp-3F;
  static constexpr float c3 = 0x1.c6af7cp-5F;
  static constexpr float c4 = 0x1.3b2de0p-7F;
  static constexpr float c5 = 0x1.5f082ep-10F;
  static constexpr float c6 = 0x1.416b50p-13F;
};

inline constexpr float kLog2E = 0x1.715476p+0F;
inline constexpr float kLog2ELow = 0x1.4ae0c0p-26F;  ///< log2(e) - kLog2E
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

/// e^score / 2^n, the weight of a score in its group: about 0.7 to 1.4 for the largest. The order
/// of operations is part of docs/numerics.md. tests/numerics/exp2_test.cpp holds it to these bounds
/// over every float: relative error at most 8.2e-8 for |score| <= 1, 8.6e-8 for |score| <= 4096,
/// 1e-7 up to the limit. Monotone but for roundings: of two neighbouring scores the larger may
/// weigh one unit of the last place less (1 pair in 13000). Exactly 1 where |score| <= 2^-27 and
/// n = 0. A NaN score weighs as one at the floor. \p low: see late_sum.
template <bool HasLow>
PLEAT_HD float weight_of_score(float score, float low, const GroupScale& g) {
  const float z = larger(score, g.floor);
  const float shifted = fused(z, kLog2E, g.magic);
  const float whole = shifted - g.magic;
  float f = fused(z, kLog2E, -whole);
  f = fused(z, kLog2ELow, f);
  if (HasLow) f = fused(score > g.floor ? low : 0.0F, kLog2E, f);
  float p = Exp2Poly::c6;
  p = fused(p, f, Exp2Poly::c5);
  p = fused(p, f, Exp2Poly::c4);
  p = fused(p, f, Exp2Poly::c3);
  p = fused(p, f, Exp2Poly::c2);
  p = fused(p, f, Exp2Poly::c1);
  p = fused(p, f, 1.0F);
  // shifted ends in the integer part's bits; everything above them leaves by the shift
  return float_of(bits_of(p) + (bits_of(shifted) << 23));
}

/// 2^k for a whole k in [-126, 0] that is a float.
PLEAT_HD float pow2_of_whole(float k) {
  return float_of(bits_of(k + (kRoundMagic + 127.0F)) << 23);
}

}  // namespace pleat::numerics
