// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "fuzz/c_api_body.hpp"

namespace pleat {
namespace {

#if defined(PLEAT_SANITIZED)
constexpr int kCalls = 3000;
#else
constexpr int kCalls = 15000;
#endif

std::vector<std::uint8_t> random_input(std::mt19937& rng) {
  std::vector<std::uint8_t> input(64);
  for (std::uint8_t& b : input)
    b = static_cast<std::uint8_t>(rng());
  return input;
}

/// The fuzz target's body over fixed random inputs, so that every test run has it.
TEST(Corruption, IsRefusedOrStaysInsideTheOutputs) {
  std::mt19937 rng(20260);
  for (int i = 0; i < kCalls; ++i) {
    const auto input = random_input(rng);
    ASSERT_EQ(fuzz::check_one(input.data(), input.size()), "") << "input " << i;
  }
}

/// The generator must reach both sides, and each reason to refuse, or the test above says little.
TEST(Corruption, ReachesEveryOpAndStatus) {
  std::mt19937 rng(20261);
  std::map<std::pair<int, int>, int> seen;
  for (int i = 0; i < 3000; ++i) {
    const auto input = random_input(rng);
    fuzz::Input in(input.data(), input.size());
    fuzz::FuzzCall f(in);
    if (f.exec.backend == PLEAT_CUDA || !fuzz::runnable(f)) continue;
    ++seen[{f.op, pleat_run(f.op, f.call_struct(), &f.exec)}];
  }
  for (int op = 0; op < 6; ++op) {
    for (const int status : {PLEAT_OK, PLEAT_INVALID_ARGUMENT, PLEAT_OUT_OF_RANGE}) {
      EXPECT_GT((seen[{op, status}]), 5) << "op " << op << ", status " << status;
    }
  }
}

}  // namespace
}  // namespace pleat
