// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/exp2.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "support/random.hpp"
#include "support/scale.hpp"

namespace pleat::numerics {
namespace {

constexpr std::size_t kBlock = 4096;

/// Scores, each the largest of its group, so that n follows the score through the whole range.
struct Block {
  std::array<float, kBlock> whole;
  std::array<float, kBlock> rest;
  std::array<float, kBlock> sum;
  std::array<float, kBlock> n;
};

/// Of the floats whose bits are first + i * stride.
using Fill = void (*)(std::uint32_t first, std::uint32_t stride, Block& out);

void fill_plain(std::uint32_t first, std::uint32_t stride, Block& out) {
  for (std::uint32_t i = 0; i < kBlock; ++i) {
    const float score = float_of(first + i * stride);
    const GroupScale scale = scale_of_group(score);
    const Weight w = weight_of_score<false>(score, 0.0F, scale);
    out.whole[i] = w.whole;
    out.rest[i] = w.rest;
    out.sum[i] = w.sum;
    out.n[i] = kRoundMagic - scale.magic;
  }
}

// The same code where std::fma is one instruction, not a call: there are 8e8 floats to go through.
// FmaBuildIsTheSameFunction holds both to the same bits.
#if defined(__x86_64__)
__attribute__((target("fma"), flatten)) void fill_fma(std::uint32_t first, std::uint32_t stride,
                                                      Block& out) {
  fill_plain(first, stride, out);
}
Fill fastest() {
  return __builtin_cpu_supports("fma") ? fill_fma : fill_plain;
}
#else
Fill fastest() {
  return fill_plain;
}
#endif

/// What a weight stands for; the sum of both is exact.
double exact_sum(const Weight& w) {
  return static_cast<double>(w.whole) + static_cast<double>(w.rest);
}

/// e^(x - n * kLn2), which is what the weight approximates: kLn2 has 21 bits, so x - n * kLn2 is
/// exact for any float x.
double weight64(double x, double n) {
  return std::exp(x - n * static_cast<double>(kLn2));
}

/// e^x / 2^n within 2^-50: n * log 2 in two parts, the first of 32 bits so that the product is
/// exact.
double true_weight64(double x, double n) {
  constexpr double kHigh = 0x1.62e42fee00000p-1;
  constexpr double kLow = 0x1.a39ef35793c76p-33;
  return std::exp((x - n * kHigh) - n * kLow);
}

double relative_error(double got, double want) {
  return std::fabs(got - want) / want;
}

struct Bound {
  float to;  ///< of |score|
  double relative;
};

// As src/numerics/exp2.hpp and docs/numerics.md have them.
constexpr float kFrom = 0x1p-27F;
constexpr std::array<Bound, 4> kBounds{
    {{0x1p-6F, 9.5e-10}, {0.25F, 1.55e-8}, {65536.0F, 2.9e-8}, {kScoreLimit, 3.7e-8}}};
/// (kLn2 - log 2), by which a weight is off for each power of two between its score and 0.
constexpr double kDrift = 1.9047e-9;

struct Findings {
  std::array<double, kBounds.size()> relative{};
  double rounded = 0;      ///< largest relative error of the float `sum`
  std::int64_t falls = 0;  ///< times that the larger of two neighbours weighed less
  float least = 1;
  float most = 1;
  float least_rest = 0;  ///< of `whole`
  float most_rest = 0;
};

/// All floats of one sign from kFrom to the limit.
Findings sweep(std::uint32_t sign, std::uint32_t stride) {
  Findings out;
  Block got;
  double before = 1;
  float n_before = 0;
  const std::uint32_t last = bits_of(kScoreLimit);
  for (std::uint64_t start = bits_of(kFrom); start <= last;
       start += std::uint64_t{kBlock} * stride) {
    fastest()(static_cast<std::uint32_t>(start) | sign, stride, got);
    for (std::uint64_t i = 0; i < kBlock && start + i * stride <= last; ++i) {
      const float score = float_of(static_cast<std::uint32_t>(start + i * stride) | sign);
      const double weight = static_cast<double>(got.whole[i]) + static_cast<double>(got.rest[i]);
      const double want = weight64(static_cast<double>(score), static_cast<double>(got.n[i]));
      // n of a neighbour is the same or, once in a while, another
      const double now =
          got.n[i] == n_before ? weight : std::ldexp(weight, static_cast<int>(got.n[i] - n_before));
      out.falls += (sign == 0 ? before > now : now > before) ? 1 : 0;
      before = weight;
      n_before = got.n[i];
      std::size_t b = 0;
      while (std::fabs(score) > kBounds[b].to)
        ++b;
      out.relative[b] = std::max(out.relative[b], relative_error(weight, want));
      out.rounded = std::max(out.rounded, relative_error(static_cast<double>(got.sum[i]), want));
      out.least = std::min(out.least, got.sum[i]);
      out.most = std::max(out.most, got.sum[i]);
      out.least_rest = std::min(out.least_rest, got.rest[i] / got.whole[i]);
      out.most_rest = std::max(out.most_rest, got.rest[i] / got.whole[i]);
    }
  }
  return out;
}

TEST(Exp2, FmaBuildIsTheSameFunction) {
  test::Random random(1);
  Block a;
  Block b;
  for (std::int64_t n = 0; n < test::repetitions(400); ++n) {
    const auto first = static_cast<std::uint32_t>(random.below(bits_of(kScoreLimit) - 8 * kBlock));
    const std::uint32_t sign = n % 2 == 0 ? 0 : 0x80000000U;
    fill_plain(first | sign, 1 + n % 7, a);
    fastest()(first | sign, 1 + n % 7, b);
    for (std::size_t i = 0; i < kBlock; ++i) {
      ASSERT_EQ(bits_of(a.whole[i]), bits_of(b.whole[i])) << "bits " << first + i;
      ASSERT_EQ(bits_of(a.rest[i]), bits_of(b.rest[i])) << "bits " << first + i;
      ASSERT_EQ(bits_of(a.sum[i]), bits_of(b.sum[i])) << "bits " << first + i;
      ASSERT_EQ(a.n[i], b.n[i]);
    }
  }
}

TEST(Exp2, EveryFloatKeepsTheBounds) {
  const std::uint32_t stride = test::kThinner == 1 ? 1 : 61;
  Findings negative;
  std::thread other([&] { negative = sweep(0x80000000U, stride); });
  const Findings positive = sweep(0, stride);
  other.join();
  for (const Findings& f : {positive, negative}) {
    for (std::size_t b = 0; b < kBounds.size(); ++b) {
      EXPECT_LE(f.relative[b], kBounds[b].relative) << "|score| <= " << kBounds[b].to;
    }
    EXPECT_LE(f.rounded, 8e-8);
    EXPECT_EQ(f.falls, 0);  // monotone
    EXPECT_GE(f.least, 0.698F);
    EXPECT_LE(f.most, 1.431F);
    EXPECT_GE(f.least_rest, -0.302F);
    EXPECT_LE(f.most_rest, 0.431F);
  }
  for (std::size_t b = 0; b < kBounds.size(); ++b) {
    const double worst = std::max(positive.relative[b], negative.relative[b]);
    std::printf("|score| <= %g: relative error at most %.3e\n", static_cast<double>(kBounds[b].to),
                worst);
    RecordProperty("relative_error_" + std::to_string(b), std::to_string(worst * 1e9));
  }
  std::printf(
      "rounded to one float %.3e; a group's largest weight is %.6f to %.6f, a rest %.6f to %.6f\n",
      std::max(positive.rounded, negative.rounded),
      static_cast<double>(std::min(positive.least, negative.least)),
      static_cast<double>(std::max(positive.most, negative.most)),
      static_cast<double>(std::min(positive.least_rest, negative.least_rest)),
      static_cast<double>(std::max(positive.most_rest, negative.most_rest)));
}

// What kLn2 is off by, every power of two carries once: it is a matter of n alone, so that it
// cancels between scores that are near each other.
TEST(Exp2, DriftsByTheErrorOfLog2ForEachPowerOfTwo) {
  EXPECT_NEAR(static_cast<double>(kLn2) - std::log(2.0), kDrift, 1e-13);
  test::Random random(4);
  for (std::int64_t i = 0; i < test::repetitions(1'000'000); ++i) {
    const double reach = std::ldexp(1.0, static_cast<int>(random.between(-3, 20)));
    const auto score = static_cast<float>((2 * random.unit() - 1) * reach);
    const GroupScale scale = scale_of_group(score);
    const auto n = static_cast<double>(kRoundMagic - scale.magic);
    const double want = true_weight64(static_cast<double>(score), n);
    const double got = exact_sum(weight_of_score<false>(score, 0.0F, scale)) / want;
    ASSERT_NEAR(got, std::exp(-n * kDrift), kBounds.back().relative + std::fabs(n) * 1e-13)
        << score;
    ASSERT_LE(std::fabs(got - 1), kBounds.back().relative + std::fabs(n) * kDrift * 1.01) << score;
  }
}

TEST(Exp2, PartsAreAPowerOfTwoAndItsRest) {
  test::Random random(5);
  for (std::int64_t i = 0; i < test::repetitions(1'000'000); ++i) {
    const float max = random.normal() * std::ldexp(1.0F, static_cast<int>(random.below(12)));
    const float score = max - static_cast<float>(random.unit() * 85.9);
    const Weight w = weight_of_score<true>(score, 0.0F, scale_of_group(max));
    ASSERT_EQ(bits_of(w.whole) & 0x007FFFFFU, 0U) << score;
    ASSERT_EQ(bits_of(w.sum), bits_of(static_cast<float>(exact_sum(w)))) << score;
    ASSERT_LT(std::fabs(w.rest), 0.43F * w.whole) << score;
  }
}

TEST(Exp2, IsExactlyOneAtZero) {
  const GroupScale scale = scale_of_group(0.0F);
  EXPECT_EQ(scale.magic, kRoundMagic);
  for (const std::uint32_t sign : {0U, 0x80000000U}) {
    const Weight one = weight_of_score<true>(float_of(sign), 0.0F, scale);
    EXPECT_EQ(one.whole, 1.0F);
    EXPECT_EQ(one.rest, 0.0F);
    EXPECT_EQ(one.sum, 1.0F);
    // and near it, 1 + score: nothing is lost
    for (std::uint32_t u = 0; u <= bits_of(kFrom); u += 997) {
      const float score = float_of(u | sign);
      const Weight w = weight_of_score<false>(score, 0.0F, scale);
      ASSERT_EQ(w.whole, 1.0F) << score;
      ASSERT_NEAR(w.rest, score, 0x1p-26F * std::fabs(score)) << score;
      ASSERT_EQ(w.sum, 1.0F) << score;
    }
  }
}

// So the bounds above are those of every row, however far below its group's largest.
TEST(Exp2, AnotherScaleOfTheGroupShiftsTheExponentAndNothingElse) {
  test::Random random(2);
  for (std::int64_t i = 0; i < test::repetitions(2'000'000); ++i) {
    const double reach = std::ldexp(1.0, static_cast<int>(random.between(-3, 20)));
    const auto max = static_cast<float>((2 * random.unit() - 1) * reach);
    const auto score = static_cast<float>(static_cast<double>(max) - random.unit() * 85.9);
    if (std::fabs(score) > kScoreLimit) continue;
    const float low = score * 0x1p-25F * random.normal();
    const GroupScale own = scale_of_group(score);
    const GroupScale given = scale_of_group(max);
    const int shift = static_cast<int>(given.magic - own.magic);  // n of its own - n of the group
    const Weight from = weight_of_score<true>(score, low, own);
    const Weight got = weight_of_score<true>(score, low, given);
    ASSERT_EQ(bits_of(got.whole), bits_of(std::ldexp(from.whole, shift)))
        << score << " under " << max;
    ASSERT_EQ(bits_of(got.rest), bits_of(std::ldexp(from.rest, shift)))
        << score << " under " << max;
  }
}

TEST(Exp2, CountsWhatRoundingTookFromTheScore) {
  test::Random random(3);
  double worst = 0;
  double worst_without = 0;
  for (std::int64_t i = 0; i < test::repetitions(2'000'000); ++i) {
    const float score = random.normal() * std::ldexp(1.0F, static_cast<int>(random.below(8)));
    const double exact = static_cast<double>(score) * (1 + (random.unit() - 0.5) * 0x1p-23);
    const auto low = static_cast<float>(exact - static_cast<double>(score));
    const GroupScale scale = scale_of_group(score);
    const double want = weight64(exact, static_cast<double>(kRoundMagic - scale.magic));
    const auto error = [&](const Weight& got) { return relative_error(exact_sum(got), want); };
    worst = std::max(worst, error(weight_of_score<true>(score, low, scale)));
    worst_without = std::max(worst_without, error(weight_of_score<false>(score, low, scale)));
  }
  std::printf("with low: relative error at most %.3e, %.3e without it\n", worst, worst_without);
  EXPECT_LE(worst, 4.3e-8);
  EXPECT_GE(worst_without, 1e-5);  // or this test could not tell
}

void expect_same(const Weight& got, const Weight& want, float score) {
  EXPECT_EQ(bits_of(got.whole), bits_of(want.whole)) << score;
  EXPECT_EQ(bits_of(got.rest), bits_of(want.rest)) << score;
  EXPECT_EQ(bits_of(got.sum), bits_of(want.sum)) << score;
}

TEST(Exp2, StaysAtTheFloorBelowIt) {
  for (const float max : {0.0F, 1.0F, -3.7F, 88.0F, -500.0F, 4096.0F, 1e6F, -kScoreLimit}) {
    SCOPED_TRACE(max);
    const GroupScale scale = scale_of_group(max);
    const Weight floor = weight_of_score<true>(max - kWeightReach, 0.0F, scale);
    EXPECT_GT(floor.whole, 0x1p-126F);
    EXPECT_GT(floor.sum, 0x1p-126F);
    EXPECT_LT(floor.sum, 0x1p-122F);
    const float inf = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float signalling = float_of(0x7F800001U);
    for (const float below :
         {max - 86.5F, max - 200.0F, -1e30F, -FLT_MAX, -inf, nan, -nan, signalling}) {
      // nor does a rounding error of such a score count, be it NaN: -inf + ape leaves that
      for (const float low : {0.0F, 1e20F, inf, nan})
        expect_same(weight_of_score<true>(below, low, scale), floor, below);
      expect_same(weight_of_score<false>(below, 0.0F, scale), floor, below);
    }
  }
}

TEST(Exp2, ScoresBeyondTheLimitAreClamped) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float within : {0.0F, -0.0F, 1.0F, -4096.5F, kScoreLimit, -kScoreLimit}) {
    EXPECT_FALSE(beyond_limit(within)) << within;
    EXPECT_EQ(bits_of(clamp_score(within)), bits_of(within));
  }
  for (const float beyond : {std::nextafter(kScoreLimit, inf), 1e30F, FLT_MAX, inf}) {
    EXPECT_TRUE(beyond_limit(beyond));
    EXPECT_TRUE(beyond_limit(-beyond));
    EXPECT_EQ(clamp_score(beyond), kScoreLimit);
    EXPECT_EQ(clamp_score(-beyond), -kScoreLimit);
  }
  EXPECT_TRUE(beyond_limit(nan));
  EXPECT_EQ(clamp_score(nan), -kScoreLimit);
  EXPECT_EQ(clamp_score(-nan), -kScoreLimit);
  EXPECT_EQ(clamp_score(float_of(0x7F800001U)), -kScoreLimit);  // signalling
}

TEST(Exp2, PowersOfTwo) {
  for (int k = -126; k <= 0; ++k)
    EXPECT_EQ(bits_of(pow2_of_whole(static_cast<float>(k))), bits_of(std::ldexp(1.0F, k))) << k;
}

}  // namespace
}  // namespace pleat::numerics
