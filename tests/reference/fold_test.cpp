// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "reference/fold.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "numerics/order.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

namespace pleat::reference {
namespace {

using numerics::Score;

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Scores that nothing was added to.
std::vector<Score> exact(const std::vector<float>& x) {
  std::vector<Score> out;
  for (const float v : x)
    out.push_back(numerics::plain_score(v));
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
      EXPECT_NEAR(pooled_channel(row, c), want[row][c], 3e-8) << row << ", " << c;
  }
  EXPECT_NEAR(pooled_channel(1, 0, true), 0.049146311069, 3e-8);
  EXPECT_NEAR(pooled_channel(1, 1, true), 0.062532502219, 3e-8);
}

TEST_F(OverlapByHand, NormAndRope) {
  const double want[3][2] = {
      {0, 0}, {0.067158133672, 0.978045156767}, {-0.545600104807, 1.131379864399}};
  for (int row = 1; row < 3; ++row) {
    const float x[2] = {pooled_channel(row, 0), pooled_channel(row, 1)};
    const double mean = numerics::mean_square(numerics::pair_squares(x[0], x[1]), 2, 1e-6F);
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
    // far below half a unit of the mean's last place, whatever the weight
    for (const float score : {0.0F, 3.25F, -64.0F, 64.0F, 64.1F, -777.7F, 1e6F, 1e38F, -1e38F})
      EXPECT_EQ(pooled(kv, std::vector<float>(window, score)), mean) << window << ", " << score;
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
        score[w] = kInf;
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
  // Weights stop shrinking at e^-128: 127 of them times 1e28 are far below one unit of 2.
  EXPECT_EQ(pooled(kv, score), 2.0F);
  for (float& s : score)
    s *= 1e30F;  // scores of any size
  EXPECT_EQ(pooled(kv, score), 2.0F);
}

TEST(PoolChannel, WeightsOfABeyondGroupStopShrinkingAt128BelowItsLargest) {
  const float kv = 0x1p100F;
  const auto tail = [&](float score) { return pooled({0.0F, kv}, {100.0F, score}); };
  const double floor = std::exp(-128.0) * static_cast<double>(kv);
  EXPECT_NEAR(tail(-27.5F) / floor, std::exp(0.5), 1e-6);
  for (const float score : {-28.0F, -28.5F, -1000.0F, -3e38F})
    EXPECT_NEAR(tail(score) / floor, 1.0, 1e-6) << score;
  // a group that all is plain in has none: its scores are no more than 128 apart
  EXPECT_NEAR(pooled({0.0F, kv}, {64.0F, -64.0F}) / floor, 1.0, 1e-6);
}

TEST(PoolChannel, ScoresMayAllMoveTogether) {
  // Scores that are whole numbers move by one without rounding; e^f is off by other parts of 5e-11.
  test::Random random(2);
  for (std::int64_t n = 0; n < test::repetitions(400); ++n) {
    std::vector<float> kv(128);
    std::vector<float> score(128);
    for (std::size_t w = 0; w < 128; ++w) {
      kv[w] = random.normal();
      score[w] = static_cast<float>(random.below(64) - 32);
    }
    const float before = pooled(kv, score);
    for (const float move : {1.0F, 31.0F, 33.0F, 1000.0F, -1e6F}) {
      std::vector<float> moved = score;
      for (float& s : moved)
        s += move;
      ASSERT_NEAR(pooled(kv, moved), before, 3e-10F + 0x1p-23F * std::fabs(before)) << move;
    }
  }
}

/// Sums of the written order, at 2^power; none where there are no rows.
struct Written {
  int power = 0;
  double weight = 0;
  double value = 0;
};
using Rows = std::optional<Written>;

/// Neither is changed but by powers of two, 2^-512 at the least.
Rows written_join(const Rows& a, const Rows& b) {
  if (!a) return b;
  if (!b) return a;
  const int top = std::max(a->power, b->power);
  const auto brought = [&](double x, int power) {
    return std::ldexp(x, std::max(power - top, -512));
  };
  return Written{top, brought(a->weight, a->power) + brought(b->weight, b->power),
                 brought(a->value, a->power) + brought(b->value, b->power)};
}

/// A span, rows [first, last), and the group after it, to `end`.
Rows written_group(const Rows& span, const std::vector<float>& kv, const std::vector<Score>& score,
                   int last, int end) {
  if (last >= end) return span;
  float max = -numerics::kScoreLimit;
  bool plain = true;
  for (int w = last; w < end; ++w) {
    if (score[w].value > max) max = score[w].value;
    if (!(score[w].value >= -64 && score[w].value <= 64)) plain = false;
  }
  max = std::min(max, numerics::kScoreLimit);
  const int power = plain ? 0 : static_cast<int>(std::nearbyint(max * 1.4426950408889634));
  const auto floor = static_cast<double>(std::max(max - 128.0F, -numerics::kScoreLimit));
  const bool goes_on = span && span->power == power;
  Written g = goes_on ? *span : Written{power};
  for (int w = last; w < end; ++w) {
    double z = score[w].exact;
    if (!plain && !(z > floor)) z = floor;
    if (!plain) z = std::min(z, 0x1p20);
    const double e = numerics::weight_of_score(z, 0x1.8p52 - power);
    g.value = std::fma(e, static_cast<double>(kv[w]), g.value);
    g.weight = g.weight + e;
  }
  return goes_on ? Rows(g) : written_join(span, g);
}

/// Rows [first, last): halves of them, down to spans of 16, the groups of which come in turn.
Rows written_rows(const std::vector<float>& kv, const std::vector<Score>& score, int absent,
                  int first, int last) {
  if (last - first > 16) {
    const int middle = (first + last) / 2;
    return written_join(written_rows(kv, score, absent, first, middle),
                        written_rows(kv, score, absent, middle, last));
  }
  Rows span;
  for (; first < last; first += 8)
    span = written_group(span, kv, score, std::max(first, absent), std::min(first + 8, last));
  return span;
}

float written_pooled(const std::vector<float>& kv, const std::vector<Score>& score,
                     std::int32_t absent, bool odd) {
  const Rows all = written_rows(kv, score, absent, 0, static_cast<int>(kv.size()));
  return numerics::pooled_of({all->weight, all->value, 0}, odd);
}

/// Two rows take up what the others leave, so that roundings are all of what is pooled: one done
/// elsewhere shows. Left as it is where no float cancels it.
void cancel(std::vector<float>& kv, const std::vector<Score>& score, std::int32_t absent) {
  std::vector<std::size_t> order;
  for (auto w = static_cast<std::size_t>(absent); w < kv.size(); ++w)
    order.push_back(w);
  if (order.size() < 3) return;
  const auto more = [&](std::size_t a, std::size_t b) {
    return score[a].value > score[b].value || (score[b].value != score[b].value &&  // NaN
                                               score[a].value == score[a].value);
  };
  std::partial_sort(order.begin(), order.begin() + 2, order.end(), more);
  kv[order[0]] = kv[order[1]] = 0;
  for (const std::size_t row : {order[0], order[1]}) {
    std::vector<float> alone(kv.size(), 0.0F);
    alone[row] = 1;
    const float taken = -pool_channel(kv, score, absent) / pool_channel(alone, score, absent);
    if (std::isfinite(taken)) kv[row] = taken;
  }
}

/// Scores of a window: some of its groups may be beyond what is measured from 0, by little or much.
std::vector<Score> random_scores(test::Random& random, std::size_t window, std::int64_t n) {
  std::vector<Score> score(window);
  const float group_spread[] = {0.0F, 30.0F, 300.0F, 1e6F};
  float middle = 0;
  for (std::size_t w = 0; w < window; ++w) {
    if (w % 8 == 0) middle = random.normal() * group_spread[n % 4];
    score[w] = numerics::plain_score(middle + 3 * random.normal());
    if (n % 5 == 0) score[w] = numerics::late_sum(score[w].value, random.normal());
    if (n % 7 == 0 && random.chance(0.2)) {
      const float odd_ones[] = {64.0F, -64.0F, 64.5F, -70.0F, -kInf, NAN, kInf, 3e38F, -3e38F};
      score[w] = numerics::plain_score(odd_ones[random.below(9)]);
    }
  }
  return score;
}

// The whole order, written out: spans of 16 rows, groups of 8 rows in them, each measured from 0 or
// from a whole power of two near its largest weight, spans joined neighbours first.
TEST(PoolChannel, FollowsTheWrittenOrder) {
  test::Random random(3);
  for (const std::size_t window : {1U, 2U, 4U, 8U, 16U, 32U, 128U, 2048U}) {
    for (std::int64_t n = 0; n < test::repetitions(window > 32 ? 400 : 4000); ++n) {
      std::vector<float> kv(window);
      for (float& x : kv)
        x = random.normal();
      const std::vector<Score> score = random_scores(random, window, n);
      const auto size = static_cast<std::int64_t>(window);
      const auto absent = static_cast<std::int32_t>(n % 3 == 0 ? random.below(size) : 0);
      if (n / 4 % 2 == 0) cancel(kv, score, absent);
      for (const bool odd : {false, true}) {
        const float got = pool_channel(kv, score, absent, odd);
        ASSERT_TRUE(std::isfinite(got));
        ASSERT_EQ(numerics::bits_of(got), numerics::bits_of(written_pooled(kv, score, absent, odd)))
            << "window " << window << " absent " << absent << " n " << n;
      }
    }
  }
}

// Groups that are measured from 0 and groups that are not, side by side, against what exp says.
TEST(PoolChannel, GroupsBeyond64JoinOthers) {
  test::Random random(8);
  for (std::int64_t n = 0; n < test::repetitions(4000); ++n) {
    std::vector<float> kv(32);
    std::vector<float> score(32);
    for (std::size_t w = 0; w < 32; ++w) {
      kv[w] = random.normal();
      score[w] = (n % 2 == 0 ? 63.0F : -63.0F) + random.normal();
    }
    long double weights = 0;
    long double sum = 0;
    for (std::size_t w = 0; w < 32; ++w) {
      const long double e = std::exp(static_cast<long double>(score[w]));
      weights += e;
      sum += e * static_cast<long double>(kv[w]);
    }
    const auto want = static_cast<double>(sum / weights);
    ASSERT_NEAR(static_cast<double>(pooled(kv, score)), want, 3e-10 + 0x1p-24 * std::fabs(want));
  }
}

TEST(PoolChannel, AWindowOfOneRowIsThatRow) {
  test::Random random(5);
  for (std::int64_t n = 0; n < test::repetitions(200'000); ++n) {
    const float kv = random.any_finite();
    const float score = n % 2 == 0 ? random.any_finite() : 30 * random.normal();
    ASSERT_EQ(pooled({kv}, {score}), kv) << score;
    // weight * kv is rounded, to a double: one that is odd may be its neighbour
    const float odd = pool_channel(std::vector<float>{kv}, exact({score}), 0, true);
    if ((numerics::bits_of(kv) & 1U) != 0) {
      ASSERT_EQ(odd, kv) << score;
    } else {
      ASSERT_TRUE(odd == kv || odd == std::nextafter(kv, kInf) || odd == std::nextafter(kv, -kInf))
          << kv << ", " << score;
    }
  }
}

TEST(PoolChannel, EqualRowsAreThatRow) {
  test::Random random(9);
  for (std::int64_t n = 0; n < test::repetitions(20'000); ++n) {
    const auto window = std::size_t{1} << random.below(7);
    const std::vector<float> kv(window, random.any_finite());
    const std::vector<Score> score = random_scores(random, window, n);
    ASSERT_EQ(pool_channel(kv, score, 0), kv[0]) << n;
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

// docs/numerics.md: finite kv give a finite pooled channel.
TEST(PoolChannel, LargeValuesPool) {
  const float most = std::numeric_limits<float>::max();
  for (const float score : {0.0F, 0.34F, -3.25F, 64.0F, -64.0F, 65.0F, 1e30F, -1e30F}) {
    for (const std::size_t window : {1U, 8U, 64U, 2048U}) {
      std::vector<float> kv(window, -most);
      const std::vector<float> scores(window, score);
      EXPECT_EQ(pooled(kv, scores), -most) << window << ", " << score;
      EXPECT_EQ(pool_channel(kv, exact(scores), 0, true), -most) << window << ", " << score;
      for (std::size_t w = 0; w < window; w += 2)
        kv[w] = most;
      // what is left of them is what roundings to double leave
      const float left = window == 1 ? most : 0.0F;
      EXPECT_NEAR(pooled(kv, scores), left, 0x1p-50F * most) << window << ", " << score;
    }
  }
}

TEST(PoolChannel, SmallValuesPool) {
  for (const int exponent : {-149, -140, -127, -126, -120, -100}) {
    const float kv = std::ldexp(1.0F, exponent);
    for (const float score : {0.0F, 1.7F, -64.0F, 64.0F, 1e30F, -1e30F}) {
      EXPECT_EQ(pooled(std::vector<float>(16, kv), std::vector<float>(16, score)), kv) << exponent;
      EXPECT_EQ(pooled(std::vector<float>(8, 0.0F), std::vector<float>(8, score)), 0.0F);
    }
  }
}

TEST(PoolChannel, ScoresBeyondTheLimitStillPool) {
  const float last = std::numeric_limits<float>::max();
  // beyond the limit all are equal
  EXPECT_EQ(pooled({1.0F, 3.0F}, {2e6F, 3e30F}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-2e6F, -last}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {kInf, last}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-kInf, -kInf}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {NAN, NAN}), 2.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-1048700.0F, -1048800.0F}), 2.0F);  // either side of the reach
  EXPECT_EQ(pooled(std::vector<float>(2048, 3.0F), std::vector<float>(2048, -kInf)), 3.0F);
  // the largest there is decides
  EXPECT_EQ(pooled({1.0F, 3.0F}, {2e6F, 5.0F}), 1.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-2e6F, 5.0F}), 3.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {-kInf, 5.0F}), 3.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {NAN, 5.0F}), 3.0F);
  EXPECT_EQ(pooled({1.0F, 3.0F}, {NAN, kInf}), 3.0F);
  // and across groups
  std::vector<float> kv(16, 1.0F);
  std::vector<float> score(16, -kInf);
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
  EXPECT_NEAR(pool_channel(kv, std::vector<Score>{low, high}, 0), 0x1p-16F, 1e-10F);
  EXPECT_EQ(pool_channel(kv, exact({1000.0F, 1000.0F}), 0), 0.0F);
  // and where no float holds the sum: it is clamped all the same, NaN for the lowest
  const Score sum_beyond = numerics::late_sum(3e38F, 3e38F);
  const Score no_sum = numerics::late_sum(kInf, -kInf);
  EXPECT_EQ(pool_channel(std::vector<float>{1.0F, 3.0F},
                         std::vector<Score>{sum_beyond, numerics::plain_score(2e6F)}, 0),
            2.0F);
  EXPECT_EQ(pool_channel(std::vector<float>{1.0F, 3.0F},
                         std::vector<Score>{no_sum, numerics::plain_score(5.0F)}, 0),
            3.0F);
}

}  // namespace
}  // namespace pleat::reference
