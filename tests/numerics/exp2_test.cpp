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
  std::array<float, kBlock> weight;
  std::array<float, kBlock> n;
};

/// Of the floats whose bits are first + i * stride.
using Fill = void (*)(std::uint32_t first, std::uint32_t stride, Block& out);

void fill_plain(std::uint32_t first, std::uint32_t stride, Block& out) {
  for (std::uint32_t i = 0; i < kBlock; ++i) {
    const float score = float_of(first + i * stride);
    const GroupScale scale = scale_of_group(score);
    out.weight[i] = weight_of_score<false>(score, 0.0F, scale);
    out.n[i] = kRoundMagic - scale.magic;
  }
}

// The same code where std::fma is one instruction, not a call: there are 8e8 floats to go through.
// FmaBuildIsTheSameFunction holds both to the same bits.
#if defined(__x86_64__)
__attribute__((target("fma"), flatten)) void fill_fma(std::uint32_t first, std::uint32_t stride,
                                                      Block& out) {
  for (std::uint32_t i = 0; i < kBlock; ++i) {
    const float score = float_of(first + i * stride);
    const GroupScale scale = scale_of_group(score);
    out.weight[i] = weight_of_score<false>(score, 0.0F, scale);
    out.n[i] = kRoundMagic - scale.magic;
  }
}
Fill fastest() {
  return __builtin_cpu_supports("fma") ? fill_fma : fill_plain;
}
#else
Fill fastest() {
  return fill_plain;
}
#endif

/// e^x / 2^n within 2^-50: n * log 2 in two parts, the first of 32 bits so that the product is
/// exact.
double weight64(double x, double n) {
  constexpr double kHigh = 0x1.62e42fee00000p-1;
  constexpr double kLow = 0x1.a39ef35793c76p-33;
  return std::exp((x - n * kHigh) - n * kLow);
}

/// The bits of weight * 2^n counted on: one unit of the last place apart, one apart.
std::int64_t key(float weight, float n) {
  return (static_cast<std::int64_t>(n) << 23) + bits_of(weight);
}

struct Bound {
  float to;  ///< of |score|
  double relative;
};

// As src/numerics/exp2.hpp and docs/numerics.md have them.
constexpr float kFrom = 0x1p-27F;
constexpr std::array<Bound, 4> kBounds{
    {{1.0F, 8.2e-8}, {87.0F, 8.5e-8}, {4096.0F, 8.6e-8}, {kScoreLimit, 1.0e-7}}};

struct Findings {
  std::array<double, kBounds.size()> relative{};
  std::int64_t falls = 0;         ///< times that the larger of two neighbours weighed less
  std::int64_t largest_fall = 0;  ///< in units of the last place
  float least = 1;
  float most = 1;
};

/// All floats of one sign from kFrom to the limit.
Findings sweep(std::uint32_t sign, std::uint32_t stride) {
  Findings out;
  Block got;
  std::int64_t before = key(1.0F, 0.0F);
  const std::uint32_t last = bits_of(kScoreLimit);
  for (std::uint64_t start = bits_of(kFrom); start <= last;
       start += std::uint64_t{kBlock} * stride) {
    fastest()(static_cast<std::uint32_t>(start) | sign, stride, got);
    for (std::uint64_t i = 0; i < kBlock && start + i * stride <= last; ++i) {
      const float score = float_of(static_cast<std::uint32_t>(start + i * stride) | sign);
      const double want = weight64(static_cast<double>(score), static_cast<double>(got.n[i]));
      const double relative = std::fabs(static_cast<double>(got.weight[i]) - want) / want;
      const std::int64_t now = key(got.weight[i], got.n[i]);
      const std::int64_t fall = sign == 0 ? before - now : now - before;
      if (fall > 0) {
        ++out.falls;
        out.largest_fall = std::max(out.largest_fall, fall);
      }
      before = now;
      std::size_t b = 0;
      while (std::fabs(score) > kBounds[b].to)
        ++b;
      out.relative[b] = std::max(out.relative[b], relative);
      out.least = std::min(out.least, got.weight[i]);
      out.most = std::max(out.most, got.weight[i]);
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
      ASSERT_EQ(bits_of(a.weight[i]), bits_of(b.weight[i])) << "bits " << first + i;
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
    // As good as monotone: rounding lets neighbours change places, by one unit of the last place.
    EXPECT_LE(f.largest_fall, 1);
    EXPECT_LE(f.falls, 100'000);
    EXPECT_GE(f.least, 0.69F);
    EXPECT_LE(f.most, 1.44F);
  }
  for (std::size_t b = 0; b < kBounds.size(); ++b) {
    const double worst = std::max(positive.relative[b], negative.relative[b]);
    std::printf("|score| <= %g: relative error at most %.3e\n", static_cast<double>(kBounds[b].to),
                worst);
    RecordProperty("relative_error_" + std::to_string(b), std::to_string(worst * 1e9));
  }
  std::printf(
      "%lld neighbours change places, by up to %lld ulp; a group's largest weight is %.6f to "
      "%.6f\n",
      static_cast<long long>(positive.falls + negative.falls),
      static_cast<long long>(std::max(positive.largest_fall, negative.largest_fall)),
      static_cast<double>(std::min(positive.least, negative.least)),
      static_cast<double>(std::max(positive.most, negative.most)));
}

TEST(Exp2, IsExactlyOneNearZero) {
  const GroupScale scale = scale_of_group(0.0F);
  EXPECT_EQ(scale.magic, kRoundMagic);
  for (const std::uint32_t sign : {0U, 0x80000000U}) {
    for (std::uint32_t u = 0; u <= bits_of(kFrom); u += 997) {
      const float score = float_of(u | sign);
      ASSERT_EQ(bits_of(weight_of_score<false>(score, 0.0F, scale)), bits_of(1.0F)) << score;
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
    const float want = std::ldexp(weight_of_score<true>(score, low, own), shift);
    ASSERT_EQ(bits_of(weight_of_score<true>(score, low, given)), bits_of(want))
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
    const auto error = [&](float got) { return std::fabs(static_cast<double>(got) - want) / want; };
    worst = std::max(worst, error(weight_of_score<true>(score, low, scale)));
    worst_without = std::max(worst_without, error(weight_of_score<false>(score, low, scale)));
  }
  std::printf("relative error at most %.3e, %.3e without it\n", worst, worst_without);
  EXPECT_LE(worst, 1e-7);
  EXPECT_GE(worst_without, 1e-5);  // or this test could not tell
}

TEST(Exp2, StaysAtTheFloorBelowIt) {
  for (const float max : {0.0F, 1.0F, -3.7F, 88.0F, -500.0F, 4096.0F, 1e6F, -kScoreLimit}) {
    const GroupScale scale = scale_of_group(max);
    const float floor = weight_of_score<true>(max - kWeightReach, 0.0F, scale);
    EXPECT_TRUE(std::isnormal(floor)) << max;
    EXPECT_GT(floor, 0x1p-126F);
    EXPECT_LT(floor, 0x1p-122F);
    const float inf = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float signalling = float_of(0x7F800001U);
    for (const float below :
         {max - 86.5F, max - 200.0F, -1e30F, -FLT_MAX, -inf, nan, -nan, signalling}) {
      // nor does a rounding error of such a score count, be it NaN: -inf + ape leaves that
      for (const float low : {0.0F, 1e20F, inf, nan}) {
        EXPECT_EQ(bits_of(weight_of_score<true>(below, low, scale)), bits_of(floor))
            << below << " under " << max;
      }
      EXPECT_EQ(bits_of(weight_of_score<false>(below, 0.0F, scale)), bits_of(floor));
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
