// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "support/random.hpp"
#include "tools/error.hpp"

namespace pleat::tools {
namespace {

PageRules rules_of(std::int64_t ratio, bool overlap, std::int64_t state_rows,
                   std::int64_t kv_rows) {
  PageRules r;
  r.ratio = ratio;
  r.overlap = overlap;
  r.state_page_rows = state_rows;
  r.kv_page_rows = kv_rows;
  return r;
}

std::vector<PageRules> two_kinds() {
  return {rules_of(128, false, 8, 2), rules_of(4, true, 4, 64)};
}

std::vector<TraceRequest> random_requests(std::uint64_t seed, std::int64_t n) {
  test::Random random(seed);
  std::vector<TraceRequest> requests;
  std::int64_t now = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    now += random.below(40'000);
    requests.push_back({i, now, random.between(1, 700), random.below(30)});
  }
  return requests;
}

/// Runs a schedule to its end and checks, step by step, what every schedule must keep.
std::vector<Step> run(const std::vector<TraceRequest>& requests, const ScheduleOptions& options,
                      const std::vector<PageRules>& rules) {
  Scheduler scheduler(requests, options, rules);
  std::vector<Step> steps;
  std::vector<std::int64_t> length(requests.size(), 0);
  std::vector<std::int64_t> allocated(requests.size(), 0);
  std::vector<bool> running(requests.size(), false);
  Step step;
  while (scheduler.next(step)) {
    EXPECT_LE(step.tokens, options.token_budget);
    EXPECT_GT(step.tokens, 0);
    std::set<std::int32_t> slots;
    std::int64_t tokens = 0;
    bool prefills = false;
    for (const Slice& s : step.slices) {
      const auto i = static_cast<std::size_t>(s.request);
      EXPECT_TRUE(slots.insert(s.slot).second);
      EXPECT_GE(step.time_us, requests[i].arrival_us) << "before it arrived";
      EXPECT_EQ(s.first, length[i]) << "tokens in order, none left out";
      EXPECT_EQ(s.starts, length[i] == 0);
      EXPECT_EQ(s.prefill, s.first < requests[i].input_tokens);
      EXPECT_FALSE(prefills && !s.prefill) << "decoding requests come first";
      prefills |= s.prefill;
      if (s.prefill) {
        EXPECT_LE(s.first + s.tokens, requests[i].input_tokens);
        EXPECT_EQ(s.accepted, s.tokens);
      } else {
        EXPECT_LE(s.tokens, options.drafts + 1);
        EXPECT_GE(s.accepted, 1);
        EXPECT_LE(s.accepted, s.tokens);
      }
      EXPECT_LE(s.first + s.tokens, tokens_of(requests[i]));
      tokens += s.tokens;
      allocated[i] = std::max(allocated[i], s.first + s.tokens);
      running[i] = true;
    }
    EXPECT_EQ(tokens, step.tokens);
    EXPECT_EQ(step.decode_only, !prefills);
    EXPECT_LE(std::count(running.begin(), running.end(), true), options.max_running);
    for (const PageRules& rule : rules) {  // what is in use during the step fits the pools
      std::int64_t state = 0;
      std::int64_t kv = 0;
      for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!running[i]) continue;
        state += (allocated[i] + rule.state_page_rows - 1) / rule.state_page_rows -
                 rule.keep_from(length[i]) / rule.state_page_rows;
        kv += rule.cache_pages(allocated[i]);
      }
      EXPECT_LE(state, rule.state_pages);
      EXPECT_LE(kv, rule.kv_pages);
    }
    for (const Slice& s : step.slices) {
      const auto i = static_cast<std::size_t>(s.request);
      length[i] = s.first + s.accepted;
      EXPECT_EQ(s.ends, length[i] == tokens_of(requests[i]));
      if (s.ends) running[i] = false;
    }
    steps.push_back(step);
    if (::testing::Test::HasFailure()) return steps;
  }
  for (std::size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(length[i], tokens_of(requests[i]));
  return steps;
}

TEST(PageRules, HaveRoomForAWindowAndDraftsWhereverItStarts) {
  const PageRules csa = rules_of(4, true, 4, 64);
  EXPECT_EQ(csa.decode_pages(0), 3);  // 7 rows kept and one new, in pages of 4
  EXPECT_EQ(csa.decode_pages(3), 4);
  EXPECT_EQ(rules_of(128, false, 8, 2).decode_pages(0), 17);
}

TEST(Schedule, KeepsItsRulesForRandomTrafficAndOptions) {
  test::Random random(5);
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    ScheduleOptions o;
    o.token_budget = random.pick(std::vector<std::int64_t>{1, 5, 64, 300, 8192});
    o.max_running = random.pick(std::vector<std::int64_t>{1, 2, 7, 256});
    o.drafts = random.below(5);
    o.reject_rate = random.unit();
    o.seed = seed;
    o.step_us = random.between(1, 50'000);
    std::vector<PageRules> rules = two_kinds();
    if (random.chance(0.7)) {
      for (PageRules& r : rules) {  // hardly enough for the longest alone
        r.state_pages = r.decode_pages(o.drafts) + random.below(12);
        r.kv_pages = r.cache_pages(729) + random.below(4);
      }
    }
    run(random_requests(seed, 25), o, rules);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

TEST(Schedule, CutsAPromptIntoChunksOfTheBudget) {
  const std::vector<TraceRequest> requests{{0, 0, 1000, 3}};
  ScheduleOptions o;
  o.token_budget = 400;
  const std::vector<Step> steps = run(requests, o, two_kinds());
  std::vector<std::int64_t> tokens;
  for (const Step& s : steps)
    tokens.push_back(s.tokens);
  EXPECT_EQ(tokens, (std::vector<std::int64_t>{400, 400, 200, 1, 1}));
  EXPECT_FALSE(steps[2].decode_only);
  EXPECT_TRUE(steps[3].decode_only);
}

TEST(Schedule, DecodesWhileAnotherPromptIsFilledIn) {
  const std::vector<TraceRequest> requests{{0, 0, 10, 5}, {1, 1000, 100, 1}};
  ScheduleOptions o;
  o.token_budget = 50;
  o.step_us = 1000;
  const std::vector<Step> steps = run(requests, o, two_kinds());
  ASSERT_GE(steps.size(), 2U);
  ASSERT_EQ(steps[1].slices.size(), 2U);
  EXPECT_FALSE(steps[1].slices[0].prefill);
  EXPECT_EQ(steps[1].slices[1].tokens, 49);
}

TEST(Schedule, JumpsOverTimeWithoutTraffic) {
  const std::vector<TraceRequest> requests{{0, 0, 10, 1}, {1, 60'000'000, 10, 1}};
  const std::vector<Step> steps = run(requests, {}, two_kinds());
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[1].time_us, 60'000'000);
}

TEST(Schedule, WaitsForMemoryInsteadOfOverrunningIt) {
  std::vector<TraceRequest> requests;
  for (std::int64_t i = 0; i < 8; ++i)
    requests.push_back({i, 0, 512, 8});
  std::vector<PageRules> rules = two_kinds();
  const auto most_at_once = [](const std::vector<Step>& steps) {
    std::size_t most = 0;
    for (const Step& s : steps)
      most = std::max(most, s.slices.size());
    return most;
  };
  EXPECT_EQ(most_at_once(run(requests, {}, rules)), 8U);
  rules[1].kv_pages = 3 * rules[1].cache_pages(519);
  EXPECT_EQ(most_at_once(run(requests, {}, rules)), 3U);
}

TEST(Schedule, AcceptsAllDraftsOrNone) {
  const std::vector<TraceRequest> requests{{0, 0, 10, 21}};
  ScheduleOptions o;
  o.drafts = 3;
  o.reject_rate = 0;
  EXPECT_EQ(run(requests, o, two_kinds()).size(), 1U + 5U);
  o.reject_rate = 1;
  const std::vector<Step> steps = run(requests, o, two_kinds());
  EXPECT_EQ(steps.size(), 1U + 20U);
  EXPECT_EQ(steps[1].slices[0].tokens, 4);
  EXPECT_EQ(steps[1].slices[0].accepted, 1);
}

TEST(Schedule, RejectsAboutTheShareOfDraftsAskedFor) {
  ScheduleOptions o;
  o.reject_rate = 0.3;
  int rejected = 0;
  for (std::int64_t p = 0; p < 10000; ++p)
    rejected += Scheduler::rejects(o, p % 7, p);
  EXPECT_NEAR(rejected, 3000, 200);
}

TEST(Schedule, NamesARequestThatNeverFits) {
  const std::vector<TraceRequest> requests{{0, 0, 10, 1}, {41, 0, 100'000, 1}};
  std::vector<PageRules> rules = two_kinds();
  rules[1].kv_pages = 10;
  try {
    Scheduler(requests, {}, rules);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("request 41 (100000 tokens)"));
  }
}

}  // namespace
}  // namespace pleat::tools
