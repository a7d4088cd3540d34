// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "reference/fold.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "numerics/codes.hpp"
#include "numerics/order.hpp"
#include "support/levels.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

namespace pleat::reference {
namespace {

using numerics::Score;

/// Scores that nothing was added to.
std::vector<Score> exact(const std::vector<float>& x) {
  std::vector<Score> out;
  for (const float v : x)
    out.push_back({v, 0.0F});
  return out;
}

float pooled(const std::vector<float>& kv, const std::vector<float>& score,
             std::int32_t absent = 0) {
  return pool_channel(kv, exact(score), absent);
}

// Spec section 6, "Overlap by hand": D = 2, which no geometry has, so channel by channel.
class OverlapByHand : public ::testing::Test {
 protected:
  static float v(int t, int c) { return static_cast<float>((7 * t + 3 * c) % 11 - 5) / 4; }
  static float z(int t, int c) { return static_cast<float>((5 * t + 2 * c) % 7 - 3) / 2; }
  static float ape(int r, int c) { return static_cast<float>(r - c) / 4; }

  static float pooled_channel(int row, int channel, bool swapped = false) {
    std::vector<float> kv(8);
    std::vector<float> score(8);
    const int absent = row == 0 ? 4 : 0;
    for (int w = absent; w < 8; ++w) {
      const int t = (row + 1) * 4 - 8 + w;
      const int column = channel + ((w >= 4) != swapped ? 2 : 0);
      kv[w] = v(t, column);
      score[w] = z(t, column) + ape(t % 4, column);
    }
    return pooled(kv, score, absent);
  }
};

TEST_F(OverlapByHand, PooledRows) {
  const double want[3][2] = {{0.022919190169, 0.475274134653},
                             {-0.186531028405, -0.279988838643},
                             {0.344714866065, 0.215778440175}};
  for (int row = 0; row < 3; ++row) {
    for (int c = 0; c < 2; ++c)
      EXPECT_NEAR(pooled_channel(row, c), want[row][c], 2e-7) << row << ", " << c;
  }
  EXPECT_NEAR(pooled_channel(1, 0, true), 0.049146311069, 2e-7);
  EXPECT_NEAR(pooled_channel(1, 1, true), 0.062532502219, 2e-7);
}

TEST_F(OverlapByHand, NormAndRope) {
  const double want[3][2] = {
      {0, 0}, {0.067158133672, 0.978045156767}, {-0.545600104807, 1.131379864399}};
  for (int row = 1; row < 3; ++row) {
    const float x[2] = {pooled_channel(row, 0), pooled_channel(row, 1)};
    const double mean = numerics::mean_square(x[0] * x[0] + x[1] * x[1], 2, 1e-6F);
    const double scale = numerics::exact_scale(mean, numerics::rms_scale(mean));
    const double even = numerics::normed(x[0], scale, 1.0F);
    const double odd = numerics::normed(x[1], scale, 0.5F);
    const double angle = row * 4.0;  // 1 rad a token, at the first token of the current group
    const auto cos = static_cast<float>(std::cos(angle));
    const auto sin = static_cast<float>(std::sin(angle));
    EXPECT_NEAR(numerics::rope_even(even, odd, cos, sin), want[row][0], 3e-7);
    EXPECT_NEAR(numerics::rope_odd(even, odd, cos, sin), want[row][1], 3e-7);
  }
}

TEST(PoolChannel, EqualScoresGiveTheMean) {
  for (const std::size_t window : {1U, 2U, 4U, 8U, 16U, 128U, 2048U}) {
    std::vector<float> kv(window);
    for (std::size_t w = 0; w < window; ++w)
      kv[w] = static_cast<float>(w);
    const float mean = static_cast<float>(window - 1) / 2;
    // Weights of 1: sums of whole numbers are exact, and so is a mean over a power of two.
    EXPECT_EQ(pooled(kv, std::vector<float>(window, 0.0F)), mean) << window;
    // Other weights' rests round when they are summed, and a group's weight when it is joined.
    EXPECT_NEAR(pooled(kv, std::vector<float>(window, 3.25F)), mean, 1.3e-7F * mean) << window;
  }
}

TEST(PoolChannel, OneRowThatIsThereIsItself) {
  const std::vector<float> kv{NAN, NAN, NAN, 0.7F};
  EXPECT_EQ(pooled(kv, {NAN, NAN, NAN, 0.0F}, 3), 0.7F);
  EXPECT_EQ(pooled(kv, {NAN, NAN, NAN, -5.0F}, 3), 0.7F);
}

TEST(PoolChannel, AbsentRowsAreNotRead) {
  test::Random random(1);
  for (const std::size_t window : {8U, 16U, 128U}) {
    for (std::size_t absent = 0; absent < window; absent += 1 + window / 16) {
      std::vector<float> kv(window);
      std::vector<float> score(window);
      for (std::size_t w = 0; w < window; ++w) {
        kv[w] = random.normal();
        score[w] = random.normal();
      }
      const float clean = pooled(kv, score, static_cast<std::int32_t>(absent));
      for (std::size_t w = 0; w < absent; ++w) {
        kv[w] = NAN;
        score[w] = std::numeric_limits<float>::infinity();
      }
      EXPECT_EQ(pooled(kv, score, static_cast<std::int32_t>(absent)), clean);
      EXPECT_TRUE(std::isfinite(clean));
    }
  }
}

TEST(PoolChannel, APeakTakesAll) {
  std::vector<float> kv(128, 1e28F);
  std::vector<float> score(128, -200.0F);
  kv[77] = 2.0F;
  score[77] = 100.0F;
  // Weights stop shrinking at e^-86: 127 of them times 1e28 are far below one unit of 2.
  EXPECT_EQ(pooled(kv, score), 2.0F);
  for (float& s : score)
    s *= 1e30F;  // scores of any size
  EXPECT_EQ(pooled(kv, score), 2.0F);
}

TEST(PoolChannel, ScoresMayAllMoveTogether) {
  // Scores that are whole numbers move by one without rounding; the last bit of e^f may change.
  test::Random random(2);
  for (std::int64_t n = 0; n < test::repetitions(400); ++n) {
    std::vector<float> kv(128);
    std::vector<float> score(128);
    for (std::size_t w = 0; w < 128; ++w) {
      kv[w] = random.normal();
      score[w] = static_cast<float>(random.below(64) - 32);
    }
    const float before = pooled(kv, score);
    for (float& s : score)
      s += 1000.0F;
    EXPECT_NEAR(pooled(kv, score), before, 3e-8F + 0x1p-23F * std::fabs(before));
  }
}

/// One group of the written order, its weights aside.
struct WrittenGroup {
  int power;  ///< n
  float weight;
  float weight_rest;
  float value;
  float value_rest;
};

WrittenGroup written_group(const std::vector<float>& kv, const std::vector<Score>& score, int first,
                           int last) {
  float max = -numerics::kScoreLimit;  // where all rows are absent
  float size = 0;
  for (int w = first; w < last; ++w) {
    max = std::max(max, score[w].value);
    size = std::max(size, std::fabs(kv[w]));
  }
  // the product of two floats is exact in double, so this rounds once, ties to even
  WrittenGroup g{static_cast<int>(std::nearbyint(static_cast<double>(max) *
                                                 static_cast<double>(numerics::kLog2E))),
                 0, 0, 0, 0};
  const numerics::GroupScale scale{numerics::kRoundMagic - static_cast<float>(g.power),
                                   max - 86.0F};
  const float anchor = size == 0 ? 0x1.8p-121F : std::ldexp(1.5F, std::ilogb(size) + 6);
  float value = anchor;
  for (int w = first; w < last; ++w) {
    const numerics::Weight e = numerics::weight_of_score<true>(score[w].value, score[w].low, scale);
    const float next = std::fma(e.sum, kv[w], value);
    const float rest = std::fma(e.rest, kv[w], std::fma(e.whole, kv[w], value - next));
    value = next;
    g.value_rest += rest;
    g.weight += e.whole;
    g.weight_rest += e.rest;
  }
  g.value = value - anchor;
  return g;
}

// The whole order for windows of several groups, written out: groups of 8 from the oldest row on,
// each relative to a whole power of two near its largest weight, then neighbours first.
TEST(PoolChannel, FollowsTheWrittenOrder) {
  test::Random random(3);
  for (std::int64_t n = 0; n < test::repetitions(4000); ++n) {
    const std::int32_t absent = n % 3 == 0 ? static_cast<std::int32_t>(random.below(32)) : 0;
    const bool late = n % 2 == 0;
    std::vector<float> kv(32);
    std::vector<Score> score(32);
    for (std::size_t w = 0; w < 32; ++w) {
      kv[w] = random.normal();
      score[w] = {3 * random.normal(), 0.0F};
      if (late) score[w] = numerics::late_sum(score[w].value, random.normal());
    }
    WrittenGroup group[4];
    int top = -2'000'000;
    for (int g = 0; g < 4; ++g) {
      group[g] = written_group(kv, score, std::max(8 * g, absent), 8 * g + 8);
      top = std::max(top, group[g].power);
    }
    double weight[4];
    double value[4];
    for (int g = 0; g < 4; ++g) {
      const int shift = std::max(group[g].power - top, -126);
      weight[g] = static_cast<double>(std::ldexp(group[g].weight + group[g].weight_rest, shift));
      value[g] = std::ldexp(static_cast<double>(group[g].value), shift) +
                 std::ldexp(static_cast<double>(group[g].value_rest), shift);
    }
    const numerics::Pair v = numerics::pair_of((value[0] + value[1]) + (value[2] + value[3]));
    const numerics::Pair w = numerics::pair_of((weight[0] + weight[1]) + (weight[2] + weight[3]));
    for (const bool odd : {false, true}) {
      EXPECT_EQ(pool_channel(kv, score, absent, odd), numerics::pooled_of(v, w, odd))
          << "absent " << absent;
    }
  }
}

TEST(PoolChannel, AWindowOfOneGroupIsNotJoined) {
  test::Random random(6);
  for (std::int64_t n = 0; n < test::repetitions(4000); ++n) {
    std::vector<float> kv(8);
    std::vector<Score> score(8);
    for (std::size_t w = 0; w < 8; ++w) {
      kv[w] = random.normal();
      score[w] = {3 * random.normal(), 0.0F};
    }
    const auto absent = static_cast<std::int32_t>(n % 8);
    const WrittenGroup g = written_group(kv, score, absent, 8);
    for (const bool odd : {false, true}) {
      EXPECT_EQ(pool_channel(kv, score, absent, odd),
                numerics::pooled_of({g.value, g.value_rest}, {g.weight, g.weight_rest}, odd));
    }
  }
}

TEST(PoolChannel, AWindowOfOneRowIsThatRow) {
  test::Random random(5);
  for (std::int64_t n = 0; n < test::repetitions(200'000); ++n) {
    const float kv = random.normal() * std::ldexp(1.0F, static_cast<int>(random.between(-60, 115)));
    const float score = random.normal() * std::ldexp(1.0F, static_cast<int>(random.below(24)));
    ASSERT_EQ(pooled({kv}, {score}), kv) << score;
  }
}

TEST(PoolChannel, RoundedToOddIsBetweenTheSameNeighbours) {
  test::Random random(7);
  std::int64_t others = 0;
  for (std::int64_t n = 0; n < test::repetitions(20'000); ++n) {
    std::vector<float> kv(16);
    std::vector<float> score(16);
    for (std::size_t w = 0; w < 16; ++w) {
      kv[w] = random.normal();
      score[w] = random.normal();
    }
    const float nearest = pooled(kv, score);
    const float odd = pool_channel(kv, exact(score), 0, true);
    ASSERT_TRUE(odd == nearest || odd == std::nextafter(nearest, 1e30F) ||
                odd == std::nextafter(nearest, -1e30F));
    ASSERT_EQ(numerics::bits_of(odd) & 1U, 1U);  // none of these is exact
    others += odd != nearest ? 1 : 0;
  }
  EXPECT_GT(others, test::repetitions(20'000) / 4);
}

// docs/numerics.md: what float sums of weights lose at most.
TEST(PoolChannel, AHighPeakBeforeSevenLowOnesIsTheWorstOfAllSumsOfWeights) {
  std::vector<float> score(8, -16.7F);  // weights of just below 2^-24: their sum with 1 is 1
  score[0] = 0;
  EXPECT_NEAR(pooled(std::vector<float>(8, 1.0F), score), 1.0, 4.8e-7);
  EXPECT_GT(pooled(std::vector<float>(8, 1.0F), score), 1 + 3e-7F);  // or this is stale
}

// docs/numerics.md: |kv| below 2^121, and the sum of weight * |kv| below 2^128.
TEST(PoolChannel, LargeValuesPoolWhileTheirSumIsFinite) {
  const float large = std::nextafter(0x1p121F, 0.0F);
  for (const float score : {0.0F, 0.34F, -0.34F, 3.25F}) {
    for (const std::size_t window : {1U, 8U, 64U}) {
      const std::vector<float> kv(window, -large);
      EXPECT_NEAR(pooled(kv, std::vector<float>(window, score)), -large, 0x1p-23F * large)
          << window << ", " << score;
    }
    const std::vector<float> kv(128, large / 2);
    EXPECT_NEAR(pooled(kv, std::vector<float>(128, score)), large / 2, 0x1p-24F * large) << score;
  }
}

TEST(PoolChannel, SmallValuesPool) {
  for (const int exponent : {-149, -140, -127, -126, -120, -100}) {
    const float kv = std::ldexp(1.0F, exponent);
    EXPECT_EQ(pooled(std::vector<float>(16, kv), std::vector<float>(16, 0.0F)), kv) << exponent;
    EXPECT_EQ(pooled(std::vector<float>(8, 0.0F), std::vector<float>(8, 1.0F)), 0.0F);
  }
}

TEST(PoolChannel, ScoresBeyondTheLimitStillPool) {
  const float inf = std::numeric_limits<float>::infinity();
  const float last = std::numeric_limits<float>::max();
  // beyond the limit all are equal
  EXPECT_EQ(pooled({1.0F, 3.0F}, {2e6F, 3e30F}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-2e6F, -last}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {inf, last}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-inf, -inf}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {NAN, NAN}), 2.0F);
  // the largest there is decides
  EXPECT_EQ(pooled({1.0F, 3.0F}, {2e6F, 5.0F}), 1.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-2e6F, 5.0F}), 3.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-inf, 5.0F}), 3.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {NAN, 5.0F}), 3.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {NAN, inf}), 3.0F);
  // and across groups
  std::vector<float> kv(16, 1.0F);
  std::vector<float> score(16, -inf);
  kv[12] = 5.0F;
  score[12] = -3.0F;
  EXPECT_EQ(pooled(kv, score), 5.0F);
  score[3] = 1e9F;
  EXPECT_EQ(pooled(kv, score), 1.0F);
}

