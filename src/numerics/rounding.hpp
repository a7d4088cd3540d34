// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/portable.hpp"

namespace pleat::numerics {

/// Nearest-even bf16; every NaN becomes 0x7FFF, as the GPU's conversion gives it.
PLEAT_HD std::uint16_t bf16_bits(float x) {
  const std::uint32_t u = bits_of(x);
  if ((u & 0x7FFFFFFFU) > 0x7F800000U) return 0x7FFF;
  return static_cast<std::uint16_t>((u + 0x7FFFU + ((u >> 16) & 1U)) >> 16);
}

PLEAT_HD float bf16_value(std::uint16_t bits) {
  return float_of(static_cast<std::uint32_t>(bits) << 16);
}

/// x rounded to bf16, as a float.
PLEAT_HD float to_bf16(float x) {
  return bf16_value(bf16_bits(x));
}

}  // namespace pleat::numerics
