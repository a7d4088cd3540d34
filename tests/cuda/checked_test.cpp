// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <string>

#include "api/plan_layout.hpp"
#include "support/api_call.hpp"
#include "support/call_for.hpp"
#include "support/gpu.hpp"
#include "support/index_refusals.hpp"
#include "support/memory.hpp"
#include "support/moved_call.hpp"
#include "support/plan_bytes.hpp"

// Checked mode where the indices lie on the GPU: what the reference refuses is refused in the same
// words, with the first bad token's name, and nothing on the device has changed.
namespace pleat::test {
namespace {

Exec checked(Exec exec) {
  exec.checked = true;
  return exec;
}

Memory& device() {
  return memory_of(Backend::cuda);
}

class CheckedOnGpu : public GpuTestWith<Refusal> {};

TEST_P(CheckedOnGpu, RefusedByNameAndNothingIsWritten) {
  const Refusal& r = GetParam();
  ApiCall made(r.options);
  if (r.op == Op::plan) made.call.plan.data = made.plan_memory();
  Call bad = made.call;
  Exec exec = checked(gpu_exec());
  const Stream stream;
  exec.stream = stream.get();
  r.spoil(bad, exec);
  const MovedCall moved(bad, device());
  const Status s = run(r.op, moved.call, exec);
  stream.wait();
  EXPECT_EQ(s.code(), r.code) << s.message();
  for (const std::string& word : r.words) {
    EXPECT_THAT(s.message(), testing::HasSubstr(word));
  }
  EXPECT_EQ(s.message(), run(r.op, bad, checked({Backend::reference})).message());
  EXPECT_TRUE(moved.untouched());
}

INSTANTIATE_TEST_SUITE_P(All, CheckedOnGpu, testing::ValuesIn(index_refusals()), title_of);

class CheckedGpuCalls : public GpuTest {};

// A good call passes and leaves the reference's bytes, with padding that holds nonsense.
TEST_F(CheckedGpuCalls, GoodOnesPassWithEveryOp) {
  for (const Geometry& g :
       {Hca::value, Csa::value, Indexer::value, Geometry{16, true, 128, 32, true},
        Geometry{4, false, 512, 64, false}, Geometry{64, true, 1024, 64, true}}) {
    const RowFormat format = g.head_dim == 128 ? RowFormat::index_fp8 : RowFormat::fp8_mla;
    for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
      for (const bool tail : {false, true}) {
        const ApiCallOptions options{g, Recipe::vllm, format, layout};
        for (int op = 0; op < 6; ++op) {
          SCOPED_TRACE(name(static_cast<Op>(op)));
          ApiCall want(options);
          ApiCall got(options);
          for (ApiCall* c : {&want, &got}) {
            if (tail) c->call.write = {StatePolicy::tail, 2};
            c->call = call_for(static_cast<Op>(op), c->call);
            if (static_cast<Op>(op) == Op::plan) c->call.plan.data = c->plan_memory();
          }
          const MovedCall moved(got.call, device());
          ASSERT_EQ(run(static_cast<Op>(op), moved.call, checked(gpu_exec())).message(), "");
          ASSERT_EQ(run(static_cast<Op>(op), want.call, {Backend::reference}).message(), "");
          moved.bring_back();
          if (static_cast<Op>(op) == Op::plan) {
            const auto meaning = [](const ApiCall& c) {
              const auto* plan = static_cast<const std::uint8_t*>(c.plan_memory());
              return meaning_of_plan({plan, plan + plan_bytes(c.tokens())}, c.tokens());
            };
            EXPECT_EQ(meaning(got), meaning(want));
          } else {
            EXPECT_EQ(got.outputs(), want.outputs());
          }
        }
      }
    }
  }
}

// Tokens that a kernel on the stream has yet to write are looked at when they are there.
TEST_F(CheckedGpuCalls, WaitForTheStream) {
  ApiCall good;
  const MovedCall moved(good.call, device());
  good.positions()[4] = -2;
  const Stream stream;
  Exec exec = checked(gpu_exec(stream));
  const auto bytes = static_cast<std::size_t>(good.tokens()) * sizeof(std::int64_t);
  const Buffer bad(device(), Bytes(reinterpret_cast<std::uint8_t*>(good.positions()),
                                   reinterpret_cast<std::uint8_t*>(good.positions()) + bytes));
  must(cudaMemcpyAsync(moved.call.batch.positions.data, bad.data(), bytes, cudaMemcpyDeviceToDevice,
                       stream.get()));
  const Status s = step(moved.call, exec);
  EXPECT_EQ(s.code(), StatusCode::out_of_range);
  EXPECT_THAT(s.message(), testing::HasSubstr("batch.positions[4]: expected from 0"));
}

// A plan that lies on the GPU is held against the batch as one on the host is.
TEST_F(CheckedGpuCalls, PlansOfAnotherStep) {
  const auto expect_as_on_the_host = [](Op op, const ApiCall& made, const char* words) {
    const MovedCall moved(made.call, device());
    const Status s = run(op, moved.call, checked(gpu_exec()));
    EXPECT_EQ(s.message(), run(op, made.call, checked({Backend::reference})).message());
    EXPECT_THAT(s.message(), testing::HasSubstr(words));
    EXPECT_TRUE(moved.untouched());
  };
  for (const Op op : {Op::compress_store, Op::step}) {
    SCOPED_TRACE(name(op));
    ApiCall made;
    made.call.plan.data = made.plan_memory();
    ASSERT_EQ(plan(made.call, {Backend::reference}).message(), "");
    const PlanPointers lists = plan_pointers(made.call.plan.data, made.call.plan.capacity);
    lists.header->tokens = 7;
    expect_as_on_the_host(op, made, "plan (tokens): expected made for 12, got 7");
    lists.header->tokens = 12;
    lists.header->closing = 100000;
    expect_as_on_the_host(op, made, "plan: expected 2 closing tokens, as the batch has");
    lists.header->closing = 2;
    lists.entries[1].token = 1 << 30;
    expect_as_on_the_host(op, made, "plan entry 1: expected token 9 of request 1");
  }
}

// State and cache of one pool on the device: a page of both is refused there as on the host.
TEST_F(CheckedGpuCalls, StateAndCacheOfOnePool) {
  ApiCall good;
  TensorView& cache = good.call.cache;
  const std::int64_t stride = good.call.state.pages.stride[0] * 4;
  cache.stride[0] = stride;
  cache.data = shifted(good.call.state.pages.data, 2 * stride);
  const MovedCall apart(good.call, device());
  const Status s = step(apart.call, checked(gpu_exec()));
  EXPECT_EQ(s.code(), StatusCode::out_of_range);
  EXPECT_THAT(s.message(), testing::HasSubstr("slot 1 in state page 2"));
  EXPECT_TRUE(apart.untouched());
  cache.data = good.call.state.pages.data;  // pages 0 and 1, which the step does not touch
  cache.shape[0] = 2;
  const MovedCall together(good.call, device());
  EXPECT_EQ(step(together.call, checked(gpu_exec())).message(), "");
}

}  // namespace
}  // namespace pleat::test
