// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/portable.hpp"

namespace pleat::numerics {

/// e^f = 1 + f + f^2 * q(f) on [-log(2)/2, log(2)/2]; q by a minimax fit of the relative error of
/// e^f, 5.2e-11.
struct ExpPoly {
  static constexpr double c2 = 0x1.0000003a1ade3p-1;
  static constexpr double c3 = 0x1.5555544365c71p-3;
  static constexpr double c4 = 0x1.55548dd87351fp-5;
  static constexpr double c5 = 0x1.1112708f30329p-7;
  static constexpr double c6 = 0x1.6d8cf41cf64e9p-10;
  static constexpr double c7 = 0x1.9f08a46412e5ep-13;
};
inline constexpr double kLog2E = 0x1.71547652b82fep+0;
inline constexpr double kLn2 = 0x1.62e42fefa39efp-1;
/// The same as one thing that can be handed on.
struct ExpTable {
  double log2_e = kLog2E;
  double ln2 = kLn2;
  double q[6] = {ExpPoly::c7, ExpPoly::c6, ExpPoly::c5, ExpPoly::c4, ExpPoly::c3, ExpPoly::c2};
};
inline constexpr ExpTable kExpTable{};
/// Adding and subtracting 1.5 * 2^52 rounds to an integer, ties to even; the integer is also in the
/// low bits of the sum.
inline constexpr double kRoundMagic = 0x1.8p52;
/// Scores of a group that are all of this size at most are measured from 0, where weights fit any
/// sum: 2^-93 to 2^93.
inline constexpr float kPlainScore = 64.0F;
/// In other groups, a score this far below the largest, or farther, weighs what one at this
/// distance weighs: 2^-185.
inline constexpr float kWeightReach = 128.0F;
/// There, scores are clamped to this, on both sides.
inline constexpr float kScoreLimit = 1048576.0F;

/// Whether a group whose largest score has this size must be measured from its own largest score
/// (also where it is NaN).
PLEAT_HD bool beyond_plain(float size) {
  return !(size <= kPlainScore);
}

/// The scale of a group whose largest score is \p max: its weights are e^score / 2^n with
/// n = round(max * log2 e). A NaN counts as the lowest score.
struct GroupScale {
  double magic = kRoundMagic;  ///< kRoundMagic - n
  double floor = 0.0;
};
PLEAT_HD GroupScale scale_of_group(float max) {
  const float most = smaller(larger(max, -kScoreLimit), kScoreLimit);
  const double whole = fused(static_cast<double>(most), kLog2E, kRoundMagic) - kRoundMagic;
  return {kRoundMagic - whole, static_cast<double>(larger(most - kWeightReach, -kScoreLimit))};
}
/// n of a scale.
PLEAT_HD std::int32_t exponent_of(const GroupScale& g) {
  return static_cast<std::int32_t>(kRoundMagic - g.magic);
}
/// A score of such a group, within what its scale can weigh. NaN: the floor.
PLEAT_HD double within_reach(double score, const GroupScale& g) {
  const double z = score > g.floor ? score : g.floor;
  return z < static_cast<double>(kScoreLimit) ? z : static_cast<double>(kScoreLimit);
}

/// weight_of_score of `Count` scores in place, one operation after the other over all of them: each
/// is a long chain of dependent operations. \p table: kExpTable, wherever constants are near.
template <int Count>
PLEAT_HD void weights_of_scores(double* x, double magic, const ExpTable& table) {
  double shifted[Count];
  double f[Count];
  double p[Count];
  PLEAT_UNROLLED
  for (int i = 0; i < Count; ++i)
    shifted[i] = fused(x[i], table.log2_e, magic);
  PLEAT_UNROLLED
  for (int i = 0; i < Count; ++i)
    f[i] = fused(shifted[i] - magic, -table.ln2, x[i]);
  PLEAT_UNROLLED
  for (int i = 0; i < Count; ++i)
    p[i] = fused(table.q[0], f[i], table.q[1]);
  PLEAT_UNROLLED
  for (int k = 2; k < 8; ++k) {
    PLEAT_UNROLLED
    for (int i = 0; i < Count; ++i)
      p[i] = fused(p[i], f[i], k < 6 ? table.q[k] : 1.0);
  }
  PLEAT_UNROLLED
  for (int i = 0; i < Count; ++i)
    x[i] = times_pow2(p[i], shifted[i]);
}

/// e^score / 2^n, magic = kRoundMagic - n; kRoundMagic itself is n = 0. The order of operations is
/// part of docs/numerics.md. tests/numerics/exp2_test.cpp holds it to its bounds over every float:
/// relative error at most 5.2e-11 up to kPlainScore, 8.7e-11 up to kScoreLimit. Exactly 1 for a
/// score of 0 where n = 0.
PLEAT_HD double weight_of_score(double score, double magic) {
  double w = score;
  weights_of_scores<1>(&w, magic, kExpTable);
  return w;
}

}  // namespace pleat::numerics
