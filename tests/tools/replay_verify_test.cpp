// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_verify.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace pleat::tools {
namespace {

TEST(VerifyTotals, MayDifferByNoMoreThanTheOraclesLimits) {
  VerifyTotals t;
  t.rows = 400;
  t.counts = {10000, 19, 0, 2};  // codes, one quantum off, further, scales
  EXPECT_TRUE(t.ok());
  t.counts = {10000, 20, 0, 0};
  EXPECT_FALSE(t.ok()) << "2e-3 of the codes";
  t.counts = {10000, 0, 0, 3};
  EXPECT_FALSE(t.ok()) << "more than one scale for 200 rows";
  t.counts = {10000, 0, 1, 0};
  EXPECT_FALSE(t.ok()) << "further off";
  t.rows = 1;
  t.counts = {448, 0, 0, 1};
  EXPECT_TRUE(t.ok()) << "one scale may differ";
}

TEST(RowVerifier, SamplesFirstRowsAndAboutTheRate) {
  ReplaySetup setup;
  setup.model = make_model({1, 0, 0}, Recipe::vllm, default_row_formats(Recipe::vllm));
  setup.rope = std::make_shared<const std::vector<float>>(64);
  const auto sampled = [&](double rate, std::int64_t first) {
    const RowVerifier verifier(setup, rate);
    std::int64_t n = 0;
    for (std::int64_t request = 0; request < 20; ++request) {
      for (std::int64_t row = first; row < first + 100; ++row)
        n += verifier.sampled(0, request, row) ? 1 : 0;
    }
    return n;
  };
  EXPECT_EQ(sampled(0, 0), 0);
  EXPECT_EQ(sampled(1, 1), 2000);
  EXPECT_GE(sampled(1e-6, 0), 20) << "the first row of each request";
  EXPECT_NEAR(static_cast<double>(sampled(0.5, 1)), 1000, 150);
}

}  // namespace
}  // namespace pleat::tools
