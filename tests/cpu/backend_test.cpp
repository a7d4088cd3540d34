// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/backend.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/kernels.hpp"
#include "support/engine.hpp"
#include "support/machines.hpp"
#include "support/scale.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

// Every kernel that the backend is made of: each recipe, row format and pair of dtypes, on each
// SIMD target, byte for byte what the reference leaves. What schedules do to a row is tested in
// tests/property.
namespace pleat::test {
namespace {

struct Kind {
  const char* name;
  Geometry geometry;
  std::vector<RowFormat> formats;
  std::vector<std::int64_t> lengths;
};

const std::vector<Kind> kKinds{
    {"hca",
     Hca::value,
     {RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor},
     {257, 127, 130}},
    {"csa", Csa::value, {RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor}, {13, 4, 9}},
    {"indexer", Indexer::value, {RowFormat::index_fp8, RowFormat::index_mxfp4}, {21, 4, 16}},
    // no named geometry: groups that are whole windows before position 0, narrow RoPE
    {"wide_overlap", {32, true, 128, 12, true}, {RowFormat::index_fp8}, {97, 33, 64}},
    {"two_pairs", {2, true, 256, 4, false}, {RowFormat::bf16}, {9, 4}},
    {"single", {1, false, 512, 64, false}, {RowFormat::fp8_mla}, {5}},
};

std::vector<Exec> execs() {
  std::vector<Exec> out;
  for (const SimdTarget t :
       {SimdTarget::scalar, SimdTarget::avx2, SimdTarget::avx512, SimdTarget::neon}) {
    if (!cpu::usable({Backend::cpu, 0, t}).ok()) continue;
    for (const int threads : {1, 3})
      out.push_back({Backend::cpu, threads, t});
  }
  out.push_back({Backend::cpu, 7, SimdTarget::best});
  return out;
}

EngineShape shape_of(StateLayout layout, EngineShape::Path path, std::int64_t state_rows) {
  EngineShape s;
  s.path = path;
  s.layout = layout;
  s.state_rows = state_rows;
  s.state_gap = 16;
  s.cache_gap = 32;
  s.max_chunk = 1000;  // longer than the ring
  s.single = 0.1;
  s.padding = 0.3;
  s.skipped = 0.1;
  return s;
}

class EveryKernel : public ::testing::TestWithParam<Kind> {};

TEST_P(EveryKernel, GivesTheReferencesBytes) {
  const Kind& kind = GetParam();
  const std::vector<Exec> all = execs();
  std::vector<EngineShape> shapes{
      shape_of(StateLayout::paged, EngineShape::Path::step, 8),
      shape_of(StateLayout::paged, EngineShape::Path::split, 3),
      shape_of(StateLayout::ring, EngineShape::Path::step, kind.geometry.window() + 1),
  };
  shapes[0].plan = true;
  shapes[0].write.policy = StatePolicy::tail;
  std::vector<Schedule> schedules;
  for (const EngineShape& s : shapes)
    schedules.push_back(make_schedule(kind.geometry, s, kind.lengths));
  LayerShape layer_shape;
  layer_shape.compressor.geometry = kind.geometry;
  layer_shape.positions = 300;
  std::uint64_t turn = 0;
  for (const RowFormat format : kind.formats) {
    for (const Recipe recipe :
         {Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang}) {
      for (const DType projection : {DType::f32, DType::bf16}) {
        for (const DType state : {DType::f32, DType::bf16}) {
          layer_shape.compressor.recipe = recipe;
          layer_shape.compressor.row_format = format;
          layer_shape.projection = projection;
          layer_shape.state = state;
          layer_shape.norm = turn % 2 == 0 ? DType::bf16 : DType::f32;
          // 30: some groups have scores beyond plain ones; 6e5: some reach beyond what is clamped
          layer_shape.gate = turn % 3 == 0 ? 30.0F : turn % 3 == 1 ? 6e5F : 1.0F;
          layer_shape.seed = ++turn;
          const Layer layer(layer_shape);
          const std::size_t which = turn % shapes.size();
          SCOPED_TRACE(to_string(layer_shape) + "\n" + to_string(shapes[which]));
          const Outcome want =
              run_schedule(layer, shapes[which], schedules[which], {Backend::reference});
          ASSERT_EQ(want.status.message(), "");
          ASSERT_EQ(want.fault, "");
          for (const Exec& exec : all) {
            const Outcome got = run_schedule(layer, shapes[which], schedules[which], exec);
            ASSERT_EQ(compare(want, got), "") << name(exec.simd) << ", threads " << exec.threads;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryKernel, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return std::string(info.param.name); });

/// Four rows of indexer state whose values lie below the normal floats.
std::vector<float> small_values() {
  const Geometry& g = Indexer::value;
  std::vector<float> state(static_cast<std::size_t>(4 * g.row_width()));
  for (std::size_t i = 0; i < state.size(); ++i) {
    const bool is_kv = static_cast<std::int64_t>(i) % g.row_width() < g.state_width();
    state[i] =
        is_kv ? 0x1p-149F * static_cast<float>(i % 1009) : 0.001F * static_cast<float>(i % 997);
  }
  return state;
}

/// Pools them, as the caller's floating-point environment stands.
std::vector<float> pool_first_window(std::vector<float> state, int threads) {
  const Geometry& g = Indexer::value;
  std::int64_t position = 3;
  std::int32_t request = 0;
  std::int64_t slot = 3;
  std::int32_t page = 0;
  std::vector<float> pooled(static_cast<std::size_t>(g.head_dim));
  Call call;
  call.compressor = {g, Recipe::vllm, RowFormat::index_fp8, 1e-6F};
  call.batch.positions = TensorView::packed(&position, DType::i64, 1);
  call.batch.token_to_req = TensorView::packed(&request, DType::i32, 1);
  call.batch.state_slots = TensorView::packed(&slot, DType::i64, 1);
  call.state.pages =
      TensorView::paged(state.data(), DType::f32, 1, 4, g.row_width(), 4 * g.row_width());
  call.state.block_table = TensorView::packed(&page, DType::i32, 1, 1);
  call.compressed = TensorView::packed(pooled.data(), DType::f32, 1, g.head_dim);
  EXPECT_TRUE(cpu::run(Op::compress, call, {Backend::cpu, threads}).ok());
  return pooled;
}

TEST(CpuBackend, KeepsItsFloatEnvironment) {
  const std::vector<float> state = small_values();
  const std::vector<float> want = pool_first_window(state, 1);
  EXPECT_GT(*std::max_element(want.begin(), want.end()), 0.0F);
  ASSERT_EQ(std::fesetround(FE_UPWARD), 0);
#if defined(__x86_64__)
  constexpr unsigned kFlush = 0x8040;  // denormal results and operands become zero
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kFlush);
#endif
  const std::vector<float> one = pool_first_window(state, 1);
  const std::vector<float> two = pool_first_window(state, 2);
#if defined(__x86_64__)
  const bool kept = (_mm_getcsr() & kFlush) == kFlush;
  _mm_setcsr(before);
  EXPECT_TRUE(kept);
#endif
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(std::memcmp(one.data(), want.data(), 4 * want.size()), 0);
  EXPECT_EQ(std::memcmp(two.data(), want.data(), 4 * want.size()), 0);
}

TEST(CpuBackend, RefusesATargetThatIsNotHere) {
  int refused = 0;
  for (const SimdTarget t : {SimdTarget::neon, SimdTarget::avx2, SimdTarget::avx512}) {
    if (cpu::kernels_of(t) != nullptr) continue;
    ++refused;
    const Status s = run(Op::save_state, empty_call(), {Backend::cpu, 1, t});
    EXPECT_EQ(s.code(), StatusCode::unsupported);
    EXPECT_EQ(s.message(),
              fmt::format("exec.simd: expected best, {} (what this build has and this machine "
                          "runs), got {}",
                          cpu::available_targets(), name(t)));
  }
  EXPECT_GT(refused, 0);  // no machine has both families
  EXPECT_TRUE(cpu::usable({Backend::cpu, 0, SimdTarget::best}).ok());
  EXPECT_TRUE(cpu::usable({Backend::cpu, 0, SimdTarget::scalar}).ok());
}

TEST(CpuBackend, TheBestTargetIsTheFirst) {
  const std::string all = cpu::available_targets();
  EXPECT_EQ(name(cpu::kernels_of(SimdTarget::best)->target), all.substr(0, all.find(',')));
}

TEST(CpuBackend, SaysWhatRuns) {
  EXPECT_EQ(cpu::describe(Op::step, empty_call(), {Backend::cpu, 2, SimdTarget::scalar}),
            "cpu/scalar 2 threads");
  EXPECT_EQ(cpu::describe(Op::step, empty_call(), {Backend::cpu, 1, SimdTarget::scalar}),
            "cpu/scalar 1 thread");
}

}  // namespace
}  // namespace pleat::test
