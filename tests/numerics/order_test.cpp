// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/random.hpp"
#include "support/scale.hpp"

// Each order is written out again here, as docs/numerics.md has it, with other means than the loops
// of order.hpp (recursion, float64 rounded once): a change of one bit anywhere fails.
namespace pleat::numerics {
namespace {

/// One rounding of an exact float64 sum, product or fma of floats that are near each other.
float rounded(double x) {
  return static_cast<float>(x);
}

float neighbours(const std::vector<float>& x) {
  if (x.size() == 1) return x[0];
  const auto middle = x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2);
  return neighbours({x.begin(), middle}) + neighbours({middle, x.end()});
}

float halves(const std::vector<float>& x) {
  if (x.size() == 1) return x[0];
  std::vector<float> even;
  std::vector<float> odd;
  for (std::size_t i = 0; i < x.size(); ++i)
    (i % 2 == 0 ? even : odd).push_back(x[i]);
  return halves(even) + halves(odd);
}

std::vector<float> random_floats(test::Random& random, std::size_t n) {
  std::vector<float> x(n);
  for (float& v : x)
    v = random.normal() * static_cast<float>(std::ldexp(1.0, random.below(9) - 4));
  return x;
}

TEST(Order, NeighboursFirst) {
  // (1e8 + -1e8) + (1 + 1), not 1e8 + (-1e8 + 1) + 1
  float x[4] = {1e8F, -1e8F, 1.0F, 1.0F};
  EXPECT_EQ(sum_neighbours(x, 4), 2.0F);
  float y[4] = {1e8F, 1.0F, -1e8F, 1.0F};
  EXPECT_EQ(sum_neighbours(y, 4), 0.0F);
  test::Random random(1);
  for (std::size_t n = 1; n <= 256; n *= 2) {
    std::vector<float> v = random_floats(random, n);
    const float want = neighbours(v);
    EXPECT_EQ(bits_of(sum_neighbours(v.data(), static_cast<int>(n))), bits_of(want)) << n;
  }
}

TEST(Order, HalvesFirst) {
  float x[4] = {1e8F, 1.0F, -1e8F, 1.0F};
  EXPECT_EQ(sum_halves(x, 4), 2.0F);
  float y[4] = {1e8F, -1e8F, 1.0F, 1.0F};
  EXPECT_EQ(sum_halves(y, 4), 0.0F);
  test::Random random(2);
  for (std::size_t n = 1; n <= 256; n *= 2) {
    std::vector<float> v = random_floats(random, n);
    const float want = halves(v);
    EXPECT_EQ(bits_of(sum_halves(v.data(), static_cast<int>(n))), bits_of(want)) << n;
  }
}

TEST(Order, SumOfSquaresByTiles) {
  test::Random random(3);
  for (const std::size_t dim : {64U, 128U, 256U, 512U, 4096U}) {
    const std::vector<float> row = random_floats(random, dim);
    std::vector<float> tiles;
    for (std::size_t t = 0; t < dim; t += 64) {
      std::vector<float> squares;
      for (std::size_t i = t; i < t + 64; ++i) {
        squares.push_back(rounded(static_cast<double>(row[i]) * static_cast<double>(row[i])));
      }
      tiles.push_back(halves(squares));
    }
    EXPECT_EQ(bits_of(sum_of_squares(row.data(), static_cast<int>(dim))), bits_of(halves(tiles)));
  }
}

TEST(Order, NeighboursOfDoublesToo) {
  double x[4] = {1e17, -1e17, 1.0, 1.0};
  EXPECT_EQ(sum_neighbours(x, 4), 2.0);
  double y[4] = {1e17, 1.0, -1e17, 1.0};
  EXPECT_EQ(sum_neighbours(y, 4), 0.0);
}

TEST(Order, RowsOfAGroupAreAddedInTheirOrder) {
  Folded g{kRoundMagic - 3, 0.0F, 0.0};
  add_row(g, 1.25F, 3.0F);
  EXPECT_EQ(g.weight, 1.25F);
  EXPECT_EQ(g.value, 3.75);
  const float weight = 0x1.000002p-25F;  // added to 1.25 it is rounded away
  add_row(g, weight, 1.1F);
  EXPECT_EQ(g.weight, 1.25F);
  EXPECT_EQ(g.value, 3.75 + static_cast<double>(weight) * static_cast<double>(1.1F));
  EXPECT_EQ(g.magic, kRoundMagic - 3);
  // What is left when large values cancel is exact; in float it would be 0.
  Folded c{kRoundMagic, 0.0F, 0.0};
  add_row(c, 1.0F, 1e8F);
  add_row(c, 0x1.000002p-1F, 0x1.000002p-3F);
  add_row(c, 1.0F, -1e8F);
  EXPECT_NEAR(c.value, 0.0625, 2e-8);
  EXPECT_NE(c.value, 0.0625);
}

// The product of two floats is exact in double: fused or not, every compiler and machine agrees.
TEST(Order, ProductsInDoubleAreExact) {
  test::Random random(7);
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    const float weight = std::fabs(random.normal()) * std::ldexp(1.0F, -random.below(100));
    const float kv = random.normal() * std::ldexp(1.0F, static_cast<int>(random.between(-40, 40)));
    const double before = static_cast<double>(random.normal());
    Folded g{kRoundMagic, 0.0F, before};
    add_row(g, weight, kv);
    ASSERT_EQ(g.value, std::fma(static_cast<double>(weight), static_cast<double>(kv), before));
  }
}

