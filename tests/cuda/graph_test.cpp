// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <optional>
#include <ostream>
#include <vector>

#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"

// A step is captured into a graph once and replayed with other tokens in the same buffers: other
// requests, other numbers of closing tokens, padding where tokens were. The launch must not have
// depended on anything but shapes. State, cache, compressed rows and plan are compared with the
// CPU's after every replay.
namespace pleat::test {
namespace {

struct Kind {
  const char* name;
  Geometry geometry;
  RowFormat format;
  std::int64_t tokens;     ///< T of the captured call
  std::int64_t positions;  ///< tokens are below
  std::int64_t requests;   ///< at most, in a step
  std::int64_t page_rows;  ///< what engines choose: the special kernels
};

const Kind kHca{"hca", Hca::value, RowFormat::fp8_mla, 160, 400, 12, 8};
const Kind kCsa{"csa", Csa::value, RowFormat::fp8_mla, 44, 90, 44, 4};
const Kind kIndexer{"indexer", Indexer::value, RowFormat::index_mxfp4, 140, 90, 140, 4};
const Kind kAny{"any", {32, true, 256, 32, true}, RowFormat::bf16, 150, 300, 20, 16};

struct Way {
  const char* name;
  EngineShape::Path path;
  bool plan;
  StateLayout layout = StateLayout::paged;
  StateWrite write = {};
  Chain chain = Chain::none;
};

using Path = EngineShape::Path;
const Way kWays[] = {
    {"step_plan", Path::step, true},
    {"step", Path::step, false},
    {"step_plan_chained", Path::step, true, StateLayout::paged, {}, Chain::late},
    {"step_early", Path::step, false, StateLayout::paged, {}, Chain::early},
    {"step_plan_tail", Path::step, true, StateLayout::paged, {StatePolicy::tail, 2}},
    {"step_tail", Path::step, false, StateLayout::paged, {StatePolicy::tail, 2}},
    {"step_plan_ring", Path::step, true, StateLayout::ring},
    {"step_ring", Path::step, false, StateLayout::ring},
    {"fused_plan", Path::fused, true},
    {"fused", Path::fused, false},
    {"split_plan", Path::split, true},
    {"split", Path::split, false},
};

struct Case {
  Kind kind;
  Way way;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const Kind& k : {kHca, kCsa, kIndexer, kAny}) {
    for (const Way& w : kWays)
      out.push_back({k, w});
  }
  return out;
}

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.kind.name << "_" << c.way.name;
}

EngineShape shape_of(const Case& c) {
  EngineShape s;
  s.path = c.way.path;
  s.layout = c.way.layout;
  s.write = c.way.write;
  s.plan = c.way.plan;
  s.padding = 0.3;
  s.skipped = 0.2;
  s.cache_rows = special_cache_rows(c.kind.geometry);
  s.state_rows = c.kind.page_rows;
  if (s.layout == StateLayout::ring) {
    s.state_rows = c.kind.geometry.window() + 5;
    // Pooled from the ring, a chunk must lie in it with its window.
    if (s.path != Path::step) s.state_rows += c.kind.tokens;
  }
  return s;
}

Layer layer_of(const Kind& k) {
  LayerShape shape;
  shape.compressor = {k.geometry, Recipe::vllm, k.format, 1e-6F};
  shape.positions = k.positions;
  return Layer(shape);
}

/// The same buffers twice: the GPU's, written to by replays, and the CPU's.
class Replay {
 public:
  explicit Replay(const Case& c)
      : layer_(layer_of(c.kind)),
        shape_(shape_of(c)),
        size_(rig_size(layer_, shape_, c.kind.tokens, c.kind.requests)),
        gpu_(layer_, shape_, size_, gpu_exec(stream_)),
        cpu_(layer_, shape_, size_, cpu_exec()) {
    gpu_.exec.chain = c.way.chain;
    both([](Rig& r) { r.fill(1); });
  }

