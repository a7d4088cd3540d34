// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pleat/pleat.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "support/api_call.hpp"
#include "support/api_pair.hpp"
#include "support/call_for.hpp"

namespace pleat {
namespace {

using test::ApiCall;
using test::ApiCallOptions;

pleat_tensor tensor_of(const TensorView& v) {
  pleat_tensor t{};
  t.data = v.data;
  t.dtype = static_cast<std::int32_t>(v.dtype);
  t.rank = v.rank;
  std::copy(v.shape.begin(), v.shape.end(), t.shape);
  std::copy(v.stride.begin(), v.stride.end(), t.stride);
  return t;
}

pleat_call c_call_of(const Call& c) {
  pleat_call out = pleat_call_init();
  const Geometry& g = c.compressor.geometry;
  out.geometry =
      pleat_geometry_of(g.ratio, g.overlap ? 1 : 0, g.head_dim, g.rope_dim, g.ape ? 1 : 0);
  out.recipe = static_cast<std::int32_t>(c.compressor.recipe);
  out.row_format = static_cast<std::int32_t>(c.compressor.row_format);
  out.eps = c.compressor.eps;
  out.positions = tensor_of(c.batch.positions);
  out.token_to_req = tensor_of(c.batch.token_to_req);
  out.state_slots = tensor_of(c.batch.state_slots);
  out.kv_slots = tensor_of(c.batch.kv_slots);
  out.projection = tensor_of(c.projection);
  out.state_pages = tensor_of(c.state.pages);
  out.block_table = tensor_of(c.state.block_table);
  out.state_layout = static_cast<std::int32_t>(c.state.layout);
  out.state_policy = static_cast<std::int32_t>(c.write.policy);
  out.rollback = c.write.rollback;
  out.compressed = tensor_of(c.compressed);
  out.cache = tensor_of(c.cache);
  out.ape = tensor_of(c.weights.ape);
  out.norm = tensor_of(c.weights.norm);
  out.rope = tensor_of(c.weights.rope);
  out.fp8_scale = tensor_of(c.weights.fp8_scale);
  out.plan = c.plan.data;
  out.plan_capacity = c.plan.capacity;
  return out;
}

pleat_exec reference_exec() {
  pleat_exec exec = pleat_exec_init();
  exec.backend = PLEAT_REFERENCE;
  return exec;
}

/// The struct as a caller with `size` bytes of it would hand it over, with nothing after it.
template <class Struct>
class Sized {
 public:
  Sized(const Struct& s, std::size_t size) : bytes_(size) {
    std::memcpy(bytes_.as(), &s, std::min(size, sizeof s));
    std::memcpy(bytes_.as(), &size, std::min(size, sizeof size));
  }
  Struct* get() const { return bytes_.template as<Struct>(); }
  char* bytes() const { return bytes_.template as<char>(); }