TEST(Order, LateSumsLoseNothing) {
  test::Random random(8);
  std::int64_t inexact = 0;
  for (std::int64_t n = 0; n < test::repetitions(2'000'000); ++n) {
    const float score =
        random.normal() * std::ldexp(1.0F, static_cast<int>(random.between(-12, 12)));
    const float ape = random.normal() * std::ldexp(1.0F, static_cast<int>(random.between(-12, 12)));
    // 24 bits each, exponents 24 apart at most: exact in double
    if (std::fabs(std::log2(std::fabs(score)) - std::log2(std::fabs(ape))) > 24) continue;
    const Score s = late_sum(score, ape);
    ASSERT_EQ(s.value, score + ape);
    ASSERT_EQ(static_cast<double>(s.value) + static_cast<double>(s.low),
              static_cast<double>(score) + static_cast<double>(ape))
        << score << " + " << ape;
    inexact += s.low != 0 ? 1 : 0;
  }
  EXPECT_GT(inexact, 0);
  // either may be the larger, by far
  EXPECT_EQ(late_sum(1e10F, 1e-10F).low, 1e-10F);
  EXPECT_EQ(late_sum(1e-10F, 1e10F).low, 1e-10F);
  EXPECT_EQ(late_sum(0.5F, 0.0F).low, 0.0F);
  EXPECT_EQ(late_sum(0.7F, -0.7F).value, 0.0F);
  EXPECT_EQ(late_sum(0.7F, -0.7F).low, 0.0F);
}

TEST(Order, GroupsComeToOneScaleExactly) {
  test::Random random(9);
  for (std::int64_t i = 0; i < test::repetitions(200'000); ++i) {
    const float max = random.normal() * 3000;
    const float top = max + static_cast<float>(random.unit() * 88);
    const float magic = scale_of_group(max).magic;
    const float top_magic = scale_of_group(top).magic;
    const int apart = static_cast<int>(top_magic - magic);
    ASSERT_LE(apart, 0);
    const float factor = group_factor(magic, top_magic);
    ASSERT_EQ(bits_of(factor), bits_of(std::ldexp(1.0F, std::max(apart, -126))));
    const float weight = 1 + 7 * static_cast<float>(random.unit());
    ASSERT_EQ(static_cast<double>(factor * weight),
              std::ldexp(static_cast<double>(weight), std::max(apart, -126)));
  }
  const float far = scale_of_group(-kScoreLimit).magic;
  EXPECT_EQ(group_factor(far, scale_of_group(kScoreLimit).magic), 0x1p-126F);
  EXPECT_EQ(group_factor(far, far), 1.0F);
}

TEST(Order, PooledIsTheRoundedValueOverTheWeight) {
  const double value = 1.0 + 0x1p-24 + 0x1p-50;  // rounds up, to 1 + 2^-23
  EXPECT_EQ(pooled_of(value, 3.0F), (1.0F + 0x1p-23F) / 3.0F);
  EXPECT_EQ(pooled_of(1.0 + 0x1p-24, 1.0F), 1.0F);  // tie: even
}

TEST(Order, RmsScaleRoundsEachStep) {
  test::Random random(4);
  for (std::int64_t n = 0; n < test::repetitions(100'000); ++n) {
    const float squares = std::fabs(random.normal()) * 1e3F;
    const float mean = rounded(static_cast<double>(squares) / 512);
    const float sum = rounded(static_cast<double>(mean) + static_cast<double>(1e-6F));
    const float root = rounded(std::sqrt(static_cast<double>(sum)));  // 53 bits: innocuous twice
    const float want = rounded(1.0 / static_cast<double>(root));
    ASSERT_EQ(bits_of(rms_scale(squares, 512, 1e-6F)), bits_of(want)) << squares;
  }
  EXPECT_EQ(rms_scale(0.0F, 512, 1e-6F), rounded(1 / static_cast<double>(std::sqrt(1e-6F))));
}

TEST(Order, RopeRoundsOneProductAndFusesTheOther) {
  test::Random random(5);
  for (std::int64_t n = 0; n < test::repetitions(100'000); ++n) {
    const float a = random.normal();
    const float b = random.normal();
    const float c = random.normal();
    const float s = random.normal();
    const float bs = rounded(static_cast<double>(b) * static_cast<double>(s));
    const float bc = rounded(static_cast<double>(b) * static_cast<double>(c));
    ASSERT_EQ(bits_of(rope_even(a, b, c, s)), bits_of(std::fma(a, c, -bs)));
    ASSERT_EQ(bits_of(rope_odd(a, b, c, s)), bits_of(std::fma(a, s, bc)));
  }
  // A quarter turn: (1, 0) becomes (0, 1).
  EXPECT_EQ(rope_even(1.0F, 0.0F, 0.0F, 1.0F), 0.0F);
  EXPECT_EQ(rope_odd(1.0F, 0.0F, 0.0F, 1.0F), 1.0F);
}

TEST(Order, DividesAndRootsAreCorrectlyRounded) {
  test::Random random(6);
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    const float a = random.normal() * 1e3F;
    const float b = random.normal();
    ASSERT_EQ(bits_of(quotient(a, b)),
              bits_of(rounded(static_cast<double>(a) / static_cast<double>(b))));
    ASSERT_EQ(bits_of(root(std::fabs(a))),
              bits_of(rounded(std::sqrt(static_cast<double>(std::fabs(a))))));
  }
}

}  // namespace
}  // namespace pleat::numerics
