// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/rounding.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "support/levels.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

namespace pleat::numerics {
namespace {

void expect_nearest(float x) {
  ASSERT_EQ(bf16_bits(x), test::nearest_bf16(x)) << std::hexfloat << x;
}

TEST(Rounding, EveryBf16IsItsOwnRounding) {
  for (std::uint32_t b = 0; b < 0x10000; ++b) {
    const auto bits = static_cast<std::uint16_t>(b);
    const float x = bf16_value(bits);
    EXPECT_EQ(bits_of(x), b << 16);
    if (std::isnan(x)) {
      EXPECT_EQ(bf16_bits(x), 0x7FFF);
    } else {
      EXPECT_EQ(bf16_bits(x), bits);
      EXPECT_EQ(bits_of(to_bf16(x)), bits_of(x));
    }
    if (std::isfinite(x)) {
      EXPECT_EQ(static_cast<double>(x), test::bf16_as_double(bits));
    }
  }
}

TEST(Rounding, EveryTieAndItsNeighboursGoToTheNearestEven) {
  for (std::uint32_t high = 0; high < 0x10000; ++high) {
    for (const std::uint32_t low : {0x0001U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      const float x = float_of(high << 16 | low);
      if (std::isfinite(x)) expect_nearest(x);
    }
  }
}

TEST(Rounding, RandomFloatsGoToTheNearest) {
  test::Random random(1);
  for (std::int64_t n = 0; n < test::repetitions(10'000'000); ++n)
    expect_nearest(random.any_finite());
}

TEST(Rounding, TooLargeGivesInfinityAndNaNGivesOneNaN) {
  EXPECT_EQ(bf16_bits(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(bf16_bits(-std::numeric_limits<float>::max()), 0xFF80);
  EXPECT_EQ(bf16_bits(0x1.FEp+127F), 0x7F7F);
  EXPECT_EQ(bf16_bits(std::numeric_limits<float>::infinity()), 0x7F80);
  for (const std::uint32_t nan : {0x7F800001U, 0x7FC00000U, 0xFFC00000U, 0xFF800001U, ~0U})
    EXPECT_EQ(bf16_bits(float_of(nan)), 0x7FFF);
  EXPECT_EQ(bf16_bits(-0.0F), 0x8000);
}

}  // namespace
}  // namespace pleat::numerics
