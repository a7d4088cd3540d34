// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/codes.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <vector>

#include "numerics/rounding.hpp"
#include "support/levels.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

namespace pleat::numerics {
namespace {

const std::vector<double>& fp8_levels() {
  static const std::vector<double> levels = test::e4m3_levels();
  return levels;
}
const std::vector<double>& fp4_levels() {
  static const std::vector<double> levels = test::e2m1_levels();
  return levels;
}

int sign_of(float x) {
  return std::signbit(x) ? 1 : 0;
}

void expect_nearest_codes(float x) {
  const int fp8 = test::nearest_level(fp8_levels(), x) | sign_of(x) << 7;
  ASSERT_EQ(e4m3_code(x), fp8) << std::hexfloat << x;
  const int even = test::nearest_level(fp4_levels(), x);
  ASSERT_EQ(e2m1_magnitude(x), even) << std::hexfloat << x;
  ASSERT_EQ(e2m1_code(x, false), even | sign_of(x) << 3) << std::hexfloat << x;
  const int lower = test::nearest_level(fp4_levels(), x, true);
  ASSERT_EQ(e2m1_magnitude_toward_zero(x), lower) << std::hexfloat << x;
  // Ties toward zero comes with: no negative zero.
  ASSERT_EQ(e2m1_code(x, true), lower == 0 ? 0 : lower | sign_of(x) << 3) << std::hexfloat << x;
}

TEST(Codes, EveryBf16GoesToTheNearestLevel) {
  for (std::uint32_t b = 0; b < 0x10000; ++b) {
    const float x = bf16_value(static_cast<std::uint16_t>(b));
    if (!std::isnan(x)) expect_nearest_codes(x);
  }
}

TEST(Codes, EveryTieAndTheFloatsBesideIt) {
  for (const auto* levels : {&fp8_levels(), &fp4_levels()}) {
    for (std::size_t k = 0; k + 1 < levels->size(); ++k) {
      const auto tie = static_cast<float>(((*levels)[k] + (*levels)[k + 1]) / 2);
      const auto level = static_cast<float>((*levels)[k + 1]);
      for (const float at : {tie, level}) {
        ASSERT_EQ(static_cast<double>(at),
                  at == tie ? ((*levels)[k] + (*levels)[k + 1]) / 2 : (*levels)[k + 1]);
        for (const float x : {at, std::nextafter(at, 0.0F), std::nextafter(at, 1e30F)}) {
          expect_nearest_codes(x);
          expect_nearest_codes(-x);
        }
      }
    }
  }
}

TEST(Codes, RandomFloatsGoToTheNearestLevel) {
  test::Random random(1);
  for (std::int64_t n = 0; n < test::repetitions(3'000'000); ++n) {
    expect_nearest_codes(random.any_finite());
    // and where the levels are
    expect_nearest_codes(random.normal() *
                         static_cast<float>(std::ldexp(1.0, random.below(16) - 9)));
  }
}

TEST(Codes, ClampAndNeverNaN) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(e4m3_code(448.0F), 0x7E);
  EXPECT_EQ(e4m3_code(1e30F), 0x7E);
  EXPECT_EQ(e4m3_code(inf), 0x7E);
  EXPECT_EQ(e4m3_code(-inf), 0xFE);
  EXPECT_EQ(e4m3_code(float_of(0x7FC00000U)), 0x7E);
  EXPECT_EQ(e4m3_code(float_of(0xFFC00000U)), 0xFE);
  EXPECT_EQ(e4m3_code(0.0F), 0x00);
  EXPECT_EQ(e4m3_code(-0.0F), 0x80);
  EXPECT_EQ(e2m1_code(inf, false), 7);
  EXPECT_EQ(e2m1_code(-inf, true), 15);
  EXPECT_EQ(e2m1_code(-0.0F, false), 8);
  EXPECT_EQ(e2m1_code(-0.0F, true), 0);
  EXPECT_EQ(e2m1_code(-0.25F, false), 8);
  EXPECT_EQ(e2m1_code(-0.25F, true), 0);
}

TEST(Codes, ValuesAreTheLevels) {
  for (int code = 0; code < 0x7F; ++code) {
    const auto c = static_cast<std::uint8_t>(code);
    EXPECT_EQ(static_cast<double>(e4m3_value(c)), fp8_levels()[code]);
    EXPECT_EQ(static_cast<double>(e4m3_value(c | 0x80)), -fp8_levels()[code]);
    EXPECT_EQ(e4m3_code(e4m3_value(c)), c);
    EXPECT_EQ(e4m3_code(e4m3_value(c | 0x80)), c | 0x80);
  }
  for (std::uint8_t c = 0; c < 16; ++c) {
    EXPECT_EQ(static_cast<double>(e2m1_value(c)), (c < 8 ? 1 : -1) * fp4_levels()[c & 7]);
    EXPECT_EQ(e2m1_code(e2m1_value(c), false), c);
  }
}

TEST(Codes, ExponentIsTheSmallestPowerNotBelow) {
  for (std::uint32_t u = 0x00800000U; u < 0x7F800000U; u += 0x10000U) {  // every normal bf16
    for (const std::uint32_t bits : {u, u + 1, u - 1, u + 0xFFFFU}) {
      if (bits < 0x00800000U || bits >= 0x7F800000U) continue;
      const float scale = float_of(bits);
      const int e = pow2_exponent(scale);
      ASSERT_EQ(e, test::exponent_not_below(scale)) << std::hexfloat << scale;
      if (e <= 127) {
        ASSERT_GE(pow2(e), scale);
        ASSERT_EQ(ue8m0_byte(e), e + 127);
      }
    }
  }
}

TEST(Codes, PowersOfTwoAreExact) {
  for (int e = -126; e <= 127; ++e)
    EXPECT_EQ(static_cast<double>(pow2(e)), std::ldexp(1.0, e));
}

struct Block {
  float amax;
  int exponent;
  int byte;
  int code;
};

// Spec section 6, both tables.
TEST(Codes, Fp8BlocksOfTheSpec) {
  for (const Block& b : std::vector<Block>{{0.0F, -22, 105, 0x00},
                                           {1e-4F, -22, 105, 0x7D},
                                           {0.5F, -9, 118, 0x78},
                                           {1.75F, -8, 119, 0x7E},
                                           {1.7578125F, -7, 120, 0x76},
                                           {448.0F, 0, 127, 0x7E},
                                           {450.0F, 1, 128, 0x76},
                                           {1000.0F, 2, 129, 0x78}}) {
    const int e = fp8_exponent(b.amax, false);
    EXPECT_EQ(e, b.exponent) << b.amax;
    EXPECT_EQ(ue8m0_byte(e), b.byte) << b.amax;
    EXPECT_EQ(e4m3_code(b.amax * pow2(-e)), b.code) << b.amax;
  }
}

TEST(Codes, Fp4BlocksOfTheSpec) {
  for (const Block& b : std::vector<Block>{{0.0F, -126, 1, 0},
                                           {0.5F, -3, 124, 6},
                                           {0.75F, -3, 124, 7},
                                           {0.7578125F, -2, 125, 5},
                                           {6.0F, 0, 127, 7},
                                           {6.0625F, 1, 128, 5}}) {
    const int e = fp4_exponent(b.amax, kFp4Floor);
    EXPECT_EQ(e, b.exponent) << b.amax;
    EXPECT_EQ(ue8m0_byte(e), b.byte) << b.amax;
    EXPECT_EQ(e2m1_code(b.amax * pow2(-e), false), b.code) << b.amax;
  }
}

TEST(Codes, FloorsOfTheRecipes) {
  // The floor of the scale is larger than that of amax by 448: 2^-13 >= 1e-4.
  EXPECT_EQ(fp8_exponent(0.0F, true), -13);
  EXPECT_EQ(fp8_exponent(448e-4F, true), -13);
  EXPECT_EQ(fp8_exponent(448.0F, true), 0);
  EXPECT_EQ(fp8_exponent(0.0F, false), -22);
  EXPECT_EQ(fp4_exponent(0.0F, kFp8Floor), -15);  // 1e-4 / 6 <= 2^-15
  EXPECT_EQ(static_cast<double>(kFp4Floor), 6 * std::ldexp(1.0, -126));
  EXPECT_EQ(static_cast<double>(kHadamardScale),
            static_cast<double>(static_cast<float>(1 / std::sqrt(128.0))));
}

TEST(Codes, ScaledValuesFillTheFormat) {
  // Whatever the largest magnitude, its block's scale leaves it in the upper half of the format.
  test::Random random(2);
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    const float amax =
        std::fabs(to_bf16(random.normal() * pow2(static_cast<int>(random.below(60)) - 12)));
    if (amax < kFp8Floor) continue;
    const float x = amax * pow2(-fp8_exponent(amax, false));
    ASSERT_LE(x, 448.0F) << amax;
    ASSERT_GT(x, 223.9F) << amax;
    const float y = amax * pow2(-fp4_exponent(amax, kFp4Floor));
    ASSERT_LE(y, 6.0F) << amax;
    ASSERT_GT(y, 2.99F) << amax;
  }
}

}  // namespace
}  // namespace pleat::numerics
