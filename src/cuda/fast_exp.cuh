// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "numerics/portable.hpp"

namespace pleat::cuda {

/// Weights of variant fast: e^score / 2^n by the hardware's exp2, which is good to 2^-22 of itself.
/// What it is given is between -1/2 and 1/2, and as good as a float can be: log2 e times the score,
/// rounded to a float at once, would be off by as much again. \p value and \p rest: the score, to
/// be added.
__device__ __forceinline__ double fast_weight(float value, float rest, std::int32_t n) {
  constexpr float magic = 0x1.8p23F;        // rounds what is added to it to a whole number
  constexpr float log2_e = 0x1.715476p+0F;  // to the nearest float
  constexpr float log2_e_rest = 0x1.4ae0cp-26F;
  const float shifted = numerics::fused(value, log2_e, magic);
  float part = numerics::fused(value, log2_e, -(shifted - magic));
  part = numerics::fused(value, log2_e_rest, part);
  part = numerics::fused(rest, log2_e, part);
  float e;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(part));
  // Widened by hand, as conversions keep the unit busy that exp2 needs: e is a normal float. The
  // whole part is in the low bits of `shifted`, and nothing else is.
  constexpr std::uint32_t bias = (1023U - 127U) << 20U;
  const std::uint32_t bits = __float_as_uint(e);
  const std::uint32_t whole = __float_as_uint(shifted) - static_cast<std::uint32_t>(n);
  return __hiloint2double(static_cast<int>((bits >> 3U) + bias + (whole << 20U)),
                          static_cast<int>(bits << 29U));
}

/// Of a score that is a sum in double, or a float's value.
__device__ __forceinline__ double fast_weight(double score, std::int32_t n) {
  const auto value = static_cast<float>(score);
  return fast_weight(value, static_cast<float>(score - static_cast<double>(value)), n);
}

}  // namespace pleat::cuda
