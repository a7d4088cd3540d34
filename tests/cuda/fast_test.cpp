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

#include "support/call_for.hpp"
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

const Kind kKinds[] = {
    {"hca", Hca::value, RowFormat::fp8_mla, Recipe::vllm},
    {"hca_late_bias", Hca::value, RowFormat::bf16, Recipe::sglang},
    {"csa", Csa::value, RowFormat::fp8_mla, Recipe::deepseek},
    {"indexer", Indexer::value, RowFormat::index_fp8, Recipe::vllm},
    {"any", {16, true, 256, 32, true}, RowFormat::bf16, Recipe::vllm},
    {"any_late_bias", {8, false, 128, 64, true}, RowFormat::index_fp8, Recipe::sglang}};

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
  at_once.state_rows = special_state_rows(g);
  at_once.cache_rows = special_cache_rows(g);
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
  shape.state_rows = special_state_rows(g);
  shape.cache_rows = special_cache_rows(g);
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

/// Tokens first to first + count of a call.
Call part_of(Call c, std::int64_t first, std::int64_t count) {
  for (TensorView* v : {&c.batch.positions, &c.batch.token_to_req, &c.batch.state_slots,
                        &c.batch.kv_slots, &c.projection, &c.compressed}) {
    if (!v->given()) continue;
    v->data = static_cast<char*>(v->data) + first * v->stride[0] * size_of(v->dtype);
    v->shape[0] = count;
  }
  return c;
}

/// Two rigs with the same step; one takes it in one call, the other in parts.
class InParts {
 public:
  InParts(const Kind& kind, std::int64_t positions, std::int64_t tokens, std::int64_t requests)
      : layer_(layer_of(kind, positions)),
        size_(rig_size(layer_, shape_of(kind.geometry), tokens, requests)),
        whole_(layer_, shape_of(kind.geometry), size_, fast_exec()),
        parts_(layer_, shape_of(kind.geometry), size_, fast_exec()) {}

  void load(const std::vector<RequestSpan>& requests) {
    const Step step = draw_step(layer_.geometry(), whole_.shape(), size_, requests, random_);
    for (Rig* rig : {&whole_, &parts_}) {
      rig->fill(7);
      rig->load(step);
    }
  }
  Random& random() { return random_; }

  /// With a plan the first, and the others without.
  void compare(Op op, std::int64_t part) {
    SCOPED_TRACE(name(op));
    for (Rig* rig : {&whole_, &parts_})
      ASSERT_EQ(rig->run(Op::plan).message(), "");
    ASSERT_EQ(whole_.run(op).message(), "");
    Call call = call_for(op, parts_.call);
    call.plan = {};
    for (std::int64_t t = 0; t < size_.tokens; t += part) {
      const Call some = part_of(call, t, std::min(part, size_.tokens - t));
      ASSERT_EQ(run(op, some, parts_.exec).message(), "");
    }
    ASSERT_EQ(difference(whole_, parts_), "");
  }

 private:
  static EngineShape shape_of(const Geometry& g) {
    EngineShape s;
    s.plan = true;
    s.state_rows = special_state_rows(g);
    s.cache_rows = special_cache_rows(g);
    return s;
  }

  Random random_{11};
  Layer layer_;
  RigSize size_;
  Rig whole_;
  Rig parts_;
};

// Calls of so many windows or tokens that other kernels serve them: HCA's of a block or two for a
// window, CSA's and the indexer's without partners.
TEST_P(Fast, GivesTheSameRowsInLargeCallsAsInParts) {
  constexpr std::int64_t windows = 600;
  const Geometry& g = GetParam().geometry;
  InParts state(GetParam(), 4 * g.ratio, windows, windows);
  state.load(single_tokens(g, windows, true, 4 * g.ratio, state.random()));
  ASSERT_NO_FATAL_FAILURE(state.compare(Op::compress, 25));
  ASSERT_NO_FATAL_FAILURE(state.compare(Op::compress_store, 25));
  const std::vector<std::int64_t> prompts =
      g == Hca::value ? std::vector<std::int64_t>{40, 90} : std::vector<std::int64_t>{700};
  for (const std::int64_t rows : prompts) {
    const std::int64_t tokens = rows * g.ratio;
    InParts prompt(GetParam(), tokens, tokens, 1);
    prompt.load({{0, tokens}});
    ASSERT_NO_FATAL_FAILURE(prompt.compare(Op::step, 3 * g.ratio));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Fast, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
