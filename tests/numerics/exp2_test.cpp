// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/exp2.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <thread>

#include "support/random.hpp"
#include "support/rounded.hpp"
#include "support/scale.hpp"

namespace pleat::numerics {
namespace {

using test::kLongIsLong;
using test::kQuadIsQuad;
using test::Long;
using test::Quad;

constexpr std::size_t kBlock = 4096;

/// Scores of up to kPlainScore are weighed from 0, others each as the largest of its group, so that
/// n follows the score through the whole range.
struct Block {
  std::array<double, kBlock> weight;
  std::array<std::int32_t, kBlock> n;
};

/// Of the floats whose bits are first + i * stride.
using Fill = void (*)(std::uint32_t first, std::uint32_t stride, Block& out);

void fill_plain(std::uint32_t first, std::uint32_t stride, Block& out) {
  for (std::uint32_t i = 0; i < kBlock; ++i) {
    const float score = float_of(first + i * stride);
    const bool beyond = beyond_plain(magnitude(score));
    const double magic = beyond ? scale_of_group(score).magic : kRoundMagic;
    out.weight[i] = weight_of_score(static_cast<double>(score), magic);
    out.n[i] = exponent_of({magic, 0.0});
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

/// e^x / 2^n within 2^-50: n * log 2 in two parts, the first of 32 bits so that the product is
/// exact.
double true_weight(double x, std::int32_t n) {
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
    {{0x1p-6F, 1.7e-12}, {0.25F, 5.2e-11}, {kPlainScore, 5.2e-11}, {kScoreLimit, 8.7e-11}}};
/// log 2 - kLn2, by which a weight is off for each power of two between its score and 0.
constexpr double kDrift = 2.3190468138462996e-17;

struct Findings {
  std::array<double, kBounds.size()> relative{};
  std::int64_t falls = 0;  ///< times that the larger of two neighbours weighed less
  double least = 1;        ///< of the groups' largest
  double most = 1;
};

/// All floats of one sign from kFrom to the limit.
Findings sweep(std::uint32_t sign, std::uint32_t stride) {
  Findings out;
  Block got;
  double before = 1;
  std::int32_t n_before = 0;
  const std::uint32_t last = bits_of(kScoreLimit);
  for (std::uint64_t start = bits_of(kFrom); start <= last;
       start += std::uint64_t{kBlock} * stride) {
    fastest()(static_cast<std::uint32_t>(start) | sign, stride, got);
    for (std::uint64_t i = 0; i < kBlock && start + i * stride <= last; ++i) {
      const float score = float_of(static_cast<std::uint32_t>(start + i * stride) | sign);
      const double weight = got.weight[i];
      // n of a neighbour is the same or, once in a while, another
      const double now = got.n[i] == n_before ? weight : std::ldexp(weight, got.n[i] - n_before);
      out.falls += (sign == 0 ? before > now : now > before) ? 1 : 0;
      before = weight;
      n_before = got.n[i];
      std::size_t b = 0;
      while (std::fabs(score) > kBounds[b].to)
        ++b;
      const double want = true_weight(static_cast<double>(score), got.n[i]);
      out.relative[b] = std::max(out.relative[b], relative_error(weight, want));
      if (b + 1 < kBounds.size()) continue;
      out.least = std::min(out.least, weight);
      out.most = std::max(out.most, weight);
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
      ASSERT_EQ(a.weight[i], b.weight[i]) << "bits " << first + i;
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
    EXPECT_EQ(f.falls, 0);  // monotone
    EXPECT_GE(f.least, 0.707);
    EXPECT_LE(f.most, 1.4143);
  }
  for (std::size_t b = 0; b < kBounds.size(); ++b) {
    const double worst = std::max(positive.relative[b], negative.relative[b]);
    std::printf("|score| <= %g: relative error at most %.3e\n", static_cast<double>(kBounds[b].to),
                worst);
    RecordProperty("relative_error_" + std::to_string(b), std::to_string(worst * 1e12));
  }
  std::printf("the largest weight of a group that has its own scale is %.7f to %.7f\n",
              std::min(positive.least, negative.least), std::max(positive.most, negative.most));
}

// What is beyond the fit's error in large scores is a matter of n alone, so that it cancels.
TEST(Exp2, DriftsByTheErrorOfLog2ForEachPowerOfTwo) {
  test::Random random(5);
  for (std::int64_t i = 0; i < test::repetitions(1'000'000); ++i) {
    const double reach = std::ldexp(1.0, static_cast<int>(random.between(6, 20)));
    const auto score = static_cast<float>((2 * random.unit() - 1) * reach);
    const GroupScale scale = scale_of_group(score);
    const std::int32_t n = exponent_of(scale);
    const double want = true_weight(static_cast<double>(score), n) * (1 + n * kDrift);
    ASSERT_LE(relative_error(weight_of_score(static_cast<double>(score), scale.magic), want),
              5.2e-11)
        << score;
  }
}

// Each operation is worked out in numbers that hold all of it, and rounded once.
TEST(Exp2, StepByStep) {
  if (!kQuadIsQuad) GTEST_SKIP() << "needs floats of 113 bits";
  constexpr std::array<double, 6> kC{0x1.9f08a46412e5ep-13, 0x1.6d8cf41cf64e9p-10,
                                     0x1.1112708f30329p-7,  0x1.55548dd87351fp-5,
                                     0x1.5555544365c71p-3,  0x1.0000003a1ade3p-1};
  // the last bits of the first ones show in too few weights to be found by them
  constexpr std::array<double, 6> kTheirs{ExpPoly::c7, ExpPoly::c6, ExpPoly::c5,
                                          ExpPoly::c4, ExpPoly::c3, ExpPoly::c2};
  EXPECT_EQ(kTheirs, kC);
  test::Random random(6);
  const auto once = [](Quad x) { return static_cast<Quad>(static_cast<double>(x)); };
  for (std::int64_t i = 0; i < test::repetitions(1'000'000); ++i) {
    const double size = std::ldexp(1 + random.unit(), static_cast<int>(random.between(-30, 5)));
    double score = random.chance(0.5) ? size : -size;
    if (i % 2 == 0) score = static_cast<double>(static_cast<float>(score));
    const auto k = static_cast<int>(std::nearbyint(score * 0x1.71547652b82fep+0));
    const Quad f = once(static_cast<Quad>(score) - static_cast<Quad>(0x1.62e42fefa39efp-1) * k);
    Quad p = 0;
    for (const double c : kC)
      p = once(p * f + static_cast<Quad>(c));
    p = once(once(p * f + 1) * f + 1);
    ASSERT_EQ(weight_of_score(score, kRoundMagic), std::ldexp(static_cast<double>(p), k)) << score;
  }
}

template <int Count>
void expect_same_weights(test::Random& random) {
  double x[Count];
  double one[Count];
  for (std::int64_t i = 0; i < test::repetitions(300'000); ++i) {
    const auto max = static_cast<float>((2 * random.unit() - 1) *
                                        std::ldexp(1.0, static_cast<int>(random.between(-3, 20))));
    const double magic = beyond_plain(magnitude(max)) ? scale_of_group(max).magic : kRoundMagic;
    for (int k = 0; k < Count; ++k) {
      const double reach = magic == kRoundMagic ? 2.0 * static_cast<double>(max) : 127.9;
      x[k] = static_cast<double>(max) - random.unit() * reach;
      if (random.chance(0.5)) x[k] = static_cast<double>(static_cast<float>(x[k]));
      one[k] = weight_of_score(x[k], magic);
    }
    weights_of_scores<Count>(x, magic, kExpTable);
    for (int k = 0; k < Count; ++k)
      ASSERT_EQ(std::bit_cast<std::uint64_t>(x[k]), std::bit_cast<std::uint64_t>(one[k])) << k;
  }
}

TEST(Exp2, SeveralAtOnceWeighWhatEachDoes) {
  test::Random random(7);
  expect_same_weights<2>(random);
  expect_same_weights<4>(random);
  expect_same_weights<8>(random);
}

// A late sum is no float: of these too the weight is what the bound says.
TEST(Exp2, ScoresThatAreNoFloatsKeepTheBound) {
  if (!kLongIsLong) GTEST_SKIP() << "needs a long double of 64 bits";
  test::Random random(3);
  double worst = 0;
  double worst_of_float = 0;
  for (std::int64_t i = 0; i < test::repetitions(3'000'000); ++i) {
    const double score =
        (2 * random.unit() - 1) * std::ldexp(1.0, static_cast<int>(random.between(-8, 6)));
    const Long want = std::exp(static_cast<Long>(score));
    const auto error = [&](double got) {
      return static_cast<double>(std::fabs(static_cast<Long>(got) - want) / want);
    };
    worst = std::max(worst, error(weight_of_score(score, kRoundMagic)));
    const auto near = static_cast<double>(static_cast<float>(score));
    worst_of_float = std::max(worst_of_float, error(weight_of_score(near, kRoundMagic)));
  }
  std::printf("of a double: relative error at most %.3e; of the nearest float %.3e\n", worst,
              worst_of_float);
  EXPECT_LE(worst, 5.2e-11);
  EXPECT_GE(worst_of_float, 1e-6);  // or this test could not tell
}

TEST(Exp2, IsExactlyOneAtZero) {
  EXPECT_EQ(exponent_of(scale_of_group(0.0F)), 0);
  EXPECT_EQ(scale_of_group(0.0F).magic, kRoundMagic);
  for (const std::uint32_t sign : {0U, 0x80000000U}) {
    EXPECT_EQ(weight_of_score(static_cast<double>(float_of(sign)), kRoundMagic), 1.0);
    // and near it, 1 + score, rounded; what is next, score^2 / 2, is 2^-55 at most
    double before = 1;
    for (std::uint32_t u = 0; u <= bits_of(kFrom); u += 997) {
      const auto score = static_cast<double>(float_of(u | sign));
      const double weight = weight_of_score(score, kRoundMagic);
      ASSERT_NEAR(weight, 1 + score, 0x1p-52) << score;
      ASSERT_TRUE(sign == 0 ? weight >= before : weight <= before) << score;
      before = weight;
    }
  }
}

// So the bounds above are those of every row, under any scale.
TEST(Exp2, AnotherScaleShiftsTheExponentAndNothingElse) {
  test::Random random(2);
  for (std::int64_t i = 0; i < test::repetitions(2'000'000); ++i) {
    const double reach = std::ldexp(1.0, static_cast<int>(random.between(-3, 20)));
    const auto max = static_cast<float>((2 * random.unit() - 1) * reach);
    double score = static_cast<double>(max) - random.unit() * 127.9;
    if (i % 2 == 0) score = static_cast<double>(static_cast<float>(score));
    const GroupScale given = scale_of_group(max);
    const GroupScale own = scale_of_group(static_cast<float>(score));
    ASSERT_EQ(weight_of_score(score, given.magic),
              std::ldexp(weight_of_score(score, own.magic), exponent_of(own) - exponent_of(given)))
        << score << " under " << max;
    if (std::fabs(score) > static_cast<double>(kPlainScore)) continue;
    ASSERT_EQ(weight_of_score(score, given.magic),
              std::ldexp(weight_of_score(score, kRoundMagic), -exponent_of(given)))
        << score << " under " << max;
  }
}

TEST(Exp2, PlainGroupsEndAt64) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(beyond_plain(0.0F));
  EXPECT_FALSE(beyond_plain(64.0F));
  for (const float size : {std::nextafter(64.0F, inf), 1e30F, FLT_MAX, inf, NAN, -NAN})
    EXPECT_TRUE(beyond_plain(size)) << size;
  // no sum of 2048 such weights, nor of such weights times kv, leaves a double
  EXPECT_LT(weight_of_score(64.0, kRoundMagic), 0x1p93);
  EXPECT_GT(weight_of_score(-64.0, kRoundMagic), 0x1p-93);
}

TEST(Exp2, TheScaleOfAGroupIsTheWholeNumberNextToItsLargestScore) {
  test::Random random(4);
  for (std::int64_t i = 0; i < test::repetitions(1'000'000); ++i) {
    const auto max = static_cast<float>((2 * random.unit() - 1) *
                                        std::ldexp(1.0, static_cast<int>(random.between(-3, 20))));
    const GroupScale scale = scale_of_group(max);
    const std::int32_t n = exponent_of(scale);
    ASSERT_LE(std::fabs(static_cast<double>(max) / std::log(2.0) - n), 0.5 + 1e-9) << max;
    ASSERT_EQ(scale.magic, kRoundMagic - n);
    ASSERT_EQ(scale.floor, static_cast<double>(std::max(max - 128.0F, -kScoreLimit))) << max;
  }
  // the limit of scores, and NaN as the lowest
  const float inf = std::numeric_limits<float>::infinity();
  for (const float most : {kScoreLimit, std::nextafter(kScoreLimit, inf), 1e30F, FLT_MAX, inf}) {
    EXPECT_EQ(exponent_of(scale_of_group(most)), 1512775);
    EXPECT_EQ(scale_of_group(most).floor, 0x1p20 - 128);
    EXPECT_EQ(exponent_of(scale_of_group(-most)), -1512775);
    EXPECT_EQ(scale_of_group(-most).floor, -0x1p20);
  }
  for (const float nan : {NAN, -NAN, float_of(0x7F800001U)}) {
    EXPECT_EQ(exponent_of(scale_of_group(nan)), -1512775);
    EXPECT_EQ(scale_of_group(nan).floor, -0x1p20);
  }
}

TEST(Exp2, ScoresStayWithinReachOfTheirScale) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const float max : {0.0F, 1.0F, -3.7F, 88.0F, -500.0F, 4096.0F, 1e6F}) {
    SCOPED_TRACE(max);
    const GroupScale scale = scale_of_group(max);
    const auto most = static_cast<double>(max);
    const double lowest = static_cast<double>(max - 128.0F);
    for (const double below : {lowest, std::nextafter(lowest, -inf), most - 200, -1e30, -1e300,
                               -inf, nan, -nan, std::bit_cast<double>(0x7FF0000000000001)}) {
      EXPECT_EQ(within_reach(below, scale), lowest) << below;
    }
    for (const double within : {std::nextafter(lowest, inf), most - 64, most - 1e-9, most})
      EXPECT_EQ(within_reach(within, scale), within);
    const double least = weight_of_score(lowest, scale.magic);
    EXPECT_GT(least, 0x1p-186);
    EXPECT_LT(least, 0x1p-184);
  }
  // the limits of all scores, a little below which a scale's floor would be
  const GroupScale high = scale_of_group(std::numeric_limits<float>::infinity());
  const GroupScale low = scale_of_group(-std::numeric_limits<float>::infinity());
  for (const double beyond : {0x1p20, std::nextafter(0x1p20, inf), 1e30, 1e300, inf}) {
    EXPECT_EQ(within_reach(beyond, high), 0x1p20);
    EXPECT_EQ(within_reach(-beyond, low), -0x1p20);
  }
  EXPECT_EQ(within_reach(nan, low), -0x1p20);
  // so that a group's largest score always weighs about 1, whatever it is
  EXPECT_NEAR(weight_of_score(0x1p20, high.magic), 1.0, 0.4143);
  EXPECT_NEAR(weight_of_score(-0x1p20, low.magic), 1.0, 0.4143);
}

TEST(Exp2, PowersOfTwo) {
  for (int k = -1022; k <= 1023; ++k)
    EXPECT_EQ(pow2_of(k), std::ldexp(1.0, k)) << k;
  for (int k = -1000; k <= 1000; ++k) {
    EXPECT_EQ(times_pow2(1.25, kRoundMagic + k), std::ldexp(1.25, k)) << k;
    // also with n of a scale in it, as long as the sum is small
    EXPECT_EQ(times_pow2(0.75, (kRoundMagic - 1512775) + (1512775 + k)), std::ldexp(0.75, k)) << k;
  }
}

}  // namespace
}  // namespace pleat::numerics