TEST(PoolChannel, LateSumsCountWhatRoundingTook) {
  // 1000 + 2^-16 rounds to 1000; two rows that differ only by that weigh differently
  const Score low = numerics::late_sum(1000.0F, -0x1p-16F);
  const Score high = numerics::late_sum(1000.0F, 0x1p-16F);
  ASSERT_EQ(low.value, high.value);
  const std::vector<float> kv{-1.0F, 1.0F};
  EXPECT_NEAR(pool_channel(kv, std::vector<Score>{low, high}, 0), 0x1p-16F, 2e-7F);
  EXPECT_EQ(pool_channel(kv, std::vector<Score>{{1000.0F, 0.0F}, {1000.0F, 0.0F}}, 0), 0.0F);
}

Compressor compressor(const Geometry& g, Recipe recipe, RowFormat format) {
  return {g, recipe, format, 1e-6F};
}

TEST(NormRope, UnitWeightAndNoTurnGiveRowsOfMeanSquareOne) {
  const Compressor c = compressor(Csa::value, Recipe::vllm, RowFormat::bf16);
  test::Random random(4);
  std::vector<float> row(512);
  for (float& x : row)
    x = 7 * random.normal();
  std::vector<float> weight(512, 1.0F);
  std::vector<float> rope(64, 0.0F);
  std::fill_n(rope.begin(), 32, 1.0F);  // cos
  norm_rope(c, TensorView::packed(weight.data(), DType::f32, 512), rope.data(), row.data());
  double squares = 0;
  for (const float x : row)
    squares += static_cast<double>(x) * static_cast<double>(x);
  EXPECT_NEAR(squares / 512, 1.0, 1e-5);
}

