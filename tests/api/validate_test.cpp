// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/validate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "api/arguments.hpp"
#include "api/names.hpp"
#include "support/api_call.hpp"
#include "support/refusal.hpp"

namespace pleat {
namespace {

using namespace test;

class RefusedValue : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedValue, ByNameAndNothingIsWritten) {
  expect_refused(GetParam(), false);
}

const Refusal kValues[] = {
    {"recipe_unknown",
     Op::step,
     SPOIL(c.compressor.recipe = static_cast<Recipe>(4)),
     {"compressor.recipe: expected deepseek, vllm, vllm_triton or sglang (0 to 3), got 4"}},
    {"recipe_negative",
     Op::plan,
     SPOIL(c.compressor.recipe = static_cast<Recipe>(-1)),
     {"compressor.recipe: expected deepseek, vllm, vllm_triton or sglang (0 to 3), got -1"}},
    {"row_format_unknown",
     Op::step,
     SPOIL(c.compressor.row_format = static_cast<RowFormat>(5)),
     {"compressor.row_format: expected fp8_mla, bf16, fp8_tensor, index_fp8 or index_mxfp4 (0 to "
      "4), got 5"}},
    {"row_format_does_not_fit",
     Op::step,
     SPOIL(c.compressor.row_format = RowFormat::index_fp8),
     {"compressor.row_format: expected a format that holds rows of csa, got index_fp8"}},
    {"row_format_does_not_fit_indexer",
     Op::step,
     SPOIL(c.compressor.row_format = RowFormat::fp8_mla),
     {"compressor.row_format: expected a format that holds rows of indexer, got fp8_mla"},
     StatusCode::invalid_argument,
     kIndexFp8},
    {"eps_zero",
     Op::step,
     SPOIL(c.compressor.eps = 0),
     {"compressor.eps: expected greater than 0 and finite, got 0"}},
    {"eps_negative",
     Op::norm_rope_store,
     SPOIL(c.compressor.eps = -1e-6F),
     {"compressor.eps: expected greater than 0 and finite, got -1e-06"}},
    {"eps_nan",
     Op::compress_store,
     SPOIL(c.compressor.eps = NAN),
     {"compressor.eps: expected greater than 0 and finite, got nan"}},
    {"eps_infinite",
     Op::step,
     SPOIL(c.compressor.eps = INFINITY),
     {"compressor.eps: expected greater than 0 and finite, got inf"}},
    {"ratio_zero",
     Op::plan,
     SPOIL(c.compressor.geometry.ratio = 0),
     {"compressor.geometry: expected ratio a power of two", "got ratio 0, overlap yes"}},
    {"ratio_not_a_power",
     Op::step,
     SPOIL(c.compressor.geometry.ratio = 3),
     {"compressor.geometry: expected ratio a power of two", "got ratio 3"}},
    {"head_dim_not_a_power",
     Op::step,
     SPOIL(c.compressor.geometry.head_dim = 500),
     {"compressor.geometry: expected", "head dim a power of two", "head dim 500"}},
    {"rope_dim_odd",
     Op::step,
     SPOIL(c.compressor.geometry.rope_dim = 63),
     {"compressor.geometry: expected", "rope dim even", "rope dim 63"}},
    {"state_layout_unknown",
     Op::step,
     SPOIL(c.state.layout = static_cast<StateLayout>(2)),
     {"state.layout: expected paged or ring (0 to 1), got 2"}},
    {"policy_unknown",
     Op::save_state,
     SPOIL(c.write.policy = static_cast<StatePolicy>(9)),
     {"write.policy: expected all or tail (0 to 1), got 9"}},
    {"policy_tail_of_an_op_that_reads_all_rows",
     Op::compress,
     SPOIL(c.write.policy = StatePolicy::tail),
     {"write.policy: expected all, as compress reads every row of a window from the state, got "
      "tail"}},
    {"policy_tail_of_compress_store",
     Op::compress_store,
     SPOIL(c.write.policy = StatePolicy::tail),
     {"write.policy: expected all, as compress_store reads every row"}},
    {"rollback_negative",
     Op::step,
     SPOIL(c.write.rollback = -1),
     {"write.rollback: expected at least 0, got -1"}},
    {"ring_shorter_than_a_window",
     Op::compress,
     SPOIL(c.state.pages.shape[1] = 127),
     {"state.pages: expected middle dimension at least 128 (window 128 of hca and rollback 0",
      "got 127"},
     StatusCode::invalid_argument,
     kHcaRing},
    {"ring_longer_than_can_be",
     Op::plan,
     SPOIL((c.state.pages.shape[1] = std::int64_t{1} << 32, c.state.pages.shape[0] = 1,
            c.state.pages.stride[0] = std::int64_t{1} << 50)),
     {"state.pages: expected middle dimension at most 2147483647 of a ring", "got 4294967296"},
     StatusCode::invalid_argument,
     kHcaRing},
    {"ring_shorter_than_the_rollback",
     Op::step,
     SPOIL(c.write.rollback = 5),
     {"state.pages: expected middle dimension at least 133 (window 128 of hca and rollback 5",
      "got 132"},
     StatusCode::invalid_argument,
     kHcaRing},
    {"ring_without_a_column",
     Op::step,
     SPOIL(c.state.block_table.shape[1] = 0),
     {"state.block_table: expected last dimension at least 1", "got 0"},
     StatusCode::invalid_argument,
     kHcaRing},
    {"plan_null",
     Op::plan,
     SPOIL(c.plan.data = nullptr),
     {"plan.data: expected memory of plan_bytes(plan.capacity), got null"}},
    {"plan_too_small",
     Op::plan,
     SPOIL(c.plan.capacity = 11),
     {"plan.capacity: expected from 12 (T) to 2147483647, the tokens that plan_bytes() was given, "
      "got 11"}},
    {"plan_too_large",
     Op::plan,
     SPOIL(c.plan.capacity = kHuge),
     {"plan.capacity: expected from 12 (T) to 2147483647, the tokens that plan_bytes() was given, "
      "got 9223372036854775807"}},
    {"plan_misaligned",
     Op::plan,
     SPOIL(c.plan.data = shifted(c.plan.data, 32)),
     {"plan.data: expected aligned to 64 bytes", "(off by 32)"}},
    {"backend_unknown",
     Op::step,
     SPOIL(e.backend = static_cast<Backend>(3)),
     {"exec.backend: expected cpu, reference or cuda (0 to 2), got 3"}},
    {"simd_unknown",
     Op::step,
     SPOIL(e.simd = static_cast<SimdTarget>(-7)),
     {"exec.simd: expected best, scalar, neon, avx2 or avx512 (0 to 4), got -7"}},
    {"variant_unknown",
     Op::step,
     SPOIL(e.variant = static_cast<Variant>(2)),
     {"exec.variant: expected exact or fast (0 to 1), got 2"}},
    {"chain_unknown",
     Op::step,
     SPOIL(e.chain = static_cast<Chain>(3)),
     {"exec.chain: expected none, late or early (0 to 2), got 3"}},
    {"threads_negative",
     Op::step,
     SPOIL(e.threads = -2),
     {"exec.threads: expected at least 0, got -2"}},
    {"fast_without_cuda",
     Op::step,
     SPOIL(e.variant = Variant::fast),
     {"exec.variant: expected exact on backend reference, got fast"},
     StatusCode::unsupported},
};
INSTANTIATE_TEST_SUITE_P(All, RefusedValue, testing::ValuesIn(kValues), title_of);

TEST(Validate, UnknownOp) {
  ApiCall good;
  const Status s = run(static_cast<Op>(6), good.call, {});
  EXPECT_EQ(s.code(), StatusCode::invalid_argument);
  EXPECT_EQ(s.message(),
            "op: expected plan, save_state, compress, norm_rope_store, compress_store or step (0 "
            "to 5), got 6");
}

/// Takes each view away in turn: an op must refuse exactly those that its row of the table names.
TEST(Validate, EachOpAsksForItsViewsAndNoOthers) {
  for (const RowFormat format : {RowFormat::fp8_mla, RowFormat::fp8_tensor}) {
    for (const Recipe recipe : {Recipe::vllm, Recipe::sglang}) {
      for (int op = 0; op < api::kOps; ++op) {
        ApiCall good({Csa::value, recipe, format});
        good.call.plan.data = good.plan_memory();
        for (int i = 0; i < api::kArgs; ++i) {
          const auto arg = static_cast<api::Arg>(i);
          Call bad = good.call;
          const_cast<TensorView&>(api::view_of(bad, arg)) = {};
          const bool used = api::use_of(static_cast<Op>(op), arg, good.call) != api::Use::no;
          const Status s = api::validate(static_cast<Op>(op), bad, {});
          EXPECT_EQ(s.ok(), !used) << name(static_cast<Op>(op)) << " without "
                                   << api::rule_of(arg).name << ": " << s.message();
        }
      }
    }
  }
}

TEST(Validate, ApeIsAskedForOnlyByGeometriesThatHaveIt) {
  ApiCall good(ApiCallOptions{{2, false, 512, 64, false}});
  Exec exec;
  exec.backend = Backend::reference;
  good.call.weights.ape = {};
  EXPECT_EQ(api::validate(Op::step, good.call, exec).message(), "");
}

TEST(Validate, EveryGeometryRecipeAndFittingFormatPassesOnEveryBackend) {
  for (const Geometry& g : {Hca::value, Csa::value, Indexer::value,
                            Geometry{2, true, 512, 64, true}, Geometry{1, false, 128, 32, false}}) {
    for (int f = 0; f < 5; ++f) {
      const auto format = static_cast<RowFormat>(f);
      if (!row_format_fits(format, g)) continue;
      for (int r = 0; r < 4; ++r) {
        for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
          ApiCall good({g, static_cast<Recipe>(r), format, layout});
          good.call.plan.data = good.plan_memory();
          for (int op = 0; op < api::kOps; ++op) {
            for (const Backend backend : {Backend::reference, Backend::cpu, Backend::cuda}) {
              Exec exec;
              exec.backend = backend;
              EXPECT_EQ(api::validate(static_cast<Op>(op), good.call, exec).message(), "")
                  << name(static_cast<Op>(op)) << ' ' << api::describe_geometry(g) << ' '
                  << name(format) << ' ' << name(backend);
            }
          }
        }
      }
    }
  }
}

