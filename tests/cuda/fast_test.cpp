// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ostream>
#include <string>
#include <vector>

#include "support/draw_step.hpp"
#include "support/engine.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"

// Variant fast, the hardware's exp2: not the CPU's bytes, but as independent of how tokens arrive
// as the exact one, and near to it.
namespace pleat::test {
namespace {

struct Kind {
  const char* name;
  Geometry geometry;
  RowFormat format;
  Recipe recipe;
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

const Kind kKinds[] = {{"hca", Hca::value, RowFormat::fp8_mla, Recipe::vllm},
                       {"hca_late_bias", Hca::value, RowFormat::bf16, Recipe::sglang},
                       {"csa", Csa::value, RowFormat::fp8_mla, Recipe::deepseek},
                       {"indexer", Indexer::value, RowFormat::index_fp8, Recipe::vllm}};

Exec fast_exec() {
  Exec e = gpu_exec();
  e.variant = Variant::fast;
  return e;
}

Layer layer_of(const Kind& k, std::int64_t positions) {
  LayerShape s;
  s.compressor = {k.geometry, k.recipe, k.format, 1e-6F};
  s.positions = positions;
  return Layer(s);
}

class Fast : public GpuTestWith<Kind> {};

// Prefill at once and token by token, in one launch and in several, with a plan and without.
TEST_P(Fast, GivesTheSameRowsHoweverTokensArrive) {
  const Geometry& g = GetParam().geometry;
  const std::int64_t r = g.ratio;
  const std::vector<std::int64_t> lengths{2 * r + 1, r, 3 * r - 1, r + r / 2};
  const Layer layer = layer_of(GetParam(), 3 * r + 8);
  EngineShape at_once;
  at_once.tidy = true;  // then windows have the same cache slots in each schedule
  at_once.single = 0;
  at_once.max_chunk = 3 * r;
  at_once.state_rows = r == 4 ? 4 : 8;
  at_once.cache_rows = 256 / r;
  EngineShape chunks = at_once;
  chunks.single = 0.4;
  chunks.max_chunk = r / 2 + 1;
  chunks.padding = 0.3;
  chunks.running = 2;
  Bytes want;
  for (EngineShape shape : {at_once, chunks}) {
    const Schedule schedule = make_schedule(g, shape, lengths);
    for (const auto path :
         {EngineShape::Path::step, EngineShape::Path::fused, EngineShape::Path::split}) {
      for (const bool plan : {false, true}) {
        shape.path = path;
        shape.plan = plan;
        SCOPED_TRACE(to_string(shape));
        const Outcome got = run_schedule(layer, shape, schedule, fast_exec());
        ASSERT_EQ(got.status.message(), "");
        ASSERT_EQ(got.fault, "");
        if (want.empty()) want = got.cache;
        ASSERT_TRUE(got.cache == want);
      }
    }
  }
  const Schedule schedule = make_schedule(g, at_once, lengths);
  ASSERT_TRUE(run_schedule(layer, at_once, schedule, fast_exec()).cache == want) << "run again";
}

std::vector<float> floats_of(const Bytes& bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

// The hardware's exp2 is good to 2^-22 of itself. Of kv that cancel nothing may be left but that.
TEST_P(Fast, PoolsWithinAMillionthOfTheRow) {
  constexpr std::int64_t windows = 40;
  const Geometry& g = GetParam().geometry;
  const Layer layer = layer_of(GetParam(), 4 * g.ratio);
  EngineShape shape;
  shape.state_rows = g.ratio == 4 ? 4 : 8;
  shape.cache_rows = 256 / g.ratio;
  const RigSize size = rig_size(layer, shape, windows, windows);
  Rig exact(layer, shape, size, gpu_exec());
  Rig fast(layer, shape, size, fast_exec());
  Random random(3);
  const Step step = draw_step(
      g, shape, size, single_tokens(g, windows, true, layer.shape().positions, random), random);
  for (Rig* rig : {&exact, &fast}) {
    rig->fill(5);
    rig->load(step);
    ASSERT_EQ(rig->run(Op::compress).message(), "");
  }
  const std::vector<float> want = floats_of(exact.compressed());
  const std::vector<float> got = floats_of(fast.compressed());
  ASSERT_EQ(want.size(), got.size());
  int closing = 0;
  bool differs = false;
  const std::int64_t stride = exact.call.compressed.stride[0];
  for (std::size_t t = 0; t < step.tokens.size(); ++t) {
    const StepToken& token = step.tokens[t];
    if (!token.live || (token.name.position + 1) % g.ratio != 0) continue;
    ++closing;
    const auto row = want.begin() + static_cast<std::ptrdiff_t>(t) * stride;
    float largest = 0;
    for (auto x = row; x != row + g.head_dim; ++x)
      largest = std::max(largest, std::abs(*x));
    for (std::int64_t c = 0; c < g.head_dim; ++c) {
      const float x = *(row + c);
      const float y = got[t * static_cast<std::size_t>(stride) + static_cast<std::size_t>(c)];
      differs = differs || x != y;
      ASSERT_LE(std::abs(x - y), 1e-6F * largest) << "token " << t << ", channel " << c;
    }
  }
  EXPECT_EQ(closing, windows);
  EXPECT_TRUE(differs) << "the exact variant ran";
}

INSTANTIATE_TEST_SUITE_P(Kinds, Fast, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