TEST(NormRope, RotatesOnlyTheLastChannelsInPairs) {
  for (const Recipe recipe : {Recipe::vllm, Recipe::sglang}) {
    const Compressor c = compressor(Csa::value, recipe, RowFormat::bf16);
    std::vector<float> row(512);
    for (std::size_t i = 0; i < 512; ++i)
      row[i] = static_cast<float>(i % 2 == 0 ? 1 : -1);
    std::vector<float> weight(512, 1.0F);
    std::vector<float> rope(64);
    for (std::size_t i = 0; i < 32; ++i) {  // a quarter turn for odd pairs, none for the others
      const bool pairs = recipe == Recipe::sglang;
      rope[pairs ? 2 * i : i] = i % 2 == 0 ? 1.0F : 0.0F;
      rope[pairs ? 2 * i + 1 : 32 + i] = i % 2 == 0 ? 0.0F : 1.0F;
    }
    norm_rope(c, TensorView::packed(weight.data(), DType::f32, 512), rope.data(), row.data());
    for (std::size_t i = 0; i < 512; i += 2) {
      const bool turned = i >= 448 && (i - 448) / 2 % 2 == 1;
      EXPECT_GT(row[i], 0.99F) << i;
      EXPECT_NEAR(row[i + 1], turned ? 1.0F : -1.0F, 1e-5F) << i;
    }
  }
}