 private:
  test::OwnedBytes bytes_;
};

TEST(CApi, EachOpGivesTheBytesOfTheCppOne) {
  using Function = pleat_status (*)(const pleat_call*, const pleat_exec*);
  const Function functions[] = {pleat_plan,           pleat_save_state,
                                pleat_compress,       pleat_norm_rope_store,
                                pleat_compress_store, pleat_step};
  const ApiCallOptions variants[] = {
      {},
      {Hca::value, Recipe::deepseek, RowFormat::bf16, StateLayout::ring},
      {Indexer::value, Recipe::sglang, RowFormat::index_mxfp4},
      {Csa::value, Recipe::vllm_triton, RowFormat::fp8_tensor},
  };
  Exec cpp_exec;
  cpp_exec.backend = Backend::reference;
  const pleat_exec c_exec = reference_exec();
  for (const ApiCallOptions& o : variants) {
    for (int op = 0; op < 6; ++op) {
      ApiCall cpp(o);
      ApiCall by_name(o);
      ApiCall by_value(o);
      for (ApiCall* c : {&cpp, &by_name, &by_value}) {
        c->call.write = {StatePolicy::tail, 1};
        c->call = test::call_for(static_cast<Op>(op), c->call);
        c->call.plan.data = op == 0 ? c->plan_memory() : nullptr;
      }
      const auto before = cpp.outputs();
      ASSERT_EQ(run(static_cast<Op>(op), cpp.call, cpp_exec).message(), "");
      const pleat_call first = c_call_of(by_name.call);
      EXPECT_EQ(functions[op](&first, &c_exec), PLEAT_OK) << pleat_last_error();
      const pleat_call second = c_call_of(by_value.call);
      EXPECT_EQ(pleat_run(op, &second, &c_exec), PLEAT_OK) << pleat_last_error();
      EXPECT_NE(cpp.outputs(), before);
      EXPECT_EQ(by_name.outputs(), cpp.outputs());
      EXPECT_EQ(by_value.outputs(), cpp.outputs());
    }
  }
}

TEST(CApi, CsaStepGivesTheBytesOfTheCppOne) {
  Exec cpp_exec;
  cpp_exec.backend = Backend::reference;
  const pleat_exec exec = reference_exec();
  test::ApiPair cpp;
  test::ApiPair c;
  ASSERT_EQ(csa_step(cpp.main(), cpp.indexer(), cpp_exec).message(), "");
  const pleat_call main = c_call_of(c.main());
  pleat_call indexer = c_call_of(c.indexer());
  EXPECT_EQ(pleat_csa_step(&main, &indexer, &exec), PLEAT_OK) << pleat_last_error();
  EXPECT_EQ(c.outputs(), cpp.outputs());
  EXPECT_EQ(pleat_csa_step(&main, &indexer, nullptr), PLEAT_OK) << pleat_last_error();
  EXPECT_EQ(c.outputs(), cpp.outputs());
  char text[64] = "untouched";
  EXPECT_EQ(pleat_describe_csa_step(&main, &indexer, &exec, text, 4), PLEAT_INVALID_ARGUMENT);
  EXPECT_THAT(pleat_last_error(), testing::MatchesRegex("size: expected at least [0-9]+, got 4"));
  EXPECT_EQ(pleat_describe_csa_step(&main, &indexer, &exec, text, sizeof text), PLEAT_OK);
  EXPECT_THAT(text, testing::StartsWith("reference/"));

  const auto before = c.outputs();
  indexer.state_pages.shape[2] = 2048;
  EXPECT_EQ(pleat_csa_step(&main, &indexer, &exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(),
               "indexer.state.pages: expected last dimension 512 (2S of indexer), got 2048");
  EXPECT_EQ(pleat_csa_step(nullptr, &indexer, &exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(), "main: expected a pointer to a struct, got null");
  EXPECT_EQ(pleat_csa_step(&main, nullptr, &exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(), "indexer: expected a pointer to a struct, got null");
  indexer.struct_size = 3;
  EXPECT_EQ(pleat_csa_step(&main, &indexer, &exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(),
               "indexer.struct_size: expected sizeof(pleat_call), 904 in this version, got 3");
  indexer.struct_size = sizeof indexer;
  indexer.geometry.overlap = 7;
  EXPECT_EQ(pleat_csa_step(&main, &indexer, &exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(), "indexer.geometry.overlap: expected 0 or 1, got 7");
  EXPECT_EQ(c.outputs(), before);
}

TEST(CApi, NullExecIsTheDefaultOne) {
  ApiCall a;
  ApiCall b;
  const pleat_call first = c_call_of(a.call);
  const pleat_call second = c_call_of(b.call);
  const pleat_exec exec = pleat_exec_init();
  EXPECT_EQ(pleat_step(&first, nullptr), PLEAT_OK) << pleat_last_error();
  EXPECT_EQ(pleat_step(&second, &exec), PLEAT_OK) << pleat_last_error();
  EXPECT_EQ(a.outputs(), b.outputs());
}

TEST(CApi, RefusalHasCodeTextAndTouchesNothing) {
  ApiCall good;
  pleat_call call = c_call_of(good.call);
  call.state_pages.shape[2] = 512;
  const pleat_exec exec = reference_exec();
  const auto before = good.outputs();
  EXPECT_EQ(pleat_step(&call, &exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(),
               "state.pages: expected last dimension 2048 (2S of csa), got 512");
  EXPECT_EQ(good.outputs(), before);
  call.state_pages.shape[2] = 2048;
  EXPECT_EQ(pleat_step(&call, &exec), PLEAT_OK);
  EXPECT_STREQ(pleat_last_error(), "");
}

TEST(CApi, CheckedModeReachesTheIndices) {
  ApiCall good;
  good.state_slots()[2] = 1 << 20;
  const pleat_call call = c_call_of(good.call);
  pleat_exec exec = reference_exec();
  exec.checked = 1;
  EXPECT_EQ(pleat_save_state(&call, &exec), PLEAT_OUT_OF_RANGE);
  EXPECT_THAT(pleat_last_error(), testing::StartsWith("batch.state_slots[2]: expected less than"));
}

TEST(CApi, LastErrorBelongsToTheThread) {
  EXPECT_EQ(pleat_step(nullptr, nullptr), PLEAT_INVALID_ARGUMENT);
  const std::string mine = pleat_last_error();
  EXPECT_EQ(mine, "call: expected a pointer to a struct, got null");
  std::thread([] {
    EXPECT_STREQ(pleat_last_error(), "");
    EXPECT_EQ(pleat_build_rope_table(0, nullptr), PLEAT_INVALID_ARGUMENT);
    EXPECT_STREQ(pleat_last_error(), "table: expected a pointer to a pleat_tensor, got null");
  }).join();
  EXPECT_EQ(pleat_last_error(), mine);
}

/// A caller compiled when the struct ended earlier gets the defaults of the rest.
TEST(CApi, OlderStructsAreServedWithDefaults) {
  ApiCall cpp;
  ApiCall old;
  Exec exec;
  exec.backend = Backend::reference;
  const pleat_exec c_exec = reference_exec();
  ASSERT_TRUE(step(cpp.call, exec).ok());
  const Sized<pleat_call> without_plan(c_call_of(old.call), offsetof(pleat_call, rollback));
  EXPECT_EQ(pleat_step(without_plan.get(), &c_exec), PLEAT_OK) << pleat_last_error();
  EXPECT_EQ(old.outputs(), cpp.outputs());

  const Sized<pleat_exec> backend_only(c_exec, offsetof(pleat_exec, simd));
  EXPECT_EQ(pleat_step(without_plan.get(), backend_only.get()), PLEAT_OK) << pleat_last_error();

  const Sized<pleat_call> bare(c_call_of(old.call), offsetof(pleat_call, positions));
  EXPECT_EQ(pleat_step(bare.get(), &c_exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(), "batch.positions: expected i64 [T], got no view (dtype none)");
}

TEST(CApi, NewerStructsAreServedWhenTheUnknownIsZero) {
  ApiCall good;
  const pleat_exec exec = reference_exec();
  const Sized<pleat_call> newer(c_call_of(good.call), sizeof(pleat_call) + 16);
  EXPECT_EQ(pleat_step(newer.get(), &exec), PLEAT_OK) << pleat_last_error();
  newer.bytes()[sizeof(pleat_call) + 9] = 1;
  const auto before = good.outputs();
  EXPECT_EQ(pleat_step(newer.get(), &exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(),
               "call.struct_size: expected at most 904, or zeros beyond, got 920 with byte 913 not "
               "0");
  EXPECT_EQ(good.outputs(), before);
}

TEST(CApi, SizesThatNoVersionHasAreRefused) {
  ApiCall good;
  pleat_call call = c_call_of(good.call);
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, sizeof(pleat_call) - 4,
                                 std::size_t{1} << 20, ~std::size_t{0}}) {
    call.struct_size = size;
    EXPECT_EQ(pleat_step(&call, nullptr), PLEAT_INVALID_ARGUMENT);
    EXPECT_EQ(pleat_last_error(),
              "call.struct_size: expected sizeof(pleat_call), 904 in this version, got " +
                  std::to_string(size));
  }
  pleat_exec exec = pleat_exec_init();
  exec.struct_size = 3;
  call.struct_size = sizeof call;
  EXPECT_EQ(pleat_step(&call, &exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_THAT(pleat_last_error(),
              testing::StartsWith("exec.struct_size: expected sizeof(pleat_exec"));
}

TEST(CApi, FlagsAreZeroOrOne) {
  ApiCall good;
  const pleat_call clean = c_call_of(good.call);
  const auto before = good.outputs();
  const auto expect = [&](const pleat_call& call, const pleat_exec& exec, const char* words) {
    EXPECT_EQ(pleat_step(&call, &exec), PLEAT_INVALID_ARGUMENT);
    EXPECT_STREQ(pleat_last_error(), words);
    EXPECT_EQ(good.outputs(), before);
  };
  pleat_call call = clean;
  call.geometry.overlap = 2;
  expect(call, reference_exec(), "geometry.overlap: expected 0 or 1, got 2");
  call = clean;
  call.geometry.ape = -1;
  expect(call, reference_exec(), "geometry.ape: expected 0 or 1, got -1");
  call = clean;
  call.reserved = 5;
  expect(call, reference_exec(), "call.reserved: expected 0, got 5");
  pleat_exec exec = reference_exec();
  exec.checked = 3;
  expect(clean, exec, "exec.checked: expected 0 or 1, got 3");
  exec = reference_exec();
  exec.chain = 4;
  expect(clean, exec, "exec.chain: expected none, late or early (0 to 2), got 4");
}

TEST(CApi, UnknownOpsAreRefused) {
  ApiCall good;
  const pleat_call call = c_call_of(good.call);
  EXPECT_EQ(pleat_run(6, &call, nullptr), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(),
               "op: expected plan, save_state, compress, norm_rope_store, compress_store or step "
               "(0 to 5), got 6");
  EXPECT_EQ(pleat_run(-1, &call, nullptr), PLEAT_INVALID_ARGUMENT);
}

TEST(CApi, DescribeFillsTheBufferOrSaysWhatItNeeds) {
  ApiCall good;
  pleat_call call = c_call_of(good.call);
  const pleat_exec exec = reference_exec();
  char text[64] = "untouched";
  EXPECT_EQ(pleat_describe(PLEAT_OP_STEP, &call, &exec, text, 4), PLEAT_INVALID_ARGUMENT);
  EXPECT_THAT(pleat_last_error(), testing::MatchesRegex("size: expected at least [0-9]+, got 4"));
  EXPECT_STREQ(text, "untouched");
  EXPECT_EQ(pleat_describe(PLEAT_OP_STEP, &call, &exec, nullptr, 64), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(), "buffer: expected memory for text, got null");
  EXPECT_EQ(pleat_describe(PLEAT_OP_STEP, &call, &exec, text, sizeof text), PLEAT_OK);
  EXPECT_THAT(text, testing::StartsWith("reference/"));
  call.eps = NAN;
  EXPECT_EQ(pleat_describe(PLEAT_OP_STEP, &call, &exec, text, sizeof text), PLEAT_INVALID_ARGUMENT);
  EXPECT_STREQ(pleat_last_error(), "compressor.eps: expected greater than 0 and finite, got nan");
}

TEST(CApi, BuildsTheRopeTable) {
  std::vector<float> c(16 * 64);
  std::vector<float> cpp(c.size());
  const pleat_tensor table = pleat_packed2(c.data(), PLEAT_F32, 16, 64);
  EXPECT_EQ(pleat_build_rope_table(PLEAT_SGLANG, &table), PLEAT_OK);
  ASSERT_TRUE(
      build_rope_table(Recipe::sglang, TensorView::packed(cpp.data(), DType::f32, 16, 64)).ok());
  EXPECT_EQ(c, cpp);
}

TEST(CApi, SmallOnes) {
  EXPECT_STREQ(pleat_version(), version());
  EXPECT_EQ(pleat_plan_bytes(100), plan_bytes(100));
  EXPECT_EQ(pleat_available(PLEAT_CPU), 1);
  EXPECT_EQ(pleat_available(PLEAT_REFERENCE), 1);
  EXPECT_EQ(pleat_available(17), 0);
  EXPECT_STREQ(pleat_status_name(PLEAT_DEVICE_ERROR), "device_error");
  EXPECT_STREQ(pleat_status_name(99), "unknown");
  EXPECT_EQ(pleat_csa().overlap, 1);
  EXPECT_EQ(pleat_indexer().head_dim, 128);
  EXPECT_EQ(pleat_hca().ratio, 128);
}

TEST(CApi, ViewHelpersSpellShapesAsTheCppOnesDo) {
  char byte = 0;
  const auto same = [](const pleat_tensor& a, const TensorView& b) {
    const pleat_tensor want = tensor_of(b);
    return std::memcmp(&a, &want, sizeof a) == 0;
  };
  EXPECT_TRUE(same(pleat_packed1(&byte, PLEAT_I64, 5), TensorView::packed(&byte, DType::i64, 5)));
  EXPECT_TRUE(
      same(pleat_packed2(&byte, PLEAT_F32, 5, 7), TensorView::packed(&byte, DType::f32, 5, 7)));
  EXPECT_TRUE(same(pleat_paged(&byte, PLEAT_U8, 5, 7, 9, 99),
                   TensorView::paged(&byte, DType::u8, 5, 7, 9, 99)));
}

TEST(CApi, DescribeNeedsRoomForTheZeroToo) {
  ApiCall good;
  const pleat_call call = c_call_of(good.call);
  const pleat_exec exec = reference_exec();
  char text[64];
  ASSERT_EQ(pleat_describe(PLEAT_OP_STEP, &call, &exec, text, sizeof text), PLEAT_OK);
  const std::size_t length = std::strlen(text);
  char exact[64];
  std::memset(exact, '?', sizeof exact);
  EXPECT_EQ(pleat_describe(PLEAT_OP_STEP, &call, &exec, exact, length), PLEAT_INVALID_ARGUMENT);
  EXPECT_EQ(exact[length], '?');
  EXPECT_EQ(pleat_last_error(), "size: expected at least " + std::to_string(length + 1) + ", got " +
                                    std::to_string(length));
  EXPECT_EQ(pleat_describe(PLEAT_OP_STEP, &call, &exec, exact, length + 1), PLEAT_OK);
  EXPECT_STREQ(exact, text);
}

TEST(CApi, LongTextsOfErrorsComeWhole) {
  ApiCall good;
  Exec exec;
  exec.backend = Backend::reference;
  const pleat_exec c_exec = reference_exec();
  good.call.compressor.geometry.ratio = 3;
  const pleat_call call = c_call_of(good.call);
  EXPECT_EQ(pleat_step(&call, &c_exec), PLEAT_INVALID_ARGUMENT);
  EXPECT_EQ(pleat_last_error(), step(good.call, exec).message());
  EXPECT_GT(std::strlen(pleat_last_error()), 180U);
}

}  // namespace
}  // namespace pleat
