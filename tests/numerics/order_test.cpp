// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "numerics/rounding.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

// Each order is written out again here, as docs/numerics.md has it, with other means than those of
// order.hpp (recursion, wider numbers rounded once): a change of one bit anywhere fails.
namespace pleat::numerics {
namespace {

/// One rounding of an exact float64 sum, product or fma of floats that are near each other.
float rounded(double x) {
  return static_cast<float>(x);
}

using Long = long double;
// What is worked out in it is exact only with 64 bits or more.
constexpr bool kLongIsLong = LDBL_MANT_DIG >= 64;

/// A float of any exponent in [low, high], either sign.
float float_between(test::Random& random, int low, int high) {
  const float x = std::ldexp(1.0F + static_cast<float>(random.unit()),
                             static_cast<int>(random.between(low, high)));
  return random.chance(0.5) ? x : -x;
}

/// The float on the side of zero of `x`, which is no float itself, and the next away from it.
struct Around {
  float toward;
  float away;
};
Around around(Long x) {
  const auto nearest = static_cast<float>(x);
  const float inf = std::numeric_limits<float>::infinity();
  if (std::fabs(static_cast<Long>(nearest)) < std::fabs(x)) {
    return {nearest, std::nextafter(nearest, x > 0 ? inf : -inf)};
  }
  return {std::nextafter(nearest, 0.0F), nearest};
}

/// Rounding to odd as it is defined: a number that is no float gives its neighbour that is odd.
float odd_of(Long x) {
  if (static_cast<Long>(static_cast<float>(x)) == x) return static_cast<float>(x);
  const Around a = around(x);
  return (bits_of(a.toward) & 1U) != 0 ? a.toward : a.away;
}

/// Nearest bf16 of a number, ties to even, at once.
float bf16_of(Long x) {
  int exponent = 0;
  const Long mantissa = std::frexp(x, &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8));
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

/// Draws a value and a weight as pairs; of every third the parts overlap, as a group's do.
struct Quotient {
  Pair value;
  Pair weight;
};
Quotient random_quotient(test::Random& random, std::int64_t n) {
  const int shift = n % 3 == 0 ? 16 : 24;
  Quotient q{};
  q.value.high = float_between(random, -20, 4);
  q.value.low = random.normal() * std::ldexp(q.value.high, -shift - 1);
  q.weight.high = 1 + 7 * static_cast<float>(random.unit());
  q.weight.low = n % 3 == 0 ? 0.3F * random.normal() : random.normal() * 0x1p-25F;
  if (n % 5 == 0) q.weight = {static_cast<float>(std::ldexp(1.0, random.below(8))), 0.0F};
  if (n % 7 == 0) q.value.low = 0;
  return q;
}
Long sum_of(const Pair& p) {
  return static_cast<Long>(p.high) + static_cast<Long>(p.low);
}

TEST(Order, PooledIsRoundedOnce) {
  if (!kLongIsLong) GTEST_SKIP() << "needs a long double of 64 bits";
  test::Random random(16);
  std::int64_t exact = 0;
  for (std::int64_t n = 0; n < test::repetitions(2'000'000); ++n) {
    const auto [value, weight] = random_quotient(random, n);
    const Long want = sum_of(value) / sum_of(weight);
    const float got = pooled_of(value, weight, false);
    const float odd = pooled_of(value, weight, true);
    const Around a = around(want);
    const Long unit = static_cast<Long>(a.away) - static_cast<Long>(a.toward);
    if (static_cast<Long>(static_cast<float>(want)) == want) {
      ASSERT_EQ(bits_of(got), bits_of(static_cast<float>(want)));
      ASSERT_EQ(bits_of(odd), bits_of(static_cast<float>(want)));
      ++exact;
      continue;
    }
    // The quotient is good to 2^-20 of a unit; a tie or a float so near may go either way.
    const Long off = (static_cast<Long>(got) - want) / unit;
    ASSERT_LE(std::fabs(off), Long{0.5} + Long{0x1p-20}) << n;
    const Long to_float = std::min(std::fabs(static_cast<Long>(a.toward) - want),
                                   std::fabs(static_cast<Long>(a.away) - want));
    if (std::fabs(to_float / unit) > Long{0x1p-20}) {
      ASSERT_EQ(bits_of(odd), bits_of(odd_of(want))) << n;
      ASSERT_EQ(to_bf16(odd), bf16_of(want)) << n;
    }
  }
  EXPECT_GT(exact, 1000);
}

TEST(Order, PooledStepByStep) {
  if (!kLongIsLong) GTEST_SKIP() << "needs a long double of 64 bits";
  test::Random random(17);
  const auto once = [](Long x) { return static_cast<Long>(static_cast<float>(x)); };
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    const auto [value, weight] = random_quotient(random, n);
    const Long v = once(sum_of(value));
    const Long v_low = sum_of(value) - v;
    const Long w = once(sum_of(weight));
    const Long w_low = sum_of(weight) - w;
    const Long inverse = once(1 / w);
    const Long first = once(v * inverse);
    const Long left = once(once(once(v - first * w) + v_low) - first * w_low);
    const Long pooled = first + once(left * inverse);
    ASSERT_EQ(bits_of(pooled_of(value, weight, false)), bits_of(static_cast<float>(pooled))) << n;
    ASSERT_EQ(bits_of(pooled_of(value, weight, true)), bits_of(odd_of(pooled))) << n;
  }
}

TEST(Order, RoundsToOdd) {
  test::Random random(18);
  for (std::int64_t n = 0; n < test::repetitions(2'000'000); ++n) {
    const float high = float_between(random, -100, 100);
    // at most half a unit of the last place: what rounding to nearest leaves
    const float unit = std::fabs(std::nextafter(high, 0.0F) - high);
    const float low = n % 8 == 0 ? 0.0F : unit * (static_cast<float>(random.unit()) - 0.5F);
    const double exact = static_cast<double>(high) + static_cast<double>(low);
    if (rounded(exact) != high) continue;
    ASSERT_EQ(bits_of(to_odd(high, low)), bits_of(odd_of(static_cast<Long>(exact)))) << n;
    ASSERT_EQ(bits_of(odd_float(exact)), bits_of(odd_of(static_cast<Long>(exact)))) << n;
    // and so rounding again is rounding once
    ASSERT_EQ(to_bf16(to_odd(high, low)), bf16_of(static_cast<Long>(exact))) << n;
  }
  const float next = 1 + FLT_EPSILON;
  EXPECT_EQ(to_odd(1.0F, 1e-30F), next);
  EXPECT_EQ(to_odd(1.0F, -1e-30F), std::nextafter(1.0F, 0.0F));
  EXPECT_EQ(to_odd(-1.0F, 1e-30F), std::nextafter(-1.0F, 0.0F));
  EXPECT_EQ(to_odd(-1.0F, -1e-30F), -next);
  EXPECT_EQ(to_odd(next, 1e-30F), next);
  EXPECT_EQ(to_odd(next, -1e-30F), next);
  EXPECT_EQ(bits_of(to_odd(-0.0F, 0.0F)), 0x80000000U);
}

TEST(Order, DoublesRoundToOdd) {
  test::Random random(19);
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    double x = (1 + random.unit()) * std::ldexp(n % 2 == 0 ? 1 : -1, random.below(200) - 100);
    if (n % 4 == 0) x = static_cast<double>(rounded(x));
    ASSERT_EQ(bits_of(odd_float(x)), bits_of(odd_of(static_cast<Long>(x)))) << x;
    ASSERT_EQ(to_bf16(odd_float(x)), bf16_of(static_cast<Long>(x))) << x;
  }
  // a float and then a bf16 would round up twice: 1 + 2^-8 is a tie of bf16
  const double below = 1 + 0x1p-8 - 0x1p-40;
  EXPECT_EQ(to_bf16(rounded(1 + 0x1p-7 + below - 1)), 1 + 0x1p-6F);
  EXPECT_EQ(to_bf16(odd_float(1 + 0x1p-7 + below - 1)), 1 + 0x1p-7F);
  EXPECT_EQ(odd_float(0.0), 0.0F);
  EXPECT_EQ(odd_float(1e-60), 0.0F);
  EXPECT_EQ(odd_float(1e60), FLT_MAX);
}