/// Rows of one fp8_mla block whose largest magnitude is amax, through encode.
struct EncodedBlock {
  int byte;
  int code;
};

EncodedBlock encode_fp8(float amax, Recipe recipe) {
  std::vector<float> row(512, 0.0F);
  row[3] = amax;
  std::vector<std::uint8_t> values(576, 0xEE);
  std::vector<std::uint8_t> scales(8, 0xEE);
  encode(compressor(Hca::value, recipe, RowFormat::fp8_mla), row.data(), 1.0F, values.data(),
         scales.data());
  EXPECT_EQ(scales[7], 0);
  return {scales[0], values[3]};
}

// bf16(1e-4) is a little above 1e-4, so the spec's row for 1e-4 belongs to the codes' own test.
TEST(Encode, Fp8BlocksOfTheSpec) {
  const struct {
    float amax;
    int byte;
    int code;
  } blocks[] = {{0.0F, 105, 0x00},       {0.5F, 118, 0x78},   {1.75F, 119, 0x7E},
                {1.7578125F, 120, 0x76}, {448.0F, 127, 0x7E}, {450.0F, 128, 0x76},
                {1000.0F, 129, 0x78}};
  for (const auto& b : blocks) {
    const EncodedBlock got = encode_fp8(b.amax, Recipe::deepseek);
    EXPECT_EQ(got.byte, b.byte) << b.amax;
    EXPECT_EQ(got.code, b.code) << b.amax;
  }
  EXPECT_EQ(encode_fp8(0.0F, Recipe::vllm).byte, 114);  // the floor is the scale's: 2^-13
  EXPECT_EQ(encode_fp8(0.0F, Recipe::vllm_triton).byte, 105);
  EXPECT_EQ(encode_fp8(0.0F, Recipe::sglang).byte, 105);
}

