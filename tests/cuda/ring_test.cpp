// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "support/engine.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"
#include "support/scale.hpp"

// The state as a ring on the GPU. A step's old rows lie where its new ones go: those must be read
// before they are replaced, also where the chunk is as long as the ring, or goes around it. Of a
// geometry with kernels of its own whoever reads a row writes it; of any other a second launch
// does.
namespace pleat::test {
namespace {

struct Kind {
  const char* name;
  Geometry geometry;
  RowFormat format;
  bool bf16_state;
};

const Kind kKinds[] = {
    {"hca", Hca::value, RowFormat::fp8_mla, false},
    {"hca_bf16", Hca::value, RowFormat::bf16, true},
    {"csa", Csa::value, RowFormat::fp8_mla, false},
    {"csa_bf16", Csa::value, RowFormat::fp8_tensor, true},
    {"indexer", Indexer::value, RowFormat::index_mxfp4, false},
    {"indexer_bf16", Indexer::value, RowFormat::index_fp8, true},
    {"pairs", {2, true, 256, 64, true}, RowFormat::bf16, false},
    {"spans_bf16", {16, true, 128, 32, true}, RowFormat::index_mxfp4, true},
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

Layer layer_of(const Kind& k, std::int64_t positions) {
  LayerShape s;
  s.compressor = {k.geometry, Recipe::vllm, k.format, 1e-6F};
  s.state = k.bf16_state ? DType::bf16 : DType::f32;
  s.positions = positions;
  return Layer(s);
}

EngineShape ring_of(std::int64_t capacity) {
  EngineShape s;
  s.layout = StateLayout::ring;
  s.state_rows = capacity;
  s.single = 0;
  s.padding = 0.2;
  return s;
}

class Ring : public GpuTestWith<std::tuple<Kind, bool>> {
 protected:
  [[nodiscard]] const Kind& kind() const { return std::get<0>(GetParam()); }
  [[nodiscard]] bool plan() const { return std::get<1>(GetParam()); }
};

/// Two requests, each in its ring, bring chunks of the given length one after the other.
Step chunk_step(const Geometry& g, const EngineShape& shape, std::int64_t start,
                std::int64_t tokens, std::int64_t attempt, std::int64_t cache_rows) {
  Step step;
  step.block_table = {{2}, {-7}, {0}};
  std::int64_t kv_slot = start % 3;
  for (const std::int32_t row : {2, 0}) {
    const std::int64_t ring = step.block_table[static_cast<std::size_t>(row)][0];
    for (std::int64_t p = start; p < start + tokens; ++p) {
      StepToken t;
      t.name = {row, p, attempt};
      t.table_row = row;
      t.length_after = start + tokens;
      t.state_slot = ring * shape.state_rows + p % shape.state_rows;
      if ((p + 1) % g.ratio == 0) t.kv_slot = kv_slot++ % cache_rows;
      step.tokens.push_back(t);
    }
    StepToken padding;
    padding.live = false;
    padding.name.position = start + tokens;
    padding.table_row = row;
    step.tokens.push_back(padding);
  }
  return step;
}

// Each chunk stands at every phase of the ring that the chunks before leave it at. A chunk with a
// draft length is played first with tokens that are then rejected and come again, as others.
TEST_P(Ring, ChunksOfEveryLengthBesideTheCapacity) {
  struct Chunk {
    std::int64_t tokens;
    std::int64_t drafts;
  };
  constexpr std::int32_t rollback = 3;
  const Geometry& g = kind().geometry;
  const std::int64_t capacity = g.window() + rollback + 2;
  const Chunk chunks[] = {{capacity - 1, 0},
                          {1, 0},
                          {capacity, 0},
                          {capacity + 1, 2},
                          {2, 3},
                          {1, 3},
                          {2 * capacity + 3, 1},
                          {g.ratio, 0},
                          {capacity, 3},
                          {5, 2},
                          {3 * capacity, 0},
                          {1, 1}};
  std::int64_t positions = 8;
  for (const Chunk& c : chunks)
    positions += c.tokens;
  const Layer layer = layer_of(kind(), positions);
  for (const StatePolicy policy : {StatePolicy::all, StatePolicy::tail}) {
    EngineShape shape = ring_of(capacity);
    shape.write = {policy, rollback};
    shape.plan = plan();
    shape.cache_rows = 3;
    RigSize size = rig_size(layer, shape, 2 * (3 * capacity + rollback + 1), 3);
    size.cache_pages = size.tokens / g.ratio / shape.cache_rows + 2;
    Rig gpu(layer, shape, size, gpu_exec());
    Rig cpu(layer, shape, size, cpu_exec());
    for (Rig* r : {&gpu, &cpu})
      r->fill(3);
    std::int64_t start = 0;
    const auto play = [&](std::int64_t tokens, std::int64_t attempt) {
      const Step step =
          chunk_step(g, shape, start, tokens, attempt, size.cache_pages * shape.cache_rows);
      for (Rig* r : {&gpu, &cpu}) {
        r->load(step);
        ASSERT_EQ(r->play().message(), "");
      }
      ASSERT_EQ(difference(cpu, gpu), "") << tokens << " tokens from " << start << ", capacity "
                                          << capacity << ", policy " << static_cast<int>(policy);
    };
    for (const Chunk& c : chunks) {
      ASSERT_NO_FATAL_FAILURE(play(c.tokens + c.drafts, c.drafts > 0 ? 1 : 0));
      start += c.tokens;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Ring,
                         ::testing::Combine(::testing::ValuesIn(kKinds), ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) ? "_plan" : "");
                         });

/// Kind, plan, seed: a test each, as racecheck takes minutes for what is more.
class RandomRing : public GpuTestWith<std::tuple<Kind, bool, std::uint64_t>> {};

TEST_P(RandomRing, ChunksAndDrafts) {
  const auto& [kind, plan, seed] = GetParam();
  const Geometry& g = kind.geometry;
  for (const std::int64_t beyond : {0, 5}) {
    EngineShape shape = ring_of(0);
    shape.write = {seed % 2 != 0 ? StatePolicy::tail : StatePolicy::all, 3};
    shape.state_rows = g.window() + shape.write.rollback + beyond;
    shape.max_chunk = seed == 1 ? shape.state_rows - 1 : 2 * shape.state_rows + 1;
    shape.drafts = 0.5;
    shape.skipped = 0.1;
    shape.plan = plan;
    shape.seed = seed;
    const Layer layer = layer_of(kind, 5 * g.window() + 1);
    const Schedule schedule =
        make_schedule(g, shape, {5 * g.window(), 3 * g.window() + 1, g.ratio, 2 * g.window()});
    SCOPED_TRACE(to_string(shape));
    const Outcome want = run_schedule(layer, shape, schedule, cpu_exec());
    const Outcome got = run_schedule(layer, shape, schedule, gpu_exec());
    ASSERT_EQ(compare(want, got), "");
    ASSERT_EQ(judge(layer, shape, schedule, got), "");
  }
}

INSTANTIATE_TEST_SUITE_P(All, RandomRing,
                         ::testing::Combine(::testing::ValuesIn(kKinds), ::testing::Bool(),
                                            ::testing::Values(1, 2, 3)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) ? "_plan_seed" : "_seed") +
                                  std::to_string(std::get<2>(info.param));
                         });

}  // namespace
}  // namespace pleat::test
