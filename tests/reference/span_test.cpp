// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

// How a window is cut into spans and groups: what is added row after row, and what is joined. Each
// window here is worked out by hand, from weights that are powers of two or taken as they are.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "numerics/order.hpp"
#include "reference/fold.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

namespace pleat::reference {
namespace {

using numerics::bits_of;
using numerics::Score;
using numerics::weight_of_score;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kHuge = 0x1p60F;  // 1 beside it is lost

float pooled(const std::vector<float>& kv, const std::vector<float>& score, int absent = 0,
             bool odd = false) {
  std::vector<Score> scores;
  for (const float s : score)
    scores.push_back(numerics::plain_score(s));
  return pool_channel(kv, scores, absent, odd);
}

/// Zeros, but for some rows.
struct Row {
  std::size_t row;
  float kv;
};
std::vector<float> rows_of(std::size_t window, const std::vector<Row>& rows) {
  std::vector<float> kv(window, 0.0F);
  for (const Row& r : rows)
    kv[r.row] = r.kv;
  return kv;
}

/// e^score / 2^n.
double weight(float score, int n) {
  return weight_of_score(static_cast<double>(score), numerics::kRoundMagic - n);
}

TEST(Spans, SumsRunThroughASpanAndNoFarther) {
  for (const float score : {0.0F, 70.0F, -70.0F, 1e30F}) {  // all of one scale, whichever it is
    SCOPED_TRACE(score);
    const auto sum = [&](std::size_t window, const std::vector<Row>& rows) {
      const float x = pooled(rows_of(window, rows), std::vector<float>(window, score));
      return x * static_cast<float>(window);
    };
    // huge - huge + 1, row after row: also from one group of a span to the next
    EXPECT_EQ(sum(8, {{0, kHuge}, {5, -kHuge}, {7, 1}}), 1.0F);
    EXPECT_EQ(sum(16, {{0, kHuge}, {8, -kHuge}, {9, 1}}), 1.0F);
    EXPECT_EQ(sum(16, {{7, kHuge}, {8, 1}, {9, -kHuge}}), 0.0F);
    EXPECT_EQ(sum(32, {{16, kHuge}, {24, -kHuge}, {31, 1}}), 1.0F);
    // the next span starts from 0: -huge + 1 is -huge there
    EXPECT_EQ(sum(32, {{0, kHuge}, {16, -kHuge}, {17, 1}}), 0.0F);
    EXPECT_EQ(sum(32, {{15, kHuge}, {16, 1}, {17, -kHuge}}), 0.0F);
    EXPECT_EQ(sum(32, {{0, kHuge}, {1, -kHuge}, {16, 1}}), 1.0F);
  }
}

TEST(Spans, NeighboursAreJoinedFirst) {
  const auto sum = [](std::size_t window, const std::vector<Row>& rows) {
    return pooled(rows_of(window, rows), std::vector<float>(window, 0.0F)) *
           static_cast<float>(window);
  };
  // (s0 + s1) + (s2 + s3)
  EXPECT_EQ(sum(64, {{0, kHuge}, {16, -kHuge}, {32, 1}, {48, 1}}), 2.0F);
  EXPECT_EQ(sum(64, {{0, 1}, {16, 1}, {32, kHuge}, {48, -kHuge}}), 2.0F);
  EXPECT_EQ(sum(64, {{0, kHuge}, {16, 1}, {32, -kHuge}, {48, 1}}), 0.0F);
  EXPECT_EQ(sum(64, {{0, 1}, {16, kHuge}, {32, -kHuge}, {48, 1}}), 0.0F);
  // halves of 128
  EXPECT_EQ(sum(128, {{0, kHuge}, {48, -kHuge}, {64, 1}, {112, 1}}), 2.0F);
  EXPECT_EQ(sum(128, {{48, kHuge}, {64, 1}, {80, -kHuge}}), 0.0F);
}

/// Sums of 8 rows from `first` on, from 0 or from what is there.
void add_rows(numerics::Folded& f, const std::vector<float>& kv, const std::vector<float>& score,
              std::size_t first) {
  for (std::size_t w = first; w < first + 8; ++w) {
    const double e = weight(score[w], f.n);
    f.weight += e;
    f.value = std::fma(e, static_cast<double>(kv[w]), f.value);
  }
}

/// kv that leave next to nothing, so that every rounding on the way shows.
void cancel(std::vector<float>& kv, const std::vector<float>& score, std::size_t a, std::size_t b) {
  kv[a] = kv[b] = 0;
  for (const std::size_t row : {a, b})
    kv[row] = -pooled(kv, score) / pooled(rows_of(kv.size(), {{row, 1}}), score);
}

struct Scales {
  float score[2];  ///< the largest of each group
  int n[2];
};

class SpanOfTwoScales : public ::testing::TestWithParam<Scales> {};

TEST_P(SpanOfTwoScales, IsJoinedAtTheLarger) {
  const Scales& s = GetParam();
  const int top = std::max(s.n[0], s.n[1]);
  test::Random random(1);
  std::int64_t others = 0;
  for (std::int64_t i = 0; i < test::repetitions(4000); ++i) {
    std::vector<float> kv(16);
    std::vector<float> score(16);
    for (std::size_t w = 0; w < 16; ++w) {
      kv[w] = random.normal();
      score[w] = s.score[w / 8] - static_cast<float>(w % 8 == 3 ? 0 : random.unit());
    }
    if (i % 2 == 0) {
      const std::size_t larger = s.n[0] > s.n[1] ? 0 : 8;
      cancel(kv, score, larger + 1, larger + 6);
    }
    numerics::Folded g[2] = {{0.0, 0.0, s.n[0]}, {0.0, 0.0, s.n[1]}};
    for (std::size_t j = 0; j < 2; ++j)
      add_rows(g[j], kv, score, 8 * j);
    numerics::Folded all{0.0, 0.0, top};
    for (const numerics::Folded& f : g) {
      const int shift = std::max(f.n - top, -512);
      all.weight += std::ldexp(f.weight, shift);
      all.value += std::ldexp(f.value, shift);
    }
    for (const bool odd : {false, true}) {
      ASSERT_EQ(bits_of(pooled(kv, score, 0, odd)), bits_of(numerics::pooled_of(all, odd))) << i;
    }
    // weights of one scale, added row after row, would be rounded elsewhere
    numerics::Folded run{0.0, 0.0, top};
    for (std::size_t j = 0; j < 2; ++j)
      add_rows(run, kv, score, 8 * j);
    others += numerics::pooled_of(run, false) != pooled(kv, score) ? 1 : 0;
  }
  if (std::abs(s.n[0] - s.n[1]) < 40) {
    EXPECT_GT(others, test::repetitions(4000) / 20);  // or it could not tell
  }
}

INSTANTIATE_TEST_SUITE_P(
    Spans, SpanOfTwoScales,
    ::testing::Values(Scales{{64.0F, 65.0F}, {0, 94}}, Scales{{65.0F, 64.0F}, {94, 0}},
                      Scales{{65.0F, 66.0F}, {94, 95}}, Scales{{80.0F, 70.0F}, {115, 101}},
                      Scales{{-66.0F, -80.0F}, {-95, -115}}, Scales{{-80.0F, -60.0F}, {-115, 0}},
                      Scales{{1000.0F, 60.0F}, {1443, 0}}, Scales{{-60.0F, 1e6F}, {0, 1442695}}),
    [](const auto& info) { return "Pair" + std::to_string(info.index); });

// The others of its span come to its scale, or it to theirs; the spans beside it only when they are
// joined.
TEST(Spans, OneGroupBeyondPlainMovesItsSpanAlone) {
  test::Random random(2);
  for (std::size_t beyond = 0; beyond < 16; ++beyond) {
    for (const float peak : {64.5F, 75.0F, -75.0F, 900.0F}) {
      SCOPED_TRACE(std::to_string(beyond) + ", " + std::to_string(peak));
      const int n = static_cast<int>(std::nearbyint(peak * 1.4426950408889634));
      std::vector<float> kv(128);
      std::vector<float> score(128);
      for (std::size_t w = 0; w < 128; ++w) {
        kv[w] = random.normal();
        score[w] = peak > 0 ? 60 + random.normal() : -62 + random.normal() / 4;
        if (w / 8 == beyond) score[w] = peak - static_cast<float>(w % 8 == 0 ? 0 : random.unit());
      }
      if (beyond % 2 == 0 && peak < 100) cancel(kv, score, 8 * beyond, (8 * beyond + 64) % 128);
      std::vector<numerics::Folded> all(8, {0.0, 0.0, 0});
      for (std::size_t s = 0; s < 8; ++s) {
        if (s != beyond / 2) {  // 16 rows in turn
          add_rows(all[s], kv, score, 16 * s);
          add_rows(all[s], kv, score, 16 * s + 8);
          continue;
        }
        numerics::Folded plain{0.0, 0.0, 0};
        numerics::Folded apart{0.0, 0.0, n};
        add_rows(apart, kv, score, 8 * beyond);
        add_rows(plain, kv, score, 8 * (beyond ^ 1U));
        const int top = std::max(n, 0);
        all[s] = {std::ldexp(plain.weight, std::max(0 - top, -512)) +
                      std::ldexp(apart.weight, std::max(n - top, -512)),
                  std::ldexp(plain.value, std::max(0 - top, -512)) +
                      std::ldexp(apart.value, std::max(n - top, -512)),
                  top};
      }
      while (all.size() > 1) {
        std::vector<numerics::Folded> next;
        for (std::size_t i = 0; i < all.size(); i += 2) {
          const int top = std::max(all[i].n, all[i + 1].n);
          const int a = std::max(all[i].n - top, -512);
          const int b = std::max(all[i + 1].n - top, -512);
          next.push_back({std::ldexp(all[i].weight, a) + std::ldexp(all[i + 1].weight, b),
                          std::ldexp(all[i].value, a) + std::ldexp(all[i + 1].value, b), top});
        }
        all = next;
      }
      for (const bool odd : {false, true}) {
        ASSERT_EQ(bits_of(pooled(kv, score, 0, odd)), bits_of(numerics::pooled_of(all[0], odd)));
      }
    }
  }
}

// A span that is brought up by 2^512 twice is 2^1024 below: less than a double holds, and nothing.
TEST(Spans, WhatIsFarBelowMayBeBroughtUpAgainAndAgain) {
  std::vector<float> score(64, 0.0F);
  std::fill_n(score.begin() + 8, 8, 1000.0F);
  std::fill_n(score.begin() + 16, 16, 2000.0F);
  std::fill_n(score.begin() + 32, 32, 4000.0F);
  std::vector<float> kv(64, 0x1p127F);
  std::fill_n(kv.begin() + 32, 32, 1.0F);
  EXPECT_EQ(pooled(kv, score), 1.0F);
  std::fill_n(kv.begin() + 32, 32, 0.0F);
  EXPECT_EQ(pooled(kv, score), 0.0F);
  // once: 2^-512 of it, and a float holds none of that either
  std::fill_n(kv.begin() + 8, 8, 0.0F);
  std::fill_n(kv.begin() + 16, 16, 0.0F);
  EXPECT_EQ(pooled(kv, score), 0.0F);
}

TEST(Spans, EmptySpansChangeNothing) {
  test::Random random(3);
  for (const float base : {0.0F, 100.0F, -100.0F, 1e30F, -1e30F}) {
    for (std::size_t window = 32; window <= 2048; window *= 4) {
      for (std::size_t rows = 1; rows < window; rows += 1 + window / 32) {
        std::vector<float> kv(window, NAN);
        std::vector<float> score(window, NAN);
        for (std::size_t w = window - rows; w < window; ++w) {
          kv[w] = random.normal();
          score[w] = base + random.normal();
        }
        const auto absent = static_cast<int>(window - rows);
        const float got = pooled(kv, score, absent);
        ASSERT_TRUE(std::isfinite(got));
        // half the window, if that holds all rows, is the same tree
        if (rows > window / 2) continue;
        const auto middle = static_cast<std::ptrdiff_t>(window / 2);
        const std::vector<float> half(kv.begin() + middle, kv.end());
        const std::vector<float> half_score(score.begin() + middle, score.end());
        ASSERT_EQ(bits_of(got), bits_of(pooled(half, half_score, absent - middle)))
            << rows << " of " << window << ", " << base;
      }
      // one row in the youngest span
      std::vector<float> kv(window, NAN);
      kv.back() = 0.7F;
      std::vector<float> score(window, kInf);
      score.back() = base;
      ASSERT_EQ(pooled(kv, score, static_cast<int>(window) - 1), 0.7F);
    }
  }
}

}  // namespace
}  // namespace pleat::reference