  /// Runs once as an engine that warms up does, so that all kernels are loaded.
  void warm_up() {
    both([](Rig& r) { r.load({}); });
    ASSERT_EQ(gpu_.play().message(), "");
    ASSERT_EQ(cpu_.play().message(), "");
    stream_.wait();
  }

  /// The buffers hold whatever they hold: nothing runs.
  void capture() {
    graph_.emplace(stream_, [this] { captured_ = gpu_.play(); });
    ASSERT_EQ(captured_.message(), "");
  }

  void step(const std::vector<RequestSpan>& requests) {
    const Step s = draw_step(layer_.geometry(), shape_, size_, requests, random_);
    both([&](Rig& r) { r.load(s); });
    ASSERT_EQ(cpu_.play().message(), "");
    graph_->replay();
    ASSERT_EQ(difference(cpu_, gpu_), "");
  }

  Random& random() { return random_; }

 private:
  template <class Body>
  void both(const Body& body) {
    body(cpu_);
    body(gpu_);
  }

  Stream stream_;
  Layer layer_;
  EngineShape shape_;
  RigSize size_;
  Rig gpu_;
  Rig cpu_;
  Random random_{5};
  Status captured_;
  std::optional<Graph> graph_;
};

class Graphs : public GpuTestWith<Case> {};

TEST_P(Graphs, ReplaysWithOtherTokens) {
  const Kind& k = GetParam().kind;
  Replay replay(GetParam());
  ASSERT_NO_FATAL_FAILURE(replay.warm_up());
  ASSERT_NO_FATAL_FAILURE(replay.capture());
  const auto step = [&](const char* what, const std::vector<RequestSpan>& requests) {
    SCOPED_TRACE(what);
    ASSERT_NO_FATAL_FAILURE(replay.step(requests));
  };
  const auto singles = [&](std::int64_t n, bool closing) {
    return single_tokens(k.geometry, n, closing, k.positions, replay.random());
  };
  const std::int64_t longest = std::min(k.tokens, k.positions);
  ASSERT_NO_FATAL_FAILURE(step("all padding", {}));
  ASSERT_NO_FATAL_FAILURE(step("every token closes", singles(k.requests, true)));
  ASSERT_NO_FATAL_FAILURE(step("no token closes", singles(k.requests, false)));
  ASSERT_NO_FATAL_FAILURE(step("one token closes", singles(1, true)));
  ASSERT_NO_FATAL_FAILURE(step("all padding again", {}));
  ASSERT_NO_FATAL_FAILURE(step("one request from the start", {{0, longest}}));
  ASSERT_NO_FATAL_FAILURE(step("one request's end", {{k.positions - longest, longest}}));
  for (int i = 0; i < 4; ++i) {
    ASSERT_NO_FATAL_FAILURE(
        step("random requests", draw_requests(7, k.tokens, k.positions, replay.random())));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Graphs, ::testing::ValuesIn(cases()), [](const auto& info) {
  return std::string(info.param.kind.name) + "_" + info.param.way.name;
});

class FirstCall : public GpuTest {};

// The very first use of a kernel in a process is captured: whatever the library sets up on the way
// must not break the capture. (GoogleTest runs this in a process of its own only under ctest.)
TEST_F(FirstCall, MayBeCaptured) {
  Replay replay({kHca, kWays[0]});
  ASSERT_NO_FATAL_FAILURE(replay.capture());
  ASSERT_NO_FATAL_FAILURE(replay.step({{0, 130}, {255, 1}}));
}

// The same of the kernels that serve any geometry, of which a step takes two.
TEST_F(FirstCall, OfAnyGeometryMayBeCaptured) {
  Replay replay({kAny, kWays[0]});
  ASSERT_NO_FATAL_FAILURE(replay.capture());
  ASSERT_NO_FATAL_FAILURE(replay.step({{0, 70}, {127, 1}}));
}

}  // namespace
}  // namespace pleat::test
