// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_pools.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

using ::testing::HasSubstr;

PoolPlan plan(
    std::int64_t budget, std::int64_t max_bytes, const std::function<void()>& going_on = [] {}) {
  const std::vector<TraceRequest> requests{{0, 0, 300, 20}, {1, 5'000, 513, 0}, {2, 5'000, 7, 900}};
  const Model model = make_model({1, 1, 1}, Recipe::vllm, default_row_formats(Recipe::vllm));
  ScheduleOptions schedule;
  schedule.token_budget = budget;
  return plan_pools(requests, schedule, model, 4, max_bytes, going_on);
}

std::string refusal_of(std::int64_t max_bytes) {
  try {
    plan(256, max_bytes);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(ReplayPools, SayHowMuchMemoryTheLongestRequestNeeds) {
  const std::string text = refusal_of(1 << 20);
  EXPECT_THAT(text, HasSubstr("--cache-gb: expected at least"));
  EXPECT_THAT(text, HasSubstr("906 tokens"));
  EXPECT_THAT(text, HasSubstr("got 1.0 MiB (0.000977 GiB)"));
}

// What a refusal asks for is enough, as it is written.
TEST(ReplayPools, TakeTheMemoryThatTheyAskedFor) {
  const std::string text = refusal_of(1 << 20);
  const std::size_t at = text.find('(');
  ASSERT_NE(at, std::string::npos) << text;
  const double gib = std::stod(text.substr(at + 1));
  EXPECT_NO_THROW(plan(256, static_cast<std::int64_t>(gib * 1073741824.0)));
}

// A schedule of many steps is looked at whole before the first of them.
TEST(ReplayPools, StopWhileTheyLookAtTheSchedule) {
  int calls = 0;
  EXPECT_THROW(plan(1, 1LL << 40,
                    [&] {
                      if (++calls == 2) throw fail("stop");
                    }),
               Error);
}

}  // namespace
}  // namespace pleat::tools
