// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/portable.hpp"

namespace pleat::numerics {

/// The polynomial for 2^f on [-1/2, 1/2]: c0 = 1 exactly, so that a weight of e^0 is exactly 1; the
/// others by a minimax fit of the relative error, rounded one by one with the rest fitted again.
struct Exp2Poly {
  static constexpr float c1 = 0x1.62e42ap-1F;
  static constexpr float c2 = 0x1.ebf9c2p-3F;
  static constexpr float c3 = 0x1.c6b6dap-5F;
  static constexpr float c4 = 0x1.3ce8b2p-7F;
  static constexpr float c5 = 0x1.5bd97cp-10F;
};

inline constexpr float kLog2E = 0x1.715476p+0F;
/// Adding and subtracting 1.5 * 2^23 rounds to an integer, ties to even; the integer is also in the
/// low bits of the sum.
inline constexpr float kRoundMagic = 12582912.0F;
/// Below this a weight stops shrinking: 2^-126 is about the smallest normal float.
inline constexpr float kExpFloor = -87.0F;

/// e^d for d <= 0 (a score minus its group's maximum). Exactly 1 at 0. The order of operations is
/// part of docs/numerics.md; tests/numerics/exp2_test.cpp holds it to these bounds over every
/// float: relative error at most 1.8e-7 + 1.5e-8 * |d| on [-87, 0], absolute error at most 1.3e-7;
/// below -87 the value at -87 (1.7e-38) is returned. NaN counts as -87.
PLEAT_HD float exp_nonpositive(float d) {
  d = larger(d, kExpFloor);
  const float shifted = fused(d, kLog2E, kRoundMagic);
  const float whole = shifted - kRoundMagic;
  const float f = fused(d, kLog2E, -whole);
  float p = Exp2Poly::c5;
  p = fused(p, f, Exp2Poly::c4);
  p = fused(p, f, Exp2Poly::c3);
  p = fused(p, f, Exp2Poly::c2);
  p = fused(p, f, Exp2Poly::c1);
  p = fused(p, f, 1.0F);
  // shifted ends in the integer part's bits; everything above them leaves by the shift
  return float_of(bits_of(p) + (bits_of(shifted) << 23));
}

}  // namespace pleat::numerics
