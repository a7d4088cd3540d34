// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/checked.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "api/plan_layout.hpp"
#include "support/api_call.hpp"
#include "support/call_for.hpp"
#include "support/index_refusals.hpp"
#include "support/refusal.hpp"

namespace pleat {
namespace {

/// What a refusal of a plan says last.
const std::string kMakeItAnew = "; call plan() with this batch first";

using namespace test;

class RefusedIndex : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedIndex, ByNameAndNothingIsWritten) {
  expect_refused(GetParam(), true);
}

INSTANTIATE_TEST_SUITE_P(All, RefusedIndex, testing::ValuesIn(index_refusals()), title_of);

Exec checked_reference() {
  Exec exec;
  exec.backend = Backend::reference;
  exec.checked = true;
  return exec;
}

TEST(Checked, GoodCallsPassWithEveryOpAndPlan) {
  for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
    for (const StatePolicy policy : {StatePolicy::all, StatePolicy::tail}) {
      ApiCall good({Hca::value, Recipe::vllm, RowFormat::fp8_mla, layout});
      good.call.write = {policy, policy == StatePolicy::tail ? 2 : 0};
      for (const bool planned : {false, true}) {
        if (planned) good.call.plan.data = good.plan_memory();
        for (int i = planned ? 0 : 1; i < 6; ++i) {
          const auto op = static_cast<Op>(i);
          const Status s = run(op, call_for(op, good.call), checked_reference());
          EXPECT_EQ(s.message(), "") << name(op);
        }
      }
    }
  }
}

TEST(Checked, PaddingIsNeverLookedAtFurther) {
  ApiCall good;
  for (const std::int64_t t : {10, 11}) {
    good.positions()[t] = 3;
    good.requests()[t] = 1 << 30;
    good.kv_slots()[t] = good.kv_slots()[3];
  }
  EXPECT_EQ(step(good.call, checked_reference()).message(), "");
}

TEST(Checked, KvSlotsOfTokensThatCloseNothingAreNotLookedAt) {
  ApiCall good;
  good.kv_slots()[0] = kHuge;
  good.kv_slots()[1] = 1;
  EXPECT_EQ(step(good.call, checked_reference()).message(), "");
}

TEST(Checked, ARingShorterThanTheChunkPassesInStep) {
  ApiCall good({Csa::value, Recipe::vllm, RowFormat::fp8_mla, StateLayout::ring});
  good.call.state.pages.shape[1] = 8;  // pages keep their stride
  good.call.batch.positions.shape[0] = good.call.batch.token_to_req.shape[0] =
      good.call.batch.state_slots.shape[0] = good.call.batch.kv_slots.shape[0] =
          good.call.projection.shape[0] = 10;
  for (std::int64_t t = 0; t < 10; ++t) {
    good.positions()[t] = t;
    good.requests()[t] = 0;
    good.state_slots()[t] = good.block_table()[0] * 8 + t % 8;
  }
  good.kv_slots()[3] = 0;
  good.kv_slots()[7] = 1;
  EXPECT_EQ(step(good.call, checked_reference()).message(), "");
}

/// A plan of another step is refused by its header, checked or not, before anything is written.
TEST(PlanCheck, HeaderOfAnotherStep) {
  ApiCall good;
  good.call.plan.data = good.plan_memory();
  ASSERT_EQ(plan(good.call, checked_reference()).message(), "");
  const auto expect = [&](const Call& c, const std::string& words) {
    Exec exec = checked_reference();
    exec.checked = false;
    const auto before = good.outputs();
    const Status s = step(c, exec);
    EXPECT_EQ(s.code(), StatusCode::invalid_argument);
    EXPECT_EQ(s.message(), words + kMakeItAnew);
    EXPECT_EQ(good.outputs(), before);
  };
  Call c = good.call;
  c.batch.positions.shape[0] = c.batch.token_to_req.shape[0] = c.batch.state_slots.shape[0] =
      c.batch.kv_slots.shape[0] = c.projection.shape[0] = 10;
  expect(c, "plan (tokens): expected made for 10, got 12");
  c = good.call;
  c.write.policy = StatePolicy::tail;
  expect(c, "plan (state policy): expected made for tail, got all");
  PlanHeader& header = *plan_pointers(c.plan.data, c.plan.capacity).header;
  c = good.call;
  header.ratio = 128;
  expect(c, "plan (ratio): expected made for 4, got 128");
  header.ratio = 4;
  header.window = 4;
  expect(c, "plan (window): expected made for 8, got 4");
  header.window = 8;
  header.layout = 1;
  expect(c, "plan (state layout): expected made for paged, got ring");
  header.layout = 0;
  c.write = {StatePolicy::tail, 2};
  header.policy = 1;
  expect(c, "plan (rollback): expected made for 2, got 0");
  c = good.call;
  header.policy = 0;
  c.plan.capacity += 4;
  expect(c, fmt::format("plan (capacity): expected made for {}, got {}", c.plan.capacity,
                        good.call.plan.capacity));
}

TEST(PlanCheck, ContentsOfAnotherStep) {
  ApiCall good;
  good.call.write = {StatePolicy::tail, 1};
  good.call.plan.data = good.plan_memory();
  ASSERT_EQ(plan(good.call, checked_reference()).message(), "");
  ASSERT_EQ(step(good.call, checked_reference()).message(), "");
  const PlanPointers made = plan_pointers(good.call.plan.data, good.call.plan.capacity);
  const auto expect = [&](const char* words) {
    const auto before = good.outputs();
    const Status s = step(good.call, checked_reference());
    EXPECT_EQ(s.code(), StatusCode::out_of_range);
    EXPECT_EQ(s.message(), words + kMakeItAnew);
    EXPECT_EQ(good.outputs(), before);
  };
  made.header->closing = 100000;
  expect("plan: expected 2 closing tokens, as the batch has, got 100000");
  made.header->closing = 2;
  made.entries[1].row = 7;
  expect(
      "plan entry 1: expected token 9 of request 1, row 0, 4 window rows of this step, got token 9 "
      "of request 1, row 7, 4 window rows of this step");
  made.entries[1].row = 0;
  const std::int32_t saves = made.header->saves;
  made.header->saves = -5;
  expect("plan: expected 10 tokens whose state is written, got -5");
  made.header->saves = saves;
  made.saves[0] = 11;
  expect("plan save 0: expected token 0, got token 11");
}

