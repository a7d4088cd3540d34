// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

// What order.hpp does once the spans are joined: the quotient, norm and RoPE, and their roundings.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <limits>

#include "numerics/order.hpp"
#include "numerics/rounding.hpp"
#include "support/random.hpp"
#include "support/rounded.hpp"
#include "support/scale.hpp"

// Each order is written out again here, as docs/numerics.md has it, with other means than those of
// order.hpp (recursion, wider numbers rounded once): a change of one bit anywhere fails.
namespace pleat::numerics {
namespace {

using test::Around;
using test::around;
using test::bf16_of;
using test::float_between;
using test::kLongIsLong;
using test::kQuadIsQuad;
using test::Long;
using test::odd_of;
using test::Quad;
using test::rounded;

/// A channel as the spans leave it: of every fourth the quotient is next to a float, or to a tie
/// of two, so that every bit of the way there counts.
Folded random_folded(test::Random& random, std::int64_t n) {
  Folded f;
  f.n = static_cast<std::int32_t>(random.between(-2'000'000, 2'000'000));  // of no account
  f.weight = (1 + random.unit()) * std::ldexp(1.0, static_cast<int>(random.between(-93, 104)));
  if (n % 5 == 0) f.weight = std::ldexp(1.0, static_cast<int>(random.below(8)));
  f.value = static_cast<double>(float_between(random, -20, 4)) * (1 + random.unit()) * f.weight;
  if (n % 10 == 0) f.value = static_cast<double>(float_between(random, -20, 4)) * f.weight;
  if (n % 4 != 1) return f;
  const float near = float_between(random, -20, 4);
  const double unit = std::fabs(static_cast<double>(near - std::nextafter(near, 0.0F)));
  const double off =
      0.5 * static_cast<double>(n / 4 % 2) + static_cast<double>(random.normal()) * 0x1p-18;
  f.value = (static_cast<double>(near) + off * unit) * f.weight;
  return f;
}

// docs/numerics.md: the quotient within 2^-46 of itself, rounded.
TEST(Finish, PooledIsRoundedOnce) {
  if (!kLongIsLong) GTEST_SKIP() << "needs a long double of 64 bits";
  test::Random random(16);
  std::int64_t exact = 0;
  std::int64_t decided = 0;
  for (std::int64_t n = 0; n < test::repetitions(2'000'000); ++n) {
    const Folded f = random_folded(random, n);
    const Long want = static_cast<Long>(f.value) / static_cast<Long>(f.weight);
    const float got = pooled_of(f, false);
    const float odd = pooled_of(f, true);
    const auto nearest = static_cast<float>(want);
    if (static_cast<Long>(nearest) == want) {
      ASSERT_EQ(bits_of(got), bits_of(nearest));
      ++exact;
      continue;
    }
    const Around a = around(want);
    const Long near = std::fabs(want) * Long{0x1.01p-46};
    // a tie so near may go either way
    const Long tie = (static_cast<Long>(a.toward) + static_cast<Long>(a.away)) / 2;
    if (std::fabs(want - tie) > near) {
      ASSERT_EQ(bits_of(got), bits_of(nearest)) << n;
      ++decided;
    } else {
      ASSERT_TRUE(got == a.toward || got == a.away) << n;
    }
    const Long to_float = std::min(std::fabs(static_cast<Long>(a.toward) - want),
                                   std::fabs(static_cast<Long>(a.away) - want));
    if (to_float > near) {
      ASSERT_EQ(bits_of(odd), bits_of(odd_of(want))) << n;
      ASSERT_EQ(to_bf16(odd), bf16_of(want)) << n;
    }
  }
  EXPECT_GT(exact, 1000);
  EXPECT_GT(decided, test::repetitions(2'000'000) / 2);
}

/// The quotient before it is rounded to a float, worked out in numbers that hold all of each
/// operation, and rounded once.
double written_quotient(const Folded& f) {
  const auto weight = static_cast<Quad>(f.weight);
  const auto inverse = static_cast<float>(1.0 / static_cast<double>(static_cast<float>(f.weight)));
  const auto first = static_cast<double>(static_cast<Quad>(f.value) * static_cast<Quad>(inverse));
  const auto left =
      static_cast<double>(static_cast<Quad>(f.value) - static_cast<Quad>(first) * weight);
  return static_cast<double>(static_cast<Quad>(left) * static_cast<Quad>(inverse) +
                             static_cast<Quad>(first));
}

TEST(Finish, PooledStepByStep) {
  if (!kQuadIsQuad || !kLongIsLong) GTEST_SKIP() << "needs floats of 64 and 113 bits";
  test::Random random(17);
  double worst = 0;
  for (std::int64_t n = 0; n < test::repetitions(1'000'000); ++n) {
    const Folded f = random_folded(random, n);
    const double pooled = written_quotient(f);
    ASSERT_EQ(bits_of(pooled_of(f, false)), bits_of(rounded(pooled))) << n;
    ASSERT_EQ(bits_of(pooled_of(f, true)), bits_of(odd_of(static_cast<Long>(pooled)))) << n;
    const Quad off =
        static_cast<Quad>(pooled) * static_cast<Quad>(f.weight) - static_cast<Quad>(f.value);
    worst = std::max(worst, std::fabs(static_cast<double>(off) / f.value));
  }
  std::printf("a quotient is off by at most 2^%.2f of itself\n", std::log2(worst));
  EXPECT_LE(worst, 0x1.01p-46);
}

TEST(Finish, QuotientsOfASizeThatNoFloatHas) {
  for (const double weight : {0x1p-93, 1.0, 0x1.3p7, 0x1p104}) {
    for (const float x : {std::numeric_limits<float>::denorm_min(), 0x1.234p-130F, FLT_MIN, 1.0F,
                          -3.3F, 0x1.234568p127F, FLT_MAX, -FLT_MAX}) {
      const Folded f{weight, weight * static_cast<double>(x), 0};
      for (const bool odd : {false, true})
        EXPECT_EQ(bits_of(pooled_of(f, odd)), bits_of(x)) << x << " by " << weight;
    }
    EXPECT_EQ(bits_of(pooled_of({weight, 0.0, 0}, true)), 0U);
  }
}

TEST(Finish, RoundsToOdd) {
  test::Random random(18);
  for (std::int64_t n = 0; n < test::repetitions(2'000'000); ++n) {
    const float near = float_between(random, -100, 100);
    // at most half a unit of the last place away
    const float unit = std::fabs(std::nextafter(near, 0.0F) - near);
    const float rest = n % 8 == 0 ? 0.0F : unit * (static_cast<float>(random.unit()) - 0.5F);
    const double exact = static_cast<double>(near) + static_cast<double>(rest);
    ASSERT_EQ(bits_of(odd_float(exact)), bits_of(odd_of(static_cast<Long>(exact)))) << n;
    // and so rounding again is rounding once
    ASSERT_EQ(to_bf16(odd_float(exact)), bf16_of(static_cast<Long>(exact))) << n;
  }
  const float next = 1 + FLT_EPSILON;
  EXPECT_EQ(odd_float(1.0 + 0x1p-50), next);
  EXPECT_EQ(odd_float(1.0 - 0x1p-50), std::nextafter(1.0F, 0.0F));
  EXPECT_EQ(odd_float(-1.0 + 0x1p-50), std::nextafter(-1.0F, 0.0F));
  EXPECT_EQ(odd_float(-1.0 - 0x1p-50), -next);
  EXPECT_EQ(odd_float(static_cast<double>(next) + 0x1p-50), next);
  EXPECT_EQ(odd_float(static_cast<double>(next) - 0x1p-50), next);
  EXPECT_EQ(bits_of(odd_float(-0.0)), 0x80000000U);
}

TEST(Finish, DoublesRoundToOdd) {
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
  // nothing is too small to be seen, nor too large
  EXPECT_EQ(odd_float(1e-60), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(odd_float(static_cast<double>(FLT_MIN) - 1e-50), std::nextafter(FLT_MIN, 0.0F));
  EXPECT_EQ(odd_float(1e60), FLT_MAX);
  EXPECT_EQ(odd_float(-1e60), -FLT_MAX);
  EXPECT_EQ(odd_float(std::numeric_limits<double>::infinity()),
            std::numeric_limits<float>::infinity());
}

TEST(Finish, MeanSquareAndItsScales) {
  test::Random random(4);
  double worst = 0;
  for (std::int64_t n = 0; n < test::repetitions(300'000); ++n) {
    const double squares =
        std::fabs(random.normal()) * std::ldexp(1 + 0x1p-30, random.below(60) - 30);
    const int log_dim = static_cast<int>(random.between(1, 12));
    const float eps = n % 4 == 0 ? 1.0F : 1e-6F;
    const double mean = mean_square(squares, 1 << log_dim, eps);
    // a product of a power of two, and one rounding
    if constexpr (kQuadIsQuad) {
      ASSERT_EQ(mean, static_cast<double>(static_cast<Quad>(squares) / (1 << log_dim) +
                                          static_cast<Quad>(eps)));
    }
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
  EXPECT_EQ(rms_scale(mean_square(0.0, 512, 1e-6F)),
            rounded(1 / static_cast<double>(std::sqrt(1e-6F))));
  // squares beyond float may have a mean that is not
  EXPECT_EQ(rms_scale(mean_square(0x1p135, 512, 1e-6F)), 0x1p-63F);
  EXPECT_GT(rms_scale(mean_square(512 * static_cast<double>(FLT_MAX), 512, 1e-9F)), 0.0F);
  // a mean beyond: not NaN, which 0 * inf would leave
  for (const double squares : {0x1p137, 1e79, std::numeric_limits<double>::infinity()}) {
    const double beyond = mean_square(squares, 512, 1e-6F);
    EXPECT_EQ(rms_scale(beyond), 0.0F);
    EXPECT_EQ(exact_scale(beyond, rms_scale(beyond)), 0.0);
  }
}

TEST(Finish, TheRotatedPartIsNormalisedInDouble) {
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

TEST(Finish, RopeRoundsOneProductAndFusesTheOther) {
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

TEST(Finish, DividesAndRootsAreCorrectlyRounded) {
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
