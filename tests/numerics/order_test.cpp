// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "support/random.hpp"
#include "support/rounded.hpp"
#include "support/scale.hpp"

// Each order is written out again here, as docs/numerics.md has it, with other means than those of
// order.hpp (recursion, wider numbers rounded once): a change of one bit anywhere fails.
namespace pleat::numerics {
namespace {

using test::float_between;
using test::kQuadIsQuad;
using test::Quad;
using test::rounded;

/// 2^512 is as far as a scale is brought up.
double brought(double x, std::int32_t n, std::int32_t top) {
  return std::ldexp(x, std::max(n - top, -512));
}

/// Rows of none are left out, not added as 0.
Folded neighbours(const std::vector<Folded>& s) {
  if (s.size() == 1) return s[0];
  const auto middle = s.begin() + static_cast<std::ptrdiff_t>(s.size() / 2);
  const Folded a = neighbours({s.begin(), middle});
  const Folded b = neighbours({middle, s.end()});
  if (a.n == kNoRows) return b;
  if (b.n == kNoRows) return a;
  const std::int32_t top = std::max(a.n, b.n);
  return {brought(a.weight, a.n, top) + brought(b.weight, b.n, top),
          brought(a.value, a.n, top) + brought(b.value, b.n, top), top};
}

void expect_same(const Folded& got, const Folded& want) {
  ASSERT_EQ(got.weight, want.weight);
  ASSERT_EQ(got.value, want.value);
  ASSERT_EQ(got.n, want.n);
}

double halves(const std::vector<double>& x) {
  if (x.size() == 1) return x[0];
  std::vector<double> even;
  std::vector<double> odd;
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

/// A weight as they are: most often of a plain group's size.
double random_weight(test::Random& random, int low, int high) {
  return (1 + random.unit()) * std::ldexp(1.0, static_cast<int>(random.between(low, high)));
}

TEST(Order, NeighboursFirst) {
  // (1e17 + -1e17) + (1 + 1), not 1e17 + (-1e17 + 1) + 1
  Folded x[4] = {{1, 1e17, 0}, {1, -1e17, 0}, {1, 1.0, 0}, {1, 1.0, 0}};
  expect_same(join_neighbours(x, 4), {4, 2.0, 0});
  Folded y[4] = {{1, 1e17, 0}, {1, 1.0, 0}, {1, -1e17, 0}, {1, 1.0, 0}};
  expect_same(join_neighbours(y, 4), {4, 0.0, 0});
  test::Random random(1);
  for (std::size_t count = 1; count <= 128; count *= 2) {
    for (std::int64_t i = 0; i < test::repetitions(400); ++i) {
      const std::int64_t spread[] = {0, 3, 700, 1'512'775};
      std::vector<Folded> s(count);
      for (Folded& f : s) {
        if (i % 3 == 0 && random.chance(0.4)) continue;  // without rows
        const auto n = static_cast<std::int32_t>(random.between(-spread[i % 4], spread[i % 4]));
        f = {random_weight(random, -4, 4), static_cast<double>(random.normal()), n};
      }
      const Folded want = neighbours(s);
      SCOPED_TRACE(count);
      expect_same(join_neighbours(s.data(), static_cast<int>(count)), want);
    }
  }
}

TEST(Order, HalvesFirst) {
  double x[4] = {1e17, 1.0, -1e17, 1.0};
  EXPECT_EQ(sum_halves(x, 4), 2.0);
  double y[4] = {1e17, -1e17, 1.0, 1.0};
  EXPECT_EQ(sum_halves(y, 4), 0.0);
  test::Random random(2);
  for (std::size_t n = 1; n <= 256; n *= 2) {
    const std::vector<float> drawn = random_floats(random, n);
    std::vector<double> v(drawn.begin(), drawn.end());
    const double want = halves(v);
    EXPECT_EQ(sum_halves(v.data(), static_cast<int>(n)), want) << n;
  }
}

TEST(Order, SumOfSquaresByTiles) {
  if (!kQuadIsQuad) GTEST_SKIP() << "needs floats of 113 bits";
  test::Random random(3);
  int others = 0;  // that one sum after the other would be
  for (std::int64_t i = 0; i < test::repetitions(200); ++i) {
    for (const std::size_t dim : {64U, 128U, 256U, 512U, 4096U}) {
      const std::vector<float> row = random_floats(random, dim);
      std::vector<double> tiles;
      double in_turn = 0;
      for (std::size_t t = 0; t < dim; t += 64) {
        std::vector<double> pairs;
        for (std::size_t c = t; c < t + 64; c += 2) {
          const Quad a = row[c];
          const Quad b = row[c + 1];
          pairs.push_back(static_cast<double>(a * a + b * b));
          in_turn += pairs.back();
        }
        tiles.push_back(halves(pairs));
      }
      const double got = sum_of_squares(row.data(), static_cast<int>(dim));
      ASSERT_EQ(got, halves(tiles));
      others += in_turn != got ? 1 : 0;
    }
  }
  EXPECT_GT(others, 0);
}

// Each sum is worked out in numbers that hold all of it, and rounded once.
TEST(Order, RowsOfASpanAreAddedInTheirOrder) {
  if (!kQuadIsQuad) GTEST_SKIP() << "needs floats of 113 bits";
  test::Random random(11);
  std::int64_t others = 0;
  for (std::int64_t n = 0; n < test::repetitions(200'000); ++n) {
    const int rows = static_cast<int>(random.between(1, kSpanRows));
    double w[kSpanRows];
    float kv[kSpanRows];
    for (int r = 0; r < rows; ++r) {
      w[r] = random_weight(random, -8, 8);
      kv[r] = n % 3 == 0 ? float_between(random, -8, 8) : random.normal();
    }
    Folded g;
    double weight = 0;
    double value = 0;
    double rounded_first = 0;  // what it would be with products that are rounded
    for (int r = 0; r < rows; ++r) {
      add_row(g, w[r], kv[r]);
      weight = static_cast<double>(static_cast<Quad>(weight) + static_cast<Quad>(w[r]));
      value = static_cast<double>(static_cast<Quad>(w[r]) * static_cast<Quad>(kv[r]) +
                                  static_cast<Quad>(value));
      const double product = w[r] * static_cast<double>(kv[r]);
      rounded_first = rounded_first + product;
    }
    ASSERT_EQ(g.weight, weight) << n;
    ASSERT_EQ(g.value, value) << n;
    others += rounded_first != value ? 1 : 0;
  }
  EXPECT_GT(others, test::repetitions(200'000) / 100);  // or this test could not tell
}

// The point of doubles: what is left when the values of a span cancel is still right.
TEST(Order, ValuesOfASpanLoseNextToNothing) {
  if (!kQuadIsQuad) GTEST_SKIP() << "needs floats of 113 bits";
  test::Random random(12);
  double worst = 0;
  for (std::int64_t n = 0; n < test::repetitions(300'000); ++n) {
    const auto exponent = static_cast<int>(random.between(-149, 126));
    double w[kSpanRows];
    float kv[kSpanRows];
    double largest = 0;  // of the terms
    Folded g;
    Quad value = 0;
    for (int r = 0; r < kSpanRows; ++r) {
      w[r] = random_weight(random, n % 4 == 0 ? -93 : -2, n % 4 == 1 ? 92 : 2);
      kv[r] = std::ldexp(random.normal() / 8, exponent);
      if (n % 5 == 0 && r % 2 == 1) {  // cancels
        w[r] = w[r - 1] * (1 + 0x1p-40 * static_cast<double>(random.below(3)));
        kv[r] = -kv[r - 1];
      }
      add_row(g, w[r], kv[r]);
      value += static_cast<Quad>(w[r]) * static_cast<Quad>(kv[r]);
      largest = std::max(largest, std::fabs(w[r] * static_cast<double>(kv[r])));
    }
    if (largest == 0) continue;
    const auto off = static_cast<double>(static_cast<Quad>(g.value) - value);
    worst = std::max(worst, std::fabs(off) / largest);
  }
  std::printf("a span's value is off by at most 2^%.2f of its largest term\n", std::log2(worst));
  EXPECT_LE(worst, 0x1.6p-49);
  EXPECT_GT(worst, 0);
}

TEST(Order, PlainScoresAreTheirOwnDoubles) {
  for (const float score : {0.0F, -0.7F, 1e-40F, 3e38F}) {
    const Score s = plain_score(score);
    EXPECT_EQ(bits_of(s.value), bits_of(score));
    EXPECT_EQ(s.exact, static_cast<double>(score));
  }
}

TEST(Order, LateSumsLoseNothing) {
  test::Random random(8);
  std::int64_t inexact = 0;
  for (std::int64_t n = 0; n < test::repetitions(2'000'000); ++n) {
    const float score = float_between(random, -12, 12);
    const float ape = float_between(random, -12, 12);
    const Score s = late_sum(score, ape);
    ASSERT_EQ(bits_of(s.value), bits_of(score + ape));
    // 24 bits each, exponents 24 apart at most: exact in double
    const Quad sum = static_cast<Quad>(score) + static_cast<Quad>(ape);
    ASSERT_TRUE(static_cast<Quad>(s.exact) == sum) << score << " + " << ape;
    ASSERT_EQ(bits_of(s.value), bits_of(rounded(s.exact)));
    inexact += static_cast<double>(s.value) != s.exact ? 1 : 0;
  }
  EXPECT_GT(inexact, test::repetitions(2'000'000) / 4);
  // beyond what floats hold
  EXPECT_EQ(late_sum(3e38F, 3e38F).value, std::numeric_limits<float>::infinity());
  EXPECT_EQ(late_sum(3e38F, 3e38F).exact, 2 * static_cast<double>(3e38F));
  EXPECT_EQ(late_sum(0.7F, -0.7F).exact, 0.0);
}

TEST(Order, TheLesserScaleComesToTheLargerExactly) {
  test::Random random(9);
  for (std::int64_t i = 0; i < test::repetitions(200'000); ++i) {
    const auto top = static_cast<std::int32_t>(random.between(-1'600'000, 1'600'000));
    const auto apart = static_cast<std::int32_t>(random.below(i % 2 == 0 ? 600 : 3'000'000));
    const int k = std::max(-apart, -512);
    const double factor = scale_factor(top - apart, top);
    ASSERT_EQ(factor, std::ldexp(1.0, k)) << top << ", " << apart;
    // so products with it are exact: of the least weights and kv too
    const double weight = random_weight(random, -185, 100);
    ASSERT_EQ(factor * weight, std::ldexp(weight, k));
    const double value = weight * 0x1p-149;
    ASSERT_EQ(std::ldexp(factor * value, -k), value);
  }
  EXPECT_EQ(scale_factor(0, 0), 1.0);
  EXPECT_EQ(scale_factor(-511, 0), 0x1p-511);
  EXPECT_EQ(scale_factor(-512, 0), 0x1p-512);
  EXPECT_EQ(scale_factor(-513, 0), 0x1p-512);
  const std::int32_t least = exponent_of(scale_of_group(-kScoreLimit));
  const std::int32_t most = exponent_of(scale_of_group(kScoreLimit));
  EXPECT_EQ(scale_factor(least, most), 0x1p-512);
}

TEST(Order, JoinsAtTheLargerScale) {
  test::Random random(10);
  for (std::int64_t i = 0; i < test::repetitions(200'000); ++i) {
    const std::int64_t reach = i % 2 == 0 ? 60 : 1'512'775;
    Folded f[2];
    for (Folded& g : f) {
      g = {random_weight(random, -8, 8), static_cast<double>(random.normal()),
           static_cast<std::int32_t>(random.between(-reach, reach))};
    }
    expect_same(joined(f[0], f[1]), neighbours({f[0], f[1]}));
    expect_same(joined(f[1], f[0]), joined(f[0], f[1]));
  }
  // 1 at 2^0 and 3 at 2^10
  expect_same(joined({1, -1, 0}, {3, 6, 10}), {3 + 0x1p-10, 6 - 0x1p-10, 10});
}

TEST(Order, WhatHasNoRowsChangesNothing) {
  const std::int32_t least = exponent_of(scale_of_group(-kScoreLimit));
  const std::int32_t most = exponent_of(scale_of_group(kScoreLimit));
  EXPECT_LT(kNoRows, least - 512);
  EXPECT_EQ(Folded{}.n, kNoRows);
  for (const std::int32_t n : {least, -1, 0, 1, most}) {
    const Folded f{0x1.23456789abcdep-90, -0x1.fedcba987654p100, n};
    expect_same(joined(f, {}), f);
    expect_same(joined({}, f), f);
  }
  expect_same(joined({}, {}), {});
}

}  // namespace
}  // namespace pleat::numerics
