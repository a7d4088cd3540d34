// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <numeric>
#include <set>
#include <string>

#include "support/engine.hpp"
#include "support/machines.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

// The situations of spec section 6 in which engines broke, one by one and by name.
namespace pleat::test {
namespace {

const std::vector<std::int64_t> kLengths{3,   4,   5,   7,   8,   127, 128, 129, 130,
                                         255, 256, 257, 383, 384, 385, 511, 512, 513};

Layer layer_of(const Geometry& g, RowFormat format, std::int64_t positions) {
  LayerShape shape;
  shape.compressor = {g, Recipe::vllm, format, 1e-6F};
  shape.positions = positions;
  return Layer(shape);
}

/// Plays on every machine and holds each to the spec.
void expect_all_good(const Layer& layer, const EngineShape& shape, const Schedule& schedule) {
  for (const Machine& m : machines()) {
    SCOPED_TRACE(m.name + "\n" + to_string(layer.shape()) + "\n" + to_string(shape));
    ASSERT_EQ(judge(layer, shape, schedule, run_schedule(layer, shape, schedule, m.exec)), "");
  }
}

TEST(Machines, EveryBackendOfThisBuildIsThere) {
  std::set<std::string> names;
  for (const Machine& m : machines())
    names.insert(m.name);
  EXPECT_EQ(names.count("reference"), 1U);
  if (available(Backend::cpu)) {
    EXPECT_EQ(names.count("cpu/scalar"), 1U);
    EXPECT_EQ(names.count("cpu/threads3"), 1U);
  }
  EXPECT_EQ(names.count("cuda"), available(Backend::cuda) ? 1U : 0U);
  std::string all;
  for (const std::string& n : names)
    all += n + " ";
  std::printf("machines: %s\n", all.c_str());
}

class Closing : public ::testing::TestWithParam<std::tuple<bool, StateLayout>> {
 protected:
  [[nodiscard]] bool hca() const { return std::get<0>(GetParam()); }
  [[nodiscard]] Geometry geometry() const { return hca() ? Hca::value : Csa::value; }
  [[nodiscard]] Layer layer() const { return layer_of(geometry(), RowFormat::fp8_mla, 520); }
  [[nodiscard]] EngineShape engine(std::int64_t max_chunk) const {
    EngineShape s;
    s.layout = std::get<1>(GetParam());
    s.max_chunk = max_chunk;
    s.single = 0;
    s.state_rows =
        s.layout == StateLayout::ring ? geometry().window() + 4 : special_state_rows(geometry());
    s.running = 18;
    return s;
  }
};

TEST_P(Closing, LengthsWhereEnginesBroke) {
  const Layer l = layer();
  // All at once, and in random chunks.
  for (const std::int64_t chunk : {513, 40}) {
    const EngineShape shape = engine(chunk);
    expect_all_good(l, shape, make_schedule(geometry(), shape, kLengths));
  }
}

TEST_P(Closing, TwoAndMoreBoundariesInOneStep) {
  const Layer l = layer();
  const std::int64_t r = geometry().ratio;
  EngineShape shape = engine(3 * r + 1);
  shape.single = 0;
  // Chunks are drawn between 1 and 3R + 1; several requests close different counts in one step.
  expect_all_good(
      l, shape,
      make_schedule(geometry(), shape, {2 * r, 3 * r, 3 * r + 1, r, 1, r - 1, 2 * r + 1}));
}

TEST_P(Closing, ASlotThatAnotherRequestLeft) {
  const Layer l = layer();
  const std::int64_t r = geometry().ratio;
  EngineShape shape = engine(r + 1);
  shape.running = 1;  // one set of pages for all
  expect_all_good(l, shape,
                  make_schedule(geometry(), shape, {2 * r + 3, r, 2 * r, 1, r + 1, 3 * r - 1}));
}

TEST_P(Closing, DraftsAcrossABoundaryAreRedone) {
  const Layer l = layer();
  const std::int64_t r = geometry().ratio;
  EngineShape shape = engine(r == 4 ? 6 : 40);
  shape.write = {StatePolicy::tail, 3};
  shape.single = 0.7;
  shape.drafts = 1.0;
  for (const std::uint64_t seed : seeds(3)) {
    shape.seed = seed;
    expect_all_good(l, shape, make_schedule(geometry(), shape, {2 * r, 2 * r + 2, r + 1}));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Closing,
    ::testing::Combine(::testing::Bool(), ::testing::Values(StateLayout::paged, StateLayout::ring)),
    [](const auto& info) {
      return std::string(std::get<0>(info.param) ? "hca" : "csa") +
             (std::get<1>(info.param) == StateLayout::ring ? "_ring" : "_paged");
    });

// The same requests, batched in two unlike ways, checked mode on: the same rows in the end. That is
// implied by each judged alone; here nothing but the outcomes is compared.
TEST(Batching, TwoWaysOneCache) {
  const Layer l = layer_of(Indexer::value, RowFormat::index_mxfp4, 80);
  const std::vector<std::int64_t> lengths{17, 33, 64, 5, 4, 70};
  EngineShape all_at_once;
  all_at_once.running = 6;
  all_at_once.max_chunk = 70;
  all_at_once.single = 0;
  all_at_once.tidy = true;
  EngineShape one_by_one = all_at_once;
  one_by_one.running = 2;
  one_by_one.single = 1;
  one_by_one.state_rows = 16;
  one_by_one.padding = 0.3;
  const Schedule first = make_schedule(Indexer::value, all_at_once, lengths);
  const Schedule second = make_schedule(Indexer::value, one_by_one, lengths);
  ASSERT_GT(second.steps.size(), 3 * first.steps.size());
  for (const Machine& m : machines()) {
    Exec exec = m.exec;
    exec.checked = true;
    const Outcome a = run_schedule(l, all_at_once, first, exec);
    const Outcome b = run_schedule(l, one_by_one, second, exec);
    ASSERT_TRUE(a.status.ok()) << a.status.message();
    ASSERT_TRUE(b.status.ok()) << b.status.message();
    // Same seed, same lengths: the schedules gave windows the same cache slots.
    ASSERT_EQ(a.cache, b.cache) << m.name;
  }
}

// Policy tail writes the same rows through save_state as through step.
TEST(Tail, SaveStateAndStepLeaveTheSameState) {
  for (const bool ring : {false, true}) {
    for (const std::int32_t rollback : {0, 1, 5}) {
      const Layer l = layer_of(Csa::value, RowFormat::bf16, 64);
      EngineShape shape;
      shape.layout = ring ? StateLayout::ring : StateLayout::paged;
      shape.write = {StatePolicy::tail, rollback};
      shape.state_rows = ring ? 16 : 4;
      shape.max_chunk = 23;
      shape.single = 0.2;
      shape.padding = 0.2;
      const Schedule schedule = make_schedule(Csa::value, shape, {50, 33, 7, 4});
      EngineShape save = shape;
      save.path = EngineShape::Path::save;
      for (const Machine& m : machines()) {
        const Outcome a = run_schedule(l, shape, schedule, m.exec);
        const Outcome b = run_schedule(l, save, schedule, m.exec);
        ASSERT_EQ(judge(l, shape, schedule, a), "") << m.name;
        ASSERT_TRUE(b.status.ok()) << b.status.message();
        ASSERT_EQ(a.state, b.state) << m.name << " ring " << ring << " rollback " << rollback;
      }
    }
  }
}

TEST(NoTokens, DoNothing) {
  for (const Machine& m : machines()) {
    const Call call = empty_call();
    EXPECT_TRUE(run(Op::save_state, call, m.exec).ok()) << m.name;
  }
}

}  // namespace
}  // namespace pleat::test
