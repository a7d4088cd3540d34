// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/pair.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>

#include "api/plan_layout.hpp"
#include "support/api_pair.hpp"
#include "support/refusal.hpp"

namespace pleat {
namespace {

using namespace test;

Exec reference(bool checked = false) {
  Exec exec;
  exec.backend = Backend::reference;
  exec.checked = checked;
  return exec;
}

/// A way to spoil a good pair, and all or the first of what must be said about it.
struct PairRefusal {
  const char* title;
  std::function<void(Call& m, Call& i, Exec& e)> spoil;
  std::string words;
  StatusCode code = StatusCode::invalid_argument;
  StateLayout layout = StateLayout::paged;
};

void PrintTo(const PairRefusal& r, std::ostream* out) {
  *out << r.title;
}

#define SPOIL_PAIR(...)                                              \
  [](::pleat::Call& m, ::pleat::Call& i, [[maybe_unused]] Exec& e) { \
    (void)m;                                                         \
    (void)i;                                                         \
    __VA_ARGS__;                                                     \
  }

std::int64_t& wide(const TensorView& v, std::int64_t i) {
  return static_cast<std::int64_t*>(v.data)[i];
}

/// The unspoiled pair runs; the spoiled one is refused, by csa_step and by its describe, and every
/// output is as it was.
void expect_pair_refused(const PairRefusal& r, bool checked) {
  {
    ApiPair good(r.layout);
    ASSERT_EQ(csa_step(good.main(), good.indexer(), reference(checked)).message(), "");
  }
  ApiPair spoiled(r.layout);
  Exec exec = reference(checked);
  Call m = spoiled.main();
  Call i = spoiled.indexer();
  r.spoil(m, i, exec);
  const auto before = spoiled.outputs();
  const Status s = csa_step(m, i, exec);
  EXPECT_EQ(s.code(), r.code) << s.message();
  EXPECT_THAT(s.message(), testing::StartsWith(r.words));
  EXPECT_EQ(spoiled.outputs(), before);
  if (s.code() == StatusCode::out_of_range) return;
  std::string text = "untouched";
  EXPECT_EQ(describe_csa_step(m, i, exec, &text).message(), s.message());
  EXPECT_EQ(text, "untouched");
}

class RefusedPair : public testing::TestWithParam<PairRefusal> {};

TEST_P(RefusedPair, ByNameAndNothingIsWritten) {
  expect_pair_refused(GetParam(), false);
}

const PairRefusal kPairs[] = {
    // How it is run belongs to neither call.
    {"backend", SPOIL_PAIR(e.backend = static_cast<Backend>(3)),
     "exec.backend: expected cpu, reference or cuda (0 to 2), got 3"},
    {"threads", SPOIL_PAIR(e.threads = -1), "exec.threads: expected at least 0, got -1"},
    // Each call as step would refuse it.
    {"main_geometry", SPOIL_PAIR(m.compressor.geometry = Hca::value),
     "main.compressor.geometry: expected csa, got hca"},
    {"main_is_the_indexer", SPOIL_PAIR(std::swap(m, i)),
     "main.compressor.geometry: expected csa, got indexer"},
    {"indexer_geometry", SPOIL_PAIR(i.compressor.geometry = Csa::value),
     "indexer.compressor.geometry: expected indexer, got csa"},
    {"main_recipe", SPOIL_PAIR(m.compressor.recipe = static_cast<Recipe>(9)),
     "main.compressor.recipe: expected deepseek, vllm, vllm_triton or sglang (0 to 3), got 9"},
    {"indexer_row_format", SPOIL_PAIR(i.compressor.row_format = RowFormat::fp8_mla),
     "indexer.compressor.row_format: expected a format that holds rows of indexer, got fp8_mla"},
    {"main_state", SPOIL_PAIR(m.state.pages.shape[2] = 512),
     "main.state.pages: expected last dimension 2048 (2S of csa), got 512"},
    {"indexer_projection", SPOIL_PAIR(i.projection.shape[1] = 2048),
     "indexer.projection: expected last dimension 512 (2S of indexer), got 2048"},
    {"indexer_cache_missing", SPOIL_PAIR(i.cache = {}),
     "indexer.cache: expected u8 [pages, page_rows, row_bytes], got no view (dtype none)"},
    {"main_norm_null", SPOIL_PAIR(m.weights.norm.data = nullptr),
     "main.weights.norm: expected a pointer to f32 or bf16 [D], got null"},
    {"main_overlaps_itself", SPOIL_PAIR(m.cache.data = shifted(m.projection.data, 64)),
     "main.cache: expected memory apart from projection, got bytes"},
    // The two against each other.
    {"another_length",
     SPOIL_PAIR(i.batch.positions.shape[0] = i.batch.token_to_req.shape[0] =
                    i.batch.state_slots.shape[0] = i.batch.kv_slots.shape[0] =
                        i.projection.shape[0] = 10),
     "indexer.batch.positions: expected length 12, as main's, got 10"},
    {"other_positions", SPOIL_PAIR(i.batch.positions.data = i.batch.state_slots.data),
     "indexer.batch.positions: expected what lies at 0x"},
    {"other_requests", SPOIL_PAIR(i.batch.token_to_req.data = i.state.block_table.data),
     "indexer.batch.token_to_req: expected what lies at 0x"},
    {"another_policy", SPOIL_PAIR(i.write.policy = StatePolicy::tail),
     "indexer.write.policy: expected all, as main's, got tail"},
    {"another_rollback", SPOIL_PAIR(m.write.rollback = 3),
     "indexer.write.rollback: expected 3, as main's, got 0"},
    {"another_layout", SPOIL_PAIR(m.state.layout = StateLayout::paged),
     "indexer.state.layout: expected paged, as main's, got ring", StatusCode::invalid_argument,
     StateLayout::ring},
    {"another_ring", SPOIL_PAIR(i.state.pages.shape[1] = 9),
     "indexer.state.pages: expected a ring of 12, as main's, got 9", StatusCode::invalid_argument,
     StateLayout::ring},
    {"a_plan_for_one", SPOIL_PAIR(m.plan.data = m.compressed.data),
     "indexer.plan: expected what lies at 0x"},
    {"another_capacity",
     SPOIL_PAIR(m.plan.data = i.plan.data = m.compressed.data; i.plan.capacity += 1),
     "indexer.plan.capacity: expected 12, as main's, got 13"},
    // Outputs of one on anything of the other.
    {"main_state_on_its_projection", SPOIL_PAIR(i.projection.data = m.state.pages.data),
     "main.state.pages: expected memory apart from indexer.projection, got bytes"},
    {"main_cache_on_its_norm", SPOIL_PAIR(i.weights.norm.data = m.cache.data),
     "main.cache: expected memory apart from indexer.weights.norm, got bytes"},
    {"main_state_on_its_state", SPOIL_PAIR(i.state.pages.data = shifted(m.state.pages.data, 64)),
     "main.state.pages: expected memory apart from indexer.state.pages, got bytes"},
    {"main_cache_on_its_cache", SPOIL_PAIR(i.cache.data = m.cache.data),
     "main.cache: expected memory apart from indexer.cache, got bytes"},
    {"indexer_cache_on_the_norm", SPOIL_PAIR(i.cache.data = m.weights.norm.data),
     "indexer.cache: expected memory apart from main.weights.norm, got bytes"},
    {"indexer_state_on_the_rope", SPOIL_PAIR(m.weights.rope.data = i.state.pages.data),
     "indexer.state.pages: expected memory apart from main.weights.rope, got bytes"},
};
INSTANTIATE_TEST_SUITE_P(All, RefusedPair, testing::ValuesIn(kPairs),
                         [](const auto& info) { return std::string(info.param.title); });

class RefusedPairIndex : public testing::TestWithParam<PairRefusal> {};

TEST_P(RefusedPairIndex, ByNameAndNothingIsWritten) {
  expect_pair_refused(GetParam(), true);
}

constexpr auto kOut = StatusCode::out_of_range;
// As in index_refusals(): 12 tokens, the last two padding; windows close at tokens 3 and 9.
const PairRefusal kIndices[] = {
    {"position", SPOIL_PAIR(wide(m.batch.positions, 2) = -3),
     "main.batch.positions[2]: expected from 0 to 2147483646 (a position), got -3", kOut},
    {"main_state_slot", SPOIL_PAIR(wide(m.batch.state_slots, 5) = 24),
     "main.batch.state_slots[5]: expected less than 24 (6 pages of 4 rows), got 24", kOut},
    {"indexer_state_slot", SPOIL_PAIR(wide(i.batch.state_slots, 5) = 24),
     "indexer.batch.state_slots[5]: expected less than 24 (6 pages of 4 rows), got 24", kOut},
    {"indexer_kv_slot", SPOIL_PAIR(wide(i.batch.kv_slots, 9) = 6),
     "indexer.batch.kv_slots[9]: expected less than 6 (rows of the cache), got 6", kOut},
    {"indexer_table", SPOIL_PAIR(static_cast<std::int32_t*>(i.state.block_table.data)[0] = 6),
     "indexer.state.block_table[0][0]: expected from 0 to 5 (pages), got 6, needed by token 3",
     kOut},
    {"padding_for_the_indexer_alone", SPOIL_PAIR(wide(i.batch.state_slots, 4) = -1),
     "indexer.batch.state_slots[4]: expected at least 0, as main's, got -1", kOut},
    {"padding_for_main_alone", SPOIL_PAIR(wide(i.batch.state_slots, 10) = 3),
     "indexer.batch.state_slots[10]: expected less than 0 (padding), as main's, got 3", kOut},
};
INSTANTIATE_TEST_SUITE_P(All, RefusedPairIndex, testing::ValuesIn(kIndices),
                         [](const auto& info) { return std::string(info.param.title); });

TEST(CsaStep, LeavesTheBytesOfTwoSteps) {
  for (const Backend backend : {Backend::reference, Backend::cpu}) {
    for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
      for (const bool planned : {false, true}) {
        ApiPair two(layout, Recipe::sglang, RowFormat::fp8_tensor, RowFormat::index_mxfp4);
        ApiPair one(layout, Recipe::sglang, RowFormat::fp8_tensor, RowFormat::index_mxfp4);
        Exec exec;
        exec.backend = backend;
        exec.checked = true;
        for (ApiPair* p : {&two, &one}) {
          p->write({StatePolicy::tail, 1});
          if (planned) {
            ASSERT_EQ(p->plan(exec).message(), "");
          }
        }
        const auto before = one.outputs();
        ASSERT_EQ(step(two.main(), exec).message(), "");
        ASSERT_EQ(step(two.indexer(), exec).message(), "");
        ASSERT_EQ(csa_step(one.main(), one.indexer(), exec).message(), "");
        EXPECT_NE(one.outputs(), before);
        EXPECT_EQ(one.outputs(), two.outputs());
      }
    }
  }
}

TEST(CsaStep, NoTokensDoNothingAndNeedNoMemory) {
  ApiPair pair;
  for (Call* c : {&pair.main(), &pair.indexer()}) {
    for (TensorView* v : {&c->batch.positions, &c->batch.token_to_req, &c->batch.state_slots,
                          &c->batch.kv_slots, &c->projection}) {
      v->shape[0] = 0;
      v->data = nullptr;
    }
  }
  const auto before = pair.outputs();
  EXPECT_EQ(csa_step(pair.main(), pair.indexer(), reference(true)).message(), "");
  EXPECT_EQ(pair.outputs(), before);
}

TEST(CsaStep, APlanOfAnotherStepIsRefused) {
  ApiPair pair;
  ASSERT_EQ(pair.plan(reference()).message(), "");
  PlanHeader& header = *plan_pointers(pair.main().plan.data, pair.main().plan.capacity).header;
  const auto before = pair.outputs();
  header.ratio = 128;
  const Status s = csa_step(pair.main(), pair.indexer(), reference());
  EXPECT_EQ(s.message(),
            "main.plan (ratio): expected made for 4, got 128; call plan() with this batch first");
  header.ratio = 4;
  EXPECT_EQ(pair.outputs(), before);
  header.closing = 7;
  EXPECT_EQ(csa_step(pair.main(), pair.indexer(), reference(true)).message(),
            "main.plan: expected 2 closing tokens, as the batch has, got 7; call plan() with this "
            "batch first");
}

TEST(CsaStep, DescribeNamesWhatRuns) {
  ApiPair pair;
  std::string text;
  EXPECT_EQ(describe_csa_step(pair.main(), pair.indexer(), reference(), &text).message(), "");
  EXPECT_THAT(text, testing::StartsWith("reference/"));
  EXPECT_EQ(describe_csa_step(pair.main(), pair.indexer(), {}, &text).message(), "");
  EXPECT_THAT(text, testing::StartsWith("cpu/"));
  EXPECT_EQ(describe_csa_step(pair.main(), pair.indexer(), {}, nullptr).message(),
            "text: expected a string to fill, got null");
}

TEST(CsaStep, AbsentCudaIsSaidBeforeAnythingIsWritten) {
  if (available(Backend::cuda)) GTEST_SKIP() << "this machine has CUDA";
  ApiPair pair;
  const auto before = pair.outputs();
  const Status s = csa_step(pair.main(), pair.indexer(), {Backend::cuda});
  EXPECT_EQ(s.code(), StatusCode::unsupported);
  EXPECT_THAT(s.message(), testing::StartsWith("exec.backend: expected"));
  EXPECT_EQ(pair.outputs(), before);
}

/// Both caches in one pool of pages, as vLLM deals them out: apart or not lies in the slots.
TEST(CsaStep, CachesOfOnePoolUseItsPagesApart) {
  ApiPair pair;
  const std::int64_t stride = pair.main().cache.stride[0];
  pair.indexer().cache.data = pair.main().cache.data;
  pair.indexer().cache.stride[0] = stride;
  for (const std::int64_t t : {3, 9})
    wide(pair.indexer().batch.kv_slots, t) = 4 + t % 2;
  wide(pair.indexer().batch.kv_slots, 9) = 4;
  wide(pair.main().batch.kv_slots, 3) = 2;
  wide(pair.main().batch.kv_slots, 9) = 1;  // pages 1 and 0; the indexer's is page 2
  EXPECT_EQ(csa_step(pair.main(), pair.indexer(), reference(true)).message(), "");
  wide(pair.indexer().batch.kv_slots, 9) = 3;
  const auto before = pair.outputs();
  const Status s = csa_step(pair.main(), pair.indexer(), reference(true));
  EXPECT_EQ(s.code(), StatusCode::out_of_range);
  EXPECT_EQ(s.message(),
            "indexer.cache: expected no page of the pool that main.cache has in this step, got "
            "page 1, page 1 there");
  EXPECT_EQ(pair.outputs(), before);
}

TEST(CsaStep, PoolsThatBeginElsewhereAreComparedPageByPage) {
  ApiPair pair;
  const std::int64_t stride = pair.main().cache.stride[0];
  pair.indexer().cache.data = shifted(pair.main().cache.data, stride);  // its page 0 is main's 1
  pair.indexer().cache.stride[0] = stride;
  pair.indexer().cache.shape[0] = 2;
  wide(pair.main().batch.kv_slots, 3) = 2;
  wide(pair.main().batch.kv_slots, 9) = 1;     // pages 1 and 0
  wide(pair.indexer().batch.kv_slots, 3) = 2;  // page 1, main's 2
  wide(pair.indexer().batch.kv_slots, 9) = 3;
  EXPECT_EQ(csa_step(pair.main(), pair.indexer(), reference(true)).message(), "");
  wide(pair.indexer().batch.kv_slots, 9) = 1;
  EXPECT_EQ(csa_step(pair.main(), pair.indexer(), reference(true)).message(),
            "indexer.cache: expected no page of the pool that main.cache has in this step, got "
            "page 0, page 1 there");
}

TEST(CsaStep, StateOfOneAndCacheOfTheOtherInOnePoolAreApart) {
  ApiPair pair;
  const std::int64_t stride = pair.main().state.pages.stride[0] * 4;  // bytes
  pair.indexer().cache.data = pair.main().state.pages.data;
  pair.indexer().cache.stride[0] = stride;  // main's state has pages 5, 4, 3 and 2
  wide(pair.indexer().batch.kv_slots, 3) = 1;
  wide(pair.indexer().batch.kv_slots, 9) = 2;
  EXPECT_EQ(csa_step(pair.main(), pair.indexer(), reference(true)).message(), "");
  wide(pair.indexer().batch.kv_slots, 9) = 4;
  EXPECT_EQ(csa_step(pair.main(), pair.indexer(), reference(true)).message(),
            "indexer.cache: expected no page of the pool that main.state.pages has in this step, "
            "got page 2, page 2 there");
}

}  // namespace
}  // namespace pleat