TEST(Encode, Fp4BlocksOfTheSpec) {
  const struct {
    float amax;
    int byte;
    int code;
  } blocks[] = {{0.0F, 1, 0},         {0.5F, 124, 6}, {0.75F, 124, 7},
                {0.7578125F, 125, 5}, {6.0F, 127, 7}, {6.0625F, 128, 5}};
  for (const auto& b : blocks) {
    std::vector<float> row(128, 0.0F);
    row[33] = -b.amax;
    std::vector<std::uint8_t> values(64, 0xEE);
    std::vector<std::uint8_t> scales(4, 0xEE);
    encode(compressor(Indexer::value, Recipe::vllm, RowFormat::index_mxfp4), row.data(), 1.0F,
           values.data(), scales.data());
    EXPECT_EQ(scales[0], 1);
    EXPECT_EQ(scales[1], b.byte) << b.amax;
    EXPECT_EQ(values[16] >> 4, 8 | b.code)
        << b.amax;  // odd channel: high nibble; negative, also -0
    EXPECT_EQ(values[16] & 15, 0);
  }
}

TEST(Encode, SglangFp4HasNoNegativeZeroAndAFloorOf1e4) {
  // A row of one channel, spread by the Hadamard transform: all magnitudes are equal.
  std::vector<float> row(128, 0.0F);
  row[0] = -1e-6F;
  std::vector<std::uint8_t> values(64, 0xEE);
  std::vector<std::uint8_t> scales(4, 0xEE);
  encode(compressor(Indexer::value, Recipe::sglang, RowFormat::index_mxfp4), row.data(), 1.0F,
         values.data(), scales.data());
  for (const std::uint8_t v : values)
    EXPECT_EQ(v, 0);
  for (const std::uint8_t s : scales)
    EXPECT_EQ(s, 127 - 15);
}

