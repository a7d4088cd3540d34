// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/order.hpp"

#include <gtest/gtest.h>

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

TEST(Order, RowsOfAGroupAreAddedByFma) {
  Folded g{2.0F, 0.0F, 0.0F};
  add_row(g, 2.0F, 3.0F);
  EXPECT_EQ(g.weight, 1.0F);
  EXPECT_EQ(g.value, 3.0F);
  const float e = exp_nonpositive(-0.7F - 2.0F);
  add_row(g, -0.7F, 1.1F);
  EXPECT_EQ(g.weight, 1.0F + e);
  EXPECT_EQ(g.value, std::fma(e, 1.1F, 3.0F));
  EXPECT_EQ(g.max, 2.0F);
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
