// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <pleat/pleat.hpp>
#include <vector>
#include "support/api_call.hpp"

#include <new>
#include <stdexcept>
#include <string>

#include "api/guarded.hpp"
#include "support/api_call.hpp"

namespace pleat {
namespace {

using test::ApiCall;
using test::ApiCallOptions;

constexpr Op kOps[] = {Op::plan,           Op::save_state, Op::compress, Op::norm_rope_store,
                       Op::compress_store, Op::step};

Exec on(Backend backend) {
  Exec exec;
  exec.backend = backend;
  return exec;
}

/// The op, and nothing that it does not use, decides what is written.
TEST(Dispatch, EachOpWritesItsOutputsOnly) {
  for (const Backend backend : {Backend::reference, Backend::cpu}) {
    for (const Op op : kOps) {
      ApiCall call;
      call.call.plan.data = op == Op::plan ? call.plan_memory() : nullptr;
      const auto whole = call.outputs();
      ASSERT_EQ(run(op, call.call, on(backend)).message(), "") << name(backend) << ' ' << name(op);
      EXPECT_NE(call.outputs(), whole) << name(op);
    }
  }
}

TEST(Dispatch, FreeFunctionsAreRunWithTheirOp) {
  using Function = Status (*)(const Call&, const Exec&);
  const Function functions[] = {plan, save_state, compress, norm_rope_store, compress_store, step};
  for (std::size_t i = 0; i < 6; ++i) {
    ApiCall by_name;
    ApiCall by_value;
    by_name.call.plan.data = kOps[i] == Op::plan ? by_name.plan_memory() : nullptr;
    by_value.call.plan.data = kOps[i] == Op::plan ? by_value.plan_memory() : nullptr;
    EXPECT_EQ(functions[i](by_name.call, on(Backend::reference)).message(), "");
    EXPECT_EQ(run(kOps[i], by_value.call, on(Backend::reference)).message(), "");
    EXPECT_EQ(by_name.outputs(), by_value.outputs()) << name(kOps[i]);
  }
}

/// A view that an op does not use may hold anything, as it never reaches a backend.
TEST(Dispatch, UnusedViewsAreNotTouched) {
  for (const Backend backend : {Backend::reference, Backend::cpu}) {
    ApiCall clean;
    ApiCall odd;
    const TensorView wild = TensorView::packed(reinterpret_cast<void*>(1), DType::u8, -7, 3);
    odd.call.weights.fp8_scale = wild;  // row format fp8_mla
    odd.call.compressed = wild;         // step
    EXPECT_EQ(step(clean.call, on(backend)).message(), "");
    EXPECT_EQ(step(odd.call, on(backend)).message(), "");
    EXPECT_EQ(clean.outputs(), odd.outputs());
    odd.call.weights.ape = wild;  // vllm adds it when saving
    odd.call.projection = wild;
    EXPECT_EQ(compress_store(odd.call, on(backend)).message(), "");
  }
}

TEST(Dispatch, NoTokensDoNothingAndNeedNoMemory) {
  for (const Backend backend : {Backend::reference, Backend::cpu}) {
    ApiCall call;
    Call& c = call.call;
    for (TensorView* v : {&c.batch.positions, &c.batch.token_to_req, &c.batch.state_slots,
                          &c.batch.kv_slots, &c.projection, &c.compressed}) {
      v->shape[0] = 0;
      v->data = nullptr;
    }
    c.state.pages.data = c.cache.data = c.weights.norm.data = nullptr;
    const auto before = call.outputs();
    for (const Op op : kOps) {
      if (op == Op::plan) continue;
      EXPECT_EQ(run(op, c, on(backend)).message(), "") << name(op);
    }
    EXPECT_EQ(call.outputs(), before);
    c.plan.data = call.plan_memory();
    EXPECT_EQ(plan(c, on(backend)).message(), "");
    EXPECT_NE(call.outputs(), before);  // an empty plan is a plan
  }
}

TEST(Dispatch, HostBackendsAreAvailableAndOthersAreNot) {
  EXPECT_TRUE(available(Backend::cpu));
  EXPECT_TRUE(available(Backend::reference));
  EXPECT_FALSE(available(static_cast<Backend>(3)));
  EXPECT_FALSE(available(static_cast<Backend>(-1)));
}

TEST(Dispatch, AbsentCudaIsSaidBeforeAnythingIsWritten) {
  if (available(Backend::cuda)) GTEST_SKIP() << "this machine has CUDA";
  ApiCall call;
  const auto before = call.outputs();
  const Status s = step(call.call, on(Backend::cuda));
  EXPECT_EQ(s.code(), StatusCode::unsupported);
  EXPECT_THAT(s.message(), testing::HasSubstr("exec.backend: expected"));
  EXPECT_THAT(s.message(), testing::HasSubstr("got cuda: "));
  EXPECT_EQ(call.outputs(), before);
}

TEST(Dispatch, DescribeNamesTheBackend) {
  ApiCall call;
  std::string text;
  EXPECT_EQ(describe(Op::step, call.call, on(Backend::reference), &text).message(), "");
  EXPECT_THAT(text, testing::StartsWith("reference/"));
  EXPECT_EQ(describe(Op::step, call.call, on(Backend::cpu), &text).message(), "");
  EXPECT_THAT(text, testing::StartsWith("cpu/"));
  EXPECT_EQ(describe(Op::step, call.call, on(Backend::cpu), nullptr).message(),
            "text: expected a string to fill, got null");
}

TEST(PlanBytes, AreMultiplesOf64ThatGrow) {
  EXPECT_EQ(plan_bytes(-1), 0);
  EXPECT_EQ(plan_bytes(0), 64);
  EXPECT_EQ(plan_bytes(std::int64_t{1} << 31), 0);
  std::int64_t last = 0;
  for (const std::int64_t n : {0, 1, 3, 4, 5, 16, 17, 1000, 1 << 20}) {
    const std::int64_t bytes = plan_bytes(n);
    EXPECT_EQ(bytes % 64, 0);
    EXPECT_GE(bytes, 64 + 20 * n);
    EXPECT_GE(bytes, last);
    last = bytes;
  }
}

TEST(Guarded, TurnsWhatIsThrownIntoInternal) {
  const Status memory = api::guarded([]() -> Status { throw std::bad_alloc(); });
  EXPECT_EQ(memory.code(), StatusCode::internal);
  EXPECT_NE(memory.message(), "");
  const Status known = api::guarded([]() -> Status { throw std::runtime_error("no threads"); });
  EXPECT_EQ(known.code(), StatusCode::internal);
  EXPECT_EQ(known.message(), "no threads");
  EXPECT_EQ(api::guarded([]() -> Status { throw 7; }).code(), StatusCode::internal);
  EXPECT_TRUE(api::guarded([] { return Status{}; }).ok());
}

TEST(Names, OfEveryValueAndOfNone) {
  EXPECT_STREQ(name(Op::norm_rope_store), "norm_rope_store");
  EXPECT_STREQ(name(Recipe::vllm_triton), "vllm_triton");
  EXPECT_STREQ(name(RowFormat::index_mxfp4), "index_mxfp4");
  EXPECT_STREQ(name(SimdTarget::avx512), "avx512");
  EXPECT_STREQ(name(Backend::cuda), "cuda");
  EXPECT_STREQ(name(StatusCode::out_of_range), "out_of_range");
  EXPECT_STREQ(name(static_cast<Op>(6)), "unknown");
  EXPECT_STREQ(name(static_cast<RowFormat>(-1)), "unknown");
  EXPECT_STREQ(name(static_cast<Backend>(9)), "unknown");
  EXPECT_STRNE(version(), "");
}

/// Rows of the weights may lie farther apart than they are wide.
TEST(Dispatch, WeightsMayHavePaddingBetweenTheirRows) {
  for (const Recipe recipe : {Recipe::vllm, Recipe::sglang}) {  // APE when saving, when pooling
    test::ApiCall packed({Csa::value, recipe});
    test::ApiCall apart({Csa::value, recipe});
    std::vector<std::vector<float>> memory;
    for (TensorView* v : {&apart.call.weights.ape, &apart.call.weights.rope}) {
      const std::int64_t stride = v->stride[0] + 16;
      memory.emplace_back(static_cast<std::size_t>(v->shape[0] * stride + 4), NAN);
      float* to = memory.back().data();
      while (reinterpret_cast<std::uintptr_t>(to) % 16 != 0)
        ++to;
      for (std::int64_t r = 0; r < v->shape[0]; ++r)
        std::copy_n(static_cast<const float*>(v->data) + r * v->stride[0], v->shape[1],
                    to + r * stride);
      v->data = to;
      v->stride[0] = stride;
    }
    for (const Backend backend : {Backend::cpu, Backend::reference}) {
      ASSERT_EQ(step(packed.call, {backend}).message(), "");
      ASSERT_EQ(step(apart.call, {backend}).message(), "");
      EXPECT_EQ(packed.outputs(), apart.outputs());
    }
  }
}

/// Padding inside a request breaks it: what lies before is then read from the state as it was.
TEST(Dispatch, BrokenRequestsReadTheStateAsItWas) {
  test::ApiCall cpu;
  test::ApiCall reference;
  for (test::ApiCall* a : {&cpu, &reference}) {
    a->state_slots()[4] = a->state_slots()[9] = -1;
    for (std::int64_t t = 5; t < 9; ++t) {  // positions 8 to 11, whose window begins at 4
      a->positions()[t] = 3 + t;
      a->requests()[t] = 0;
      a->state_slots()[t] = 12 + t - 5;
      a->kv_slots()[t] = 3;
    }
  }
  ASSERT_EQ(step(reference.call, {Backend::reference}).message(), "");
  ASSERT_EQ(step(cpu.call, {Backend::cpu, 1}).message(), "");
  EXPECT_EQ(cpu.outputs(), reference.outputs());
}

}  // namespace
}  // namespace pleat
