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
  EXPECT_THAT(replay_table(title, r, false), HasSubstr("\ndigest        none (no rows)\n"));
  EXPECT_EQ(replay_json(title, r).at("digest"), "0000000000000000");
  EXPECT_THAT(replay_table(title, r, false), HasSubstr("interrupted, no rows verified"));
  EXPECT_EQ(replay_json(title, r).at("verdict"), "interrupted, no rows verified");
}

TEST(ReplayTable, JsonSaysHowToRunItAgain) {
  ReplayOptions o = small_options();
  o.layers = {2, 0, 1};
  o.exec.simd = SimdTarget::scalar;
  o.padding = 8;
  o.cache_bytes = std::int64_t{3} << 29;
  const ReplayTitle whole{"trace", "plain CSV", &o};
  const nlohmann::json options = replay_json(whole, {}).at("options");
  const nlohmann::json expected = {{"layers", "hca=2,indexer=1"},
                                   {"row_format", "hca=fp8_mla,indexer=index_fp8"},
                                   {"simd", "scalar"},
                                   {"variant", "exact"},
                                   {"checked", false},
                                   {"pad", 8},
                                   {"cache_gb", 1.5},
                                   {"requests", nullptr},
                                   {"limit_tokens", nullptr}};
  for (const auto& [key, value] : expected.items())
    EXPECT_EQ(options.at(key), value) << key;
  const ReplayTitle cut{"trace", "plain CSV", &o, 5, 600};
  EXPECT_EQ(replay_json(cut, {}).at("options").at("requests"), 5);
  EXPECT_EQ(replay_json(cut, {}).at("options").at("limit_tokens"), 600);
}

TEST(ReplayTable, TableAndJsonSayTheSame) {
  const std::vector<TraceRequest> traffic{{0, 0, 300, 3}};
  const ReplayOptions options = small_options();
  const ReplayReport r = replay(traffic, options, {});
  const ReplayTitle title{"some.csv", "plain CSV", &options};
  const std::string table = replay_table(title, r, false);
  const nlohmann::json json = replay_json(title, r);
  EXPECT_EQ(json.at("tokens"), r.tokens);
  EXPECT_EQ(json.at("kinds").size(), 3U);
  EXPECT_TRUE(json.at("ok").get<bool>());
  EXPECT_EQ(json.at("verdict"), "verified");
  EXPECT_THAT(table, HasSubstr(json.at("digest").get<std::string>()));
  EXPECT_THAT(table, HasSubstr("verdict       verified\n"));
  EXPECT_THAT(table, ::testing::Not(HasSubstr("\033"))) << "no colour unless asked for";
}

TEST(ReplayTable, SaysHowNearToTheReadLimitItCame) {
  const ReplayOptions options = small_options();
  const ReplayTitle title{"some.csv", "plain CSV", &options};
  ReplayReport r;
  r.read_limit_gbs = 100;
  r.launches_per_step = 41;
  r.compressor_seconds = 4;
  r.kinds.resize(1);
  r.kinds[0].bytes = 300'000'000'000;
  r.kinds[0].seconds = 4;
  r.decode = {{1.0}, 50'000'000'000};
  r.mixed = {{1.5, 1.5}, 250'000'000'000};
  const std::string table = replay_table(title, r, false);
  EXPECT_THAT(table, HasSubstr("launches      41 per step, 1 per plan\n"));
  EXPECT_THAT(table, HasSubstr("100.00 GB/s in a plain read here: 75 % of the compressor's time"));
  EXPECT_THAT(table, HasSubstr("50 % at the read limit   (1 steps)"));
  EXPECT_THAT(table, HasSubstr("83 % at the read limit   (2 steps)"));
  const nlohmann::json json = replay_json(title, r);
  EXPECT_EQ(json.at("launches_per_step"), 41);
  EXPECT_DOUBLE_EQ(json.at("share_of_read_limit"), 0.75);
  EXPECT_DOUBLE_EQ(json.at("decode_steps").at("share_of_read_limit"), 0.5);
  EXPECT_DOUBLE_EQ(json.at("kinds").at(0).at("share_of_read_limit"), 0.75);
}

TEST(ReplayTable, PercentilesAreByNearestRank) {
  EXPECT_EQ(percentile({}, 0.5), 0);
  EXPECT_EQ(percentile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(percentile({3, 1, 2}, 0.99), 3);
  EXPECT_EQ(percentile({4, 3, 1, 2}, 0.5), 2);
}

}  // namespace
}  // namespace pleat::tools
