// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "support/call_for.hpp"
#include "support/draw_step.hpp"
#include "support/engine.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"

// Geometries that no kernel is compiled for: all ops of every recipe and row format, on the GPU
// against the CPU, all bytes. The other tests of this folder have a few of them beside the three of
// the model: canaries (canary_test.cpp), rings of every phase (ring_test.cpp), graphs, chains.
namespace pleat::test {
namespace {

struct Kind {
  const char* name;
  Geometry geometry;
  std::int64_t tokens;  ///< of a step: more than a window, where that is not too many
  std::int64_t requests = 12;
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

// The corners of is_valid(), and of how a block goes over a window: windows of fewer rows than a
// group (8) and a span (16), of one span, of all; fewer channels than threads, and 16 times as
// many.
const Kind kKinds[] = {
    {"r1_d512", {1, false, 512, 64, false}, 150},
    {"r1_overlap_d128_rope2", {1, true, 128, 2, true}, 20},
    {"r1_overlap_d256_rope6", {1, true, 256, 6, false}, 20},
    {"r2_d256_rope32", {2, false, 256, 32, true}, 24},
    {"r2_overlap_d512", {2, true, 512, 64, false}, 20},
    {"r4_d128", {4, false, 128, 64, true}, 30},
    {"r4_overlap_d1024", {4, true, 1024, 64, true}, 20},
    {"r4_overlap_d4096", {4, true, 4096, 64, true}, 14},
    {"r8_d64_rope6", {8, false, 64, 6, false}, 40},
    {"r8_overlap_d256_rope2", {8, true, 256, 2, true}, 40},
    {"r8_overlap_d2048", {8, true, 2048, 64, false}, 30},
    {"r16_overlap_d512", {16, true, 512, 64, true}, 70},
    {"r16_d4096_rope6", {16, false, 4096, 6, false}, 30},
    {"r32_d128_rope32", {32, false, 128, 32, false}, 100},
    {"r64_d512", {64, false, 512, 64, true}, 150},
    {"r128_overlap_d512", {128, true, 512, 64, true}, 300},
    {"r128_d512_no_ape", {128, false, 512, 64, false}, 300},
};
const Kind kLarge[] = {
    {"r1024_d256", {1024, false, 256, 64, true}, 1100, 3},
    {"r1024_overlap_d64", {1024, true, 64, 64, true}, 2100, 3},
    {"r1024_overlap_d256_rope6", {1024, true, 256, 6, true}, 2100, 3},
};

std::vector<RowFormat> formats_of(const Geometry& g) {
  std::vector<RowFormat> out;
  for (const RowFormat f : {RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor,
                            RowFormat::index_fp8, RowFormat::index_mxfp4}) {
    if (row_format_fits(f, g)) out.push_back(f);
  }
  return out;
}

DType draw_dtype(Random& random) {
  return random.chance(0.5) ? DType::bf16 : DType::f32;
}

LayerShape draw_layer(const Geometry& g, Recipe recipe, RowFormat format, Random& random) {
  LayerShape s;
  s.compressor = {g, recipe, format, 1e-6F};
  s.state = draw_dtype(random);
  s.projection = draw_dtype(random);
  s.norm = draw_dtype(random);
  s.gate = random.pick<float>({1.0F, 1.0F, 30.0F, 6e5F});  // the last two go beyond plain scores
  s.positions = 3 * g.window() + 17;
  s.seed = random.bits();
  return s;
}

EngineShape draw_shape(const Geometry& g, StateLayout layout, StatePolicy policy, Random& random) {
  EngineShape s;
  s.layout = layout;
  s.write = {policy, static_cast<std::int32_t>(random.below(5))};
  s.plan = true;  // it has its memory; ops are called with it and without
  s.padding = 0.3;
  s.skipped = 0.15;
  s.state_gap = 8 * random.below(4);
  s.cache_gap = 16 * random.below(3);
  s.row_gap = 8 * random.below(3);
  s.cache_rows = random.pick<std::int64_t>({1, 2, 3, 64});
  s.seed = random.bits();
  if (layout == StateLayout::ring) {
    s.state_rows = g.window() + s.write.rollback + random.below(7);
  } else if (g.window() > 256) {
    s.state_rows = random.pick<std::int64_t>({64, 100});
  } else {
    s.state_rows = random.pick<std::int64_t>({1, 3, 4, 8, 16, 64});
  }
  return s;
}

/// One of four: any requests, decode in which all close, a prompt from position 0, whose first
/// windows lack rows, or a whole window and what others leave.
std::vector<RequestSpan> draw_load(int which, const Kind& kind, std::int64_t positions,
                                   Random& random) {
  const Geometry& g = kind.geometry;
  switch (which) {
    case 0:
      return draw_requests(std::min<std::int64_t>(7, kind.requests), kind.tokens, positions,
                           random);
    case 1:
      return single_tokens(g, std::min(kind.requests, kind.tokens), true, positions, random);
    case 2:
      return {{0, std::min(kind.tokens, positions)}};
    default:
      break;
  }
  const std::int64_t end = positions / g.ratio * g.ratio;
  const std::int64_t whole = std::min<std::int64_t>(kind.tokens - 1, g.ratio + 1);
  return {{end - whole, whole}, {0, std::min<std::int64_t>(kind.tokens - whole, g.ratio)}};
}

/// Runs the op on both, from the same garbage, with and without a plan.
void compare(Rig& cpu, Rig& gpu, const Step& step, Op op) {
  for (const bool planned : {true, false}) {
    if (op == Op::plan && !planned) continue;
    SCOPED_TRACE(std::string(name(op)) + (planned ? ", planned" : ""));
    for (Rig* r : {&cpu, &gpu}) {
      r->fill(static_cast<std::uint64_t>(op) + 1);
      r->load(step);
      ASSERT_EQ(r->run(Op::plan).message(), "");
      if (op != Op::plan) {
        ASSERT_EQ(r->run(op, planned).message(), "");
      }
    }
    ASSERT_EQ(difference(cpu, gpu), "");
  }
}

class AnyGeometry : public GpuTestWith<Kind> {};

/// Kind and recipe: a test each, as racecheck takes minutes for what is more.
class AnyGeometryBytes : public GpuTestWith<std::tuple<Kind, Recipe>> {
 protected:
  static void compare_all(const LayerShape& layer_shape, const EngineShape& shape, int which,
                          const Kind& kind, bool stores, Random& random) {
    SCOPED_TRACE(to_string(layer_shape) + "\n" + to_string(shape) + "\nload " +
                 std::to_string(which));
    const Layer layer(layer_shape);
    const RigSize size = rig_size(layer, shape, kind.tokens, kind.requests);
    Rig cpu(layer, shape, size, cpu_exec());
    Rig gpu(layer, shape, size, gpu_exec());
    gpu.exec.chain = random.pick<Chain>({Chain::none, Chain::late, Chain::early});
    const Step step = draw_step(kind.geometry, shape, size,
                                draw_load(which, kind, layer_shape.positions, random), random);
    for (const Op op : {Op::plan, Op::save_state, Op::compress})
      ASSERT_NO_FATAL_FAILURE(compare(cpu, gpu, step, op));
    if (!stores) return;
    for (const Op op : {Op::norm_rope_store, Op::compress_store, Op::step})
      ASSERT_NO_FATAL_FAILURE(compare(cpu, gpu, step, op));
  }
};

TEST_P(AnyGeometryBytes, AreTheCpus) {
  const auto& [kind, recipe] = GetParam();
  const Geometry& g = kind.geometry;
  std::vector<RowFormat> formats = formats_of(g);
  const bool stores = !formats.empty();
  if (!stores) formats.push_back(RowFormat::bf16);  // not looked at
  Random random(hash_of(static_cast<std::uint64_t>(g.ratio), static_cast<std::uint64_t>(g.head_dim),
                        static_cast<std::uint64_t>(recipe), g.overlap ? 43 : 44));
  auto which = static_cast<int>(recipe);
  for (const RowFormat format : formats) {
    for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
      for (const StatePolicy policy : {StatePolicy::all, StatePolicy::tail}) {
        const LayerShape layer = draw_layer(g, recipe, format, random);
        const EngineShape shape = draw_shape(g, layout, policy, random);
        ASSERT_NO_FATAL_FAILURE(compare_all(layer, shape, which++ % 4, kind, stores, random));
      }
    }
  }
}

// Requests in chunks, over steps that leave rows in the state for later ones, drafts among them:
// the cache and the state are the CPU's, and what the spec says of each window alone.
TEST_P(AnyGeometry, ChunkedRequestsAreTheCpus) {
  const Kind& kind = GetParam();
  const Geometry& g = kind.geometry;
  const std::vector<RowFormat> formats = formats_of(g);
  if (formats.empty()) GTEST_SKIP() << "no row format holds a head dim of 64";
  const bool heavy = g.window() * g.head_dim > 1 << 17;
  const std::int64_t w = g.window();
  for (std::uint64_t seed = 1; seed <= (heavy ? 2 : 6); ++seed) {
    Random random(hash_of(seed, static_cast<std::uint64_t>(g.ratio), 47, 47));
    LayerShape s =
        draw_layer(g, static_cast<Recipe>(random.below(4)), random.pick(formats), random);
    s.positions = 2 * w + g.ratio + 40;
    const Layer layer(s);
    EngineShape shape = random_shape(g, seed);
    shape.single = std::min(shape.single, heavy ? 0.1 : 0.5);
    shape.max_chunk = std::max<std::int64_t>(shape.max_chunk, heavy ? w / 3 : 1);
    if (shape.layout == StateLayout::ring) shape.state_rows += shape.max_chunk;
    const Schedule schedule = make_schedule(
        g, shape, {2 * w + g.ratio, w + 1, g.ratio, std::max<std::int64_t>(1, g.ratio - 1)});
    SCOPED_TRACE(to_string(layer.shape()) + "\n" + to_string(shape));
    const Outcome want = run_schedule(layer, shape, schedule, cpu_exec());
    const Outcome got = run_schedule(layer, shape, schedule, gpu_exec());
    ASSERT_EQ(pleat::test::compare(want, got), "");
    ASSERT_EQ(judge(layer, shape, schedule, got), "");
  }
}

// Which kernels serve the call is seen, and that the geometry is why.
TEST_P(AnyGeometry, IsNamed) {
  const Geometry& g = GetParam().geometry;
  const std::vector<RowFormat> formats = formats_of(g);
  Random random(5);
  const Layer layer(
      draw_layer(g, Recipe::vllm, formats.empty() ? RowFormat::bf16 : formats[0], random));
  const EngineShape shape = draw_shape(g, StateLayout::paged, StatePolicy::all, random);
  Rig gpu(layer, shape, rig_size(layer, shape, 3, 2), gpu_exec());
  for (const Op op : {Op::plan, Op::save_state, Op::compress, Op::norm_rope_store,
                      Op::compress_store, Op::step}) {
    if (formats.empty() && op > Op::compress) break;
    for (const Variant variant : {Variant::exact, Variant::fast}) {
      SCOPED_TRACE(name(op));
      gpu.exec.variant = variant;
      std::string text;
      ASSERT_EQ(describe(op, call_for(op, gpu.call), gpu.exec, &text).message(), "");
      EXPECT_THAT(text, testing::StartsWith("cuda/any-geometry, "));
      EXPECT_THAT(text, testing::HasSubstr("ratio " + std::to_string(g.ratio) + ", overlap "));
      EXPECT_THAT(text, testing::EndsWith(" is none of hca, csa, indexer"));
      const bool folds = op != Op::plan && op != Op::save_state;
      EXPECT_EQ(folds, text.find(std::string(name(variant)) + ": ") != std::string::npos) << text;
      EXPECT_EQ(op == Op::step, text.find("two launches") != std::string::npos) << text;
    }
  }
}

const auto kRecipes =
    ::testing::Values(Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang);
const auto kTitle = [](const auto& info) {
  return std::string(std::get<0>(info.param).name) + "_" + name(std::get<1>(info.param));
};
INSTANTIATE_TEST_SUITE_P(All, AnyGeometryBytes,
                         ::testing::Combine(::testing::ValuesIn(kKinds), kRecipes), kTitle);
INSTANTIATE_TEST_SUITE_P(Large, AnyGeometryBytes,
                         ::testing::Combine(::testing::ValuesIn(kLarge), kRecipes), kTitle);

INSTANTIATE_TEST_SUITE_P(All, AnyGeometry, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Large, AnyGeometry, ::testing::ValuesIn(kLarge),
                         [](const auto& info) { return info.param.name; });

class AnyGeometryCalls : public GpuTest {};

// The three of the model keep the kernels that were compiled for them.
TEST_F(AnyGeometryCalls, TheModelsAreNotAny) {
  for (const Geometry& g : {Hca::value, Csa::value, Indexer::value}) {
    Random random(6);
    const Layer layer(draw_layer(
        g, Recipe::vllm, g == Indexer::value ? RowFormat::index_fp8 : RowFormat::bf16, random));
    for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
      const EngineShape shape = draw_shape(g, layout, StatePolicy::all, random);
      Rig gpu(layer, shape, rig_size(layer, shape, 3, 2), gpu_exec());
      for (const Op op : {Op::plan, Op::save_state, Op::compress, Op::norm_rope_store,
                          Op::compress_store, Op::step}) {
        std::string text;
        ASSERT_EQ(describe(op, call_for(op, gpu.call), gpu.exec, &text).message(), "");
        EXPECT_THAT(text, testing::Not(testing::HasSubstr("any-geometry")));
      }
    }
  }
}

// Many windows, many tokens without a plan: more than blocks that run at once.
TEST_F(AnyGeometryCalls, LargeOnesAreTheCpus) {
  const Kind kind{"many", {4, false, 256, 64, true}, 6000};
  Random random(7);
  for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
    LayerShape s = draw_layer(kind.geometry, Recipe::vllm, RowFormat::bf16, random);
    s.positions = 6000;
    const Layer layer(s);
    const EngineShape shape = draw_shape(kind.geometry, layout, StatePolicy::all, random);
    const RigSize size = rig_size(layer, shape, kind.tokens, kind.requests);
    Rig cpu(layer, shape, size, cpu_exec());
    Rig gpu(layer, shape, size, gpu_exec());
    const Step step =
        draw_step(kind.geometry, shape, size, {{3, 4000}, {0, 1500}, {17, 3}}, random);
    ASSERT_NO_FATAL_FAILURE(compare(cpu, gpu, step, Op::step));
  }
}

}  // namespace
}  // namespace pleat::test