TEST(Order, MeanSquareAndItsScales) {
  test::Random random(4);
  double worst = 0;
  for (std::int64_t n = 0; n < test::repetitions(300'000); ++n) {
    const float squares = std::fabs(random.normal()) * std::ldexp(1.0F, random.below(60) - 30);
    const int log_dim = static_cast<int>(random.between(1, 12));
    const float eps = n % 4 == 0 ? 1.0F : 1e-6F;
    const double mean = mean_square(squares, 1 << log_dim, eps);
    // a product of a power of two, and one rounding
    ASSERT_EQ(mean, static_cast<double>(std::ldexp(static_cast<Long>(squares), -log_dim) +
                                        static_cast<Long>(eps)));
    const float root = rounded(std::sqrt(static_cast<double>(rounded(mean))));
    const float scale = rounded(1.0 / static_cast<double>(root));
    ASSERT_EQ(bits_of(rms_scale(mean)), bits_of(scale)) << squares;
    const auto s = static_cast<double>(scale);
    const double product = mean * s;
    const double step = std::fma(-product, s, 1.0);
    const double exact = exact_scale(mean, scale);
    ASSERT_EQ(exact, std::fma(s / 2, step, s));
    const Long want = 1 / std::sqrt(static_cast<Long>(mean));
    worst = std::max(worst, static_cast<double>(std::fabs(static_cast<Long>(exact) / want - 1)));
  }
  EXPECT_LE(worst, 0x1p-45);
  std::printf("exact_scale is off by at most 2^%.1f\n", std::log2(worst));
  EXPECT_EQ(rms_scale(mean_square(0.0F, 512, 1e-6F)),
            rounded(1 / static_cast<double>(std::sqrt(1e-6F))));
}

TEST(Order, TheRotatedPartIsNormalisedInDouble) {
  test::Random random(20);
  for (std::int64_t n = 0; n < test::repetitions(300'000); ++n) {
    const float x = random.normal();
    const float weight = 1 + 0.2F * random.normal();
    const double scale = 0.1 + 3 * random.unit();
    const double product = static_cast<double>(x) * scale;
    ASSERT_EQ(normed(x, scale, weight), product * static_cast<double>(weight));
    const auto exact = static_cast<Long>(x) * static_cast<Long>(scale) * static_cast<Long>(weight);
    ASSERT_LE(std::fabs(static_cast<Long>(normed(x, scale, weight)) - exact),
              Long{0x1p-52} * std::fabs(exact));
  }
}

TEST(Order, RopeRoundsOneProductAndFusesTheOther) {
  test::Random random(5);
  std::int64_t others = 0;
  for (std::int64_t n = 0; n < test::repetitions(300'000); ++n) {
    // 53 bits, unless they come from bf16
    double a = static_cast<double>(random.normal()) * (1 + random.unit());
    double b = static_cast<double>(random.normal()) * (1 + random.unit());
    if (n % 2 == 0) a = static_cast<double>(to_bf16(rounded(a)));
    if (n % 2 == 0) b = static_cast<double>(to_bf16(rounded(b)));
    const float cos = random.normal();
    const float sin = random.normal();
    const auto c = static_cast<double>(cos);
    const auto s = static_cast<double>(sin);
    const double bs = b * s;
    const double bc = b * c;
    ASSERT_EQ(rope_even(a, b, cos, sin), std::fma(a, c, -bs));
    ASSERT_EQ(rope_odd(a, b, cos, sin), std::fma(a, s, bc));
    const double as = a * s;
    others += rope_odd(a, b, cos, sin) != std::fma(b, c, as) ? 1 : 0;
    const Long exact = static_cast<Long>(a) * static_cast<Long>(cos) -
                       static_cast<Long>(b) * static_cast<Long>(sin);
    const Long size = std::fabs(static_cast<Long>(a) * static_cast<Long>(cos)) +
                      std::fabs(static_cast<Long>(b) * static_cast<Long>(sin));
    ASSERT_LE(std::fabs(static_cast<Long>(rope_even(a, b, cos, sin)) - exact),
              Long{0x1p-52} * size);
  }
  EXPECT_GT(others, 1000);  // or this test could not tell which product is rounded
  // A quarter turn: (1, 0) becomes (0, 1).
  EXPECT_EQ(rope_even(1.0, 0.0, 0.0F, 1.0F), 0.0);
  EXPECT_EQ(rope_odd(1.0, 0.0, 0.0F, 1.0F), 1.0);
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