TEST(Validate, StridesLongerThanRowsPass) {
  ApiCall good;
  TensorView& projection = good.call.projection;
  projection.shape[0] = 0;
  for (TensorView* v :
       {&good.call.batch.positions, &good.call.batch.token_to_req, &good.call.batch.state_slots}) {
    v->shape[0] = 0;
  }
  projection.stride[0] = 4096;
  good.call.state.pages.stride = {4 * 4096, 4096, 1};
  good.call.state.pages.shape[0] = 1;
  EXPECT_EQ(api::validate(Op::save_state, good.call, {}).message(), "");
}

TEST(Validate, OnlyUsedTakesTheRestAway) {
  ApiCall good({Hca::value, Recipe::vllm, RowFormat::fp8_mla, StateLayout::ring});
  good.call.write = {StatePolicy::tail, 3};
  for (int o = 0; o < api::kOps; ++o) {
    const auto op = static_cast<Op>(o);
    const Call used = api::only_used(op, good.call);
    for (int i = 0; i < api::kArgs; ++i) {
      const auto arg = static_cast<api::Arg>(i);
      const api::Use use = api::use_of(op, arg, good.call);
      const TensorView& view = api::view_of(used, arg);
      EXPECT_EQ(view.given(), use != api::Use::no) << name(op) << ' ' << api::rule_of(arg).name;
      EXPECT_EQ(view.data != nullptr, use != api::Use::no && use != api::Use::shape);
    }
    EXPECT_EQ(used.write.rollback, api::selects_state(op) ? 3 : 0);
  }
}

}  // namespace
}  // namespace pleat
