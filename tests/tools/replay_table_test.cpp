// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <vector>

namespace pleat::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ReplayOptions small_options() {
  ReplayOptions o;
  o.exec.backend = Backend::cpu;
  o.exec.threads = 1;
  o.sample_rate = 1;
  o.measure_limit = false;
  return o;
}

TEST(ReplayTable, ClaimsNothingWhereNoRowWasRecomputed) {
  const std::vector<TraceRequest> traffic{{0, 0, 300, 3}};
  ReplayOptions none = small_options();
  none.sample_rate = 0;
  ReplayOptions off = small_options();
  off.verify = false;
  for (const ReplayOptions& options : {none, off}) {
    const ReplayReport r = replay(traffic, options, {});
    const ReplayTitle title{"trace", "plain CSV", &options};
    EXPECT_THAT(replay_table(title, r, false), Not(HasSubstr("verified  ")));
    EXPECT_EQ(replay_json(title, r).at("verdict"), "ran to its end, rows not verified");
    EXPECT_EQ(replay_json(title, r).at("rows_verified"), 0);
  }
  ReplayOptions options = small_options();
  options.schedule.token_budget = 2;  // the first step closes no window
  std::atomic<bool> stop{false};
  ReplayHooks hooks;
  hooks.stop = &stop;
  hooks.after_step = [&](std::int64_t, std::int64_t, const ReplayReport&) { stop = true; };
  const ReplayReport r = replay(traffic, options, hooks);
  const ReplayTitle title{"trace", "plain CSV", &options};
  EXPECT_EQ(r.requests_done, 0);
  EXPECT_THAT(replay_table(title, r, false), HasSubstr("interrupted, no rows verified"));
  EXPECT_EQ(replay_json(title, r).at("verdict"), "interrupted, no rows verified");
}

}  // namespace
}  // namespace pleat::tools
