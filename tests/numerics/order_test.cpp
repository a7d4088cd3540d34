// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "support/random.hpp"
#include "support/rounded.hpp"
#include "support/scale.hpp"

// Each order is written out again here, as docs/numerics.md has it, with other means than those of
// order.hpp (recursion, wider numbers rounded once): a change of one bit anywhere fails.
namespace pleat::numerics {
namespace {

using test::float_between;
using test::kLongIsLong;
using test::Long;
using test::rounded;

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

TEST(Order, AnchorsHoldEverySumOfAGroup) {
  test::Random random(10);
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    const float kv = std::fabs(float_between(random, -126, 120));
    const float anchor = anchor_of(kv);
    ASSERT_EQ(anchor, std::ldexp(1.5F, std::ilogb(kv) + 6)) << kv;
    // no sum of a group leaves the anchor's binade
    const Long most = 8 * Long{1.44} * static_cast<Long>(kv);
    ASSERT_LT(static_cast<Long>(anchor) + most, std::ldexp(Long{2}, std::ilogb(anchor)));
    ASSERT_GT(static_cast<Long>(anchor) - most, std::ldexp(Long{1}, std::ilogb(anchor)));
  }
  EXPECT_EQ(anchor_of(1.0F), 96.0F);
  EXPECT_EQ(anchor_of(std::nextafter(1.0F, 0.0F)), 48.0F);
  EXPECT_EQ(anchor_of(0.0F), 0x1.8p-121F);
  EXPECT_EQ(anchor_of(0x1p-130F), 0x1.8p-121F);  // below the normal floats
  EXPECT_EQ(anchor_of(std::nextafter(0x1p121F, 0.0F)), 0x1.8p126F);
}

/// A weight as weight_of_score makes them: a power of two, and up to 0.43 of it.
Weight random_weight(test::Random& random, int least) {
  const float whole = std::ldexp(1.0F, static_cast<int>(random.between(least, 0)));
  const float rest = whole * (static_cast<float>(random.unit()) * 0.7309F - 0.3008F);
  return {whole, rest, whole + rest};
}

TEST(Order, RowsOfAGroupAreAddedInTheirOrder) {
  test::Random random(11);
  for (std::int64_t n = 0; n < test::repetitions(100'000); ++n) {
    const int rows = static_cast<int>(random.between(1, 8));
    Weight w[8];
    float kv[8];
    float largest = 0;
    for (int r = 0; r < rows; ++r) {
      w[r] = random_weight(random, n % 4 == 0 ? -124 : -6);
      kv[r] = n % 3 == 0 ? float_between(random, -30, 30) : random.normal();
      largest = std::max(largest, std::fabs(kv[r]));
    }
    const float anchor = anchor_of(largest);
    const GroupScale scale = scale_of_group(17.0F);
    Folded g = empty_group(scale, anchor);
    // Written out in whole units of the anchor's grid, and long doubles rounded to floats.
    const Long unit = static_cast<Long>(std::nextafter(anchor, 2 * anchor) - anchor);
    Long value = 0;  // units
    Long value_rest = 0;
    Long weight = 0;
    Long weight_rest = 0;
    for (int r = 0; r < rows; ++r) {
      add_row(g, w[r], kv[r]);
      const Long units = static_cast<Long>(w[r].sum) * static_cast<Long>(kv[r]) / unit;
      // ties to even of the anchor and the sum, whose own units are even
      const Long to = std::nearbyint(value + units);
      const Long moved = (to - value) * unit;
      const auto first =
          static_cast<float>(static_cast<Long>(w[r].whole) * static_cast<Long>(kv[r]) - moved);
      const auto rest = static_cast<float>(static_cast<Long>(w[r].rest) * static_cast<Long>(kv[r]) +
                                           static_cast<Long>(first));
      value = to;
      value_rest = static_cast<Long>(static_cast<float>(value_rest + static_cast<Long>(rest)));
      weight = static_cast<Long>(static_cast<float>(weight + static_cast<Long>(w[r].whole)));
      weight_rest =
          static_cast<Long>(static_cast<float>(weight_rest + static_cast<Long>(w[r].rest)));
    }
    if (kLongIsLong) {
      ASSERT_EQ(g.value, static_cast<float>(value * unit + static_cast<Long>(anchor)));
    }
    close_group(g, anchor);
    if (kLongIsLong) {
      ASSERT_EQ(g.value, static_cast<float>(value * unit));
      ASSERT_EQ(bits_of(g.value_rest), bits_of(static_cast<float>(value_rest))) << n;
    }
    ASSERT_EQ(bits_of(g.weight), bits_of(static_cast<float>(weight)));
    ASSERT_EQ(bits_of(g.weight_rest), bits_of(static_cast<float>(weight_rest)));
    ASSERT_EQ(g.magic, scale.magic);
  }
}

// The point of the anchor: what is left when the values of a group cancel is still right.
TEST(Order, ValuesOfAGroupLoseNextToNothing) {
  test::Random random(12);
  Long worst = 0;
  for (std::int64_t n = 0; n < test::repetitions(300'000); ++n) {
    Weight w[8];
    float kv[8];
    float largest = 0;
    const auto exponent = static_cast<int>(random.between(-80, 120));
    for (int r = 0; r < 8; ++r) {
      w[r] = random_weight(random, n % 4 == 0 ? -124 : n % 4 == 1 ? -20 : -2);
      kv[r] = n % 3 == 0 ? float_between(random, -30, 0) : random.normal() / 8;
      if (std::fabs(kv[r]) >= 1) kv[r] = 0.5F;
      if (n % 5 == 0 && r % 2 == 1) {  // cancels
        w[r] = w[r - 1];
        kv[r] = -kv[r - 1] * (1 + 0x1p-23F * static_cast<float>(random.below(3)));
      } else {
        kv[r] = std::ldexp(kv[r], exponent);
      }
      largest = std::max(largest, std::fabs(kv[r]));
    }
    const float anchor = anchor_of(largest);
    Folded g = empty_group({kRoundMagic, 0.0F}, anchor);
    Long exact = 0;
    for (int r = 0; r < 8; ++r) {
      const float before = g.value;
      add_row(g, w[r], kv[r]);
      const float moved = g.value - before;  // exact
      ASSERT_EQ(static_cast<double>(moved),
                static_cast<double>(g.value) - static_cast<double>(before));
      exact += static_cast<Long>(w[r].whole) * static_cast<Long>(kv[r]) +
               static_cast<Long>(w[r].rest) * static_cast<Long>(kv[r]);
    }
    const float with = g.value;
    close_group(g, anchor);
    ASSERT_EQ(static_cast<double>(g.value),
              static_cast<double>(with) - static_cast<double>(anchor));
    const Long got = static_cast<Long>(g.value) + static_cast<Long>(g.value_rest);
    if (!kLongIsLong) continue;
    ASSERT_LE(std::fabs(got - exact), Long{0x1p-37} * static_cast<Long>(largest)) << n;
    worst = std::max(worst, std::fabs(got - exact) / static_cast<Long>(largest));
  }
  std::printf("a group's value is off by at most 2^%.2Lf of its largest |kv|\n", std::log2(worst));
}

TEST(Order, TwoSumsLoseNothing) {
  test::Random random(13);
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    const float a = float_between(random, -12, 12);
    const float b = n % 16 == 0 ? -a : float_between(random, -12, 12);
    const Pair p = two_sum(a, b);
    const double sum = static_cast<double>(a) + static_cast<double>(b);
    ASSERT_EQ(bits_of(p.high), bits_of(rounded(sum)));
    ASSERT_EQ(static_cast<double>(p.high) + static_cast<double>(p.low), sum);
  }
  EXPECT_EQ(two_sum(1e30F, 1e-30F).low, 1e-30F);
  EXPECT_EQ(two_sum(1e-30F, 1e30F).low, 1e-30F);
}

TEST(Order, PairsKeep48BitsOfADouble) {
  test::Random random(14);
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    const double x = (1 + random.unit()) * std::ldexp(n % 2 == 0 ? 1 : -1, random.below(60) - 30);
    const Pair p = pair_of(x);
    ASSERT_EQ(bits_of(p.high), bits_of(rounded(x)));
    ASSERT_EQ(bits_of(p.low), bits_of(rounded(x - static_cast<double>(p.high))));
    ASSERT_LE(std::fabs(static_cast<double>(p.high) + static_cast<double>(p.low) - x),
              0x1p-49 * std::fabs(x));
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

TEST(Order, GroupsAreJoinedInDouble) {
  test::Random random(15);
  for (std::int64_t n = 0; n < test::repetitions(200'000); ++n) {
    const float top = kRoundMagic - static_cast<float>(random.between(-1000, 1000));
    const auto apart = static_cast<int>(random.below(n % 2 == 0 ? 4 : 60));
    Folded g{top + static_cast<float>(apart), 0, 0, 0, 0};
    g.weight = 1 + 8 * static_cast<float>(random.unit());
    g.weight_rest = random.normal();
    g.value = random.normal() * 8;
    g.value_rest = random.normal() * 0x1p-16F;
    const Joined j = at_scale_of(g, top);
    const float weight =
        rounded(static_cast<double>(g.weight) + static_cast<double>(g.weight_rest));
    ASSERT_EQ(j.weight, std::ldexp(static_cast<double>(weight), -apart));
    ASSERT_EQ(j.value,
              std::ldexp(static_cast<double>(g.value) + static_cast<double>(g.value_rest), -apart));
  }
  // beyond 2^-126 all are as far
  const Folded far{kRoundMagic + 500, 4.0F, 0.0F, 8.0F, 0.0F};
  EXPECT_EQ(at_scale_of(far, kRoundMagic).weight, 0x1p-124);
  EXPECT_EQ(at_scale_of(far, kRoundMagic).value, 0x1p-123);
}

}  // namespace
}  // namespace pleat::numerics