TEST(Encode, IndexScalesOfTheRecipes) {
  std::vector<float> values_in(128, 0.0F);
  for (std::size_t i = 0; i < 128; ++i)
    values_in[i] = i % 2 == 0 ? 3.0F : -1.5F;
  std::vector<std::uint8_t> values(128);
  float scale = 0;
  std::vector<float> row = values_in;
  encode(compressor(Indexer::value, Recipe::vllm, RowFormat::index_fp8), row.data(), 1.0F,
         values.data(), reinterpret_cast<std::uint8_t*>(&scale));
  EXPECT_EQ(scale, 0x1p-7F);  // 3 / 448 <= 2^-7
  EXPECT_EQ(numerics::e4m3_value(values[0]) * scale, 3.0F);
  EXPECT_EQ(numerics::e4m3_value(values[1]) * scale, -1.5F);
  // sglang: through the transform only channels 0 and 1 are left, (3 - 1.5)/2 * sqrt(128) and ..
  row = values_in;
  encode(compressor(Indexer::value, Recipe::sglang, RowFormat::index_fp8), row.data(), 1.0F,
         values.data(), reinterpret_cast<std::uint8_t*>(&scale));
  EXPECT_NEAR(scale, 2.25 * std::sqrt(128.0) / 448, 1e-7);
  EXPECT_EQ(values[1], 0x7E);
  EXPECT_EQ(values[2] & 0x7F, 0);
}

TEST(Encode, Fp8TensorDividesByTheGivenScale) {
  std::vector<float> row(512, 1.001F);
  std::vector<std::uint8_t> values(512);
  encode(compressor(Hca::value, Recipe::vllm, RowFormat::fp8_tensor), row.data(), 0.5F,
         values.data(), nullptr);
  for (const std::uint8_t v : values)
    EXPECT_EQ(v, 0x40);  // bf16(1.001) is 1; 1 / 0.5 = 2
}

TEST(Encode, Bf16IsLittleEndianAndRounded) {
  std::vector<float> row(512, 1.00390625F);  // a tie between 1 and the next bf16: even is 1
  std::vector<std::uint8_t> values(1024);
  encode(compressor(Hca::value, Recipe::vllm, RowFormat::bf16), row.data(), 1.0F, values.data(),
         nullptr);
  EXPECT_EQ(values[0], 0x80);
  EXPECT_EQ(values[1], 0x3F);
}

}  // namespace
}  // namespace pleat::reference