TEST(Checked, StateAndCacheOfOnePoolMustNotShareAPage) {
  ApiCall good;
  // Pages 0..5 hold state; the cache's pages are 2..4 of the same pool.
  TensorView& cache = good.call.cache;
  const std::int64_t stride = good.call.state.pages.stride[0] * 4;
  cache.data = shifted(good.call.state.pages.data, 2 * stride);
  cache.stride[0] = stride;
  const auto before = good.outputs();
  const Status s = step(good.call, checked_reference());
  EXPECT_EQ(s.code(), StatusCode::out_of_range);
  EXPECT_EQ(s.message(),
            "batch.kv_slots[3]: expected a page of the pool that holds no state of this step, got "
            "slot 1 in state page 2");
  EXPECT_EQ(good.outputs(), before);
}

TEST(Checked, StateAndCacheOfOnePoolMayUseItsPagesApart) {
  ApiCall good;
  // The step touches pages 5, 4, 3 (request 0) and 2 (request 1); the cache takes pages 0 and 1.
  TensorView& cache = good.call.cache;
  cache.data = good.call.state.pages.data;
  cache.stride[0] = good.call.state.pages.stride[0] * 4;
  cache.shape[0] = 2;
  EXPECT_EQ(step(good.call, checked_reference()).message(), "");
}

TEST(Checked, ClosingTokensWithoutASlotDoNotClaimOne) {
  ApiCall good;
  good.kv_slots()[3] = good.kv_slots()[9] = -1;
  EXPECT_EQ(step(good.call, checked_reference()).message(), "");
}

/// A cache page of the pool that the step only writes state to, or only reads it from.
TEST(Checked, APageOfThePoolMayHoldStateThatClosesNothingOrIsOldest) {
  struct Place {
    std::int64_t first;  ///< page of the pool where the cache begins
    std::int64_t slot;
    const char* words;
  };
  for (const Place& p :
       {Place{2, 2, "slot 2 in state page 3"}, Place{3, 4, "slot 4 in state page 5"}}) {
    ApiCall good;
    TensorView& cache = good.call.cache;
    const std::int64_t stride = good.call.state.pages.stride[0] * 4;
    cache.data = shifted(good.call.state.pages.data, p.first * stride);
    cache.stride[0] = stride;
    good.kv_slots()[3] = p.slot;
    good.kv_slots()[9] = p.slot + 1;
    EXPECT_EQ(step(good.call, checked_reference()).message(),
              std::string("batch.kv_slots[3]: expected a page of the pool that holds no state of "
                          "this step, got ") +
                  p.words);
  }
}

TEST(PlanCheck, FreshRowsAndListsThatPolicyAllHasNot) {
  ApiCall good;
  good.call.plan.data = good.plan_memory();
  ASSERT_EQ(plan(good.call, checked_reference()).message(), "");
  const PlanPointers made = plan_pointers(good.call.plan.data, good.call.plan.capacity);
  made.entries[1].fresh = 3;
  EXPECT_EQ(step(good.call, checked_reference()).message(),
            "plan entry 1: expected token 9 of request 1, row 0, 4 window rows of this step, got "
            "token 9 of request 1, row 0, 3 window rows of this step" +
                kMakeItAnew);
  made.entries[1].fresh = 4;
  made.header->saves = 3;
  EXPECT_EQ(step(good.call, checked_reference()).message(),
            "plan: expected no list of tokens whose state is written, got 3" + kMakeItAnew);
}

TEST(PlanCheck, HeaderOnTheCpuBackendToo) {
  ApiCall good;
  good.call.plan.data = good.plan_memory();
  ASSERT_EQ(plan(good.call, {Backend::cpu}).message(), "");
  plan_pointers(good.call.plan.data, good.call.plan.capacity).header->ratio = 128;
  const auto before = good.outputs();
  EXPECT_EQ(step(good.call, {Backend::cpu}).message(),
            "plan (ratio): expected made for 4, got 128" + kMakeItAnew);
  EXPECT_EQ(good.outputs(), before);
}

TEST(PlanCheck, APlannedCompressNeedsRuns) {
  ApiCall good;
  good.call.plan.data = good.plan_memory();
  ASSERT_EQ(plan(good.call, checked_reference()).message(), "");
  good.positions()[4] = 9;
  EXPECT_EQ(compress(good.call, checked_reference()).message(),
            "batch.positions[4]: expected 8, after token 3 of the same request, got 9");
}

TEST(Checked, ARollbackIsNoneOfTheOpsThatReadTheRing) {
  ApiCall good({Hca::value, Recipe::vllm, RowFormat::fp8_mla, StateLayout::ring});
  good.call.write.rollback = 1 << 20;
  EXPECT_EQ(compress(good.call, checked_reference()).message(), "");
}

TEST(Checked, StoringPooledRowsNeedsNoRequests) {
  ApiCall good;
  good.call.batch.token_to_req = {};
  good.call.state = {};
  EXPECT_EQ(norm_rope_store(good.call, checked_reference()).message(), "");
}

}  // namespace
}  // namespace pleat
