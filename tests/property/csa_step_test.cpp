// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <string>

#include "support/engine.hpp"
#include "support/machines.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

// csa_step leaves the bytes of step on the main call, then on the indexer's. Engines play random
// requests through both layers; each layer is held to the spec alone, and to the two steps.
namespace pleat::test {
namespace {

constexpr std::int64_t kLongest = 60;

Recipe any_recipe(Random& random) {
  return random.pick<Recipe>({Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang});
}

DType any_dtype(Random& random) {
  return random.chance(0.4) ? DType::bf16 : DType::f32;
}

LayerShape main_layer(Random& random, std::uint64_t seed) {
  LayerShape s;
  s.compressor.geometry = Csa::value;
  s.compressor.recipe = any_recipe(random);
  s.compressor.row_format =
      random.pick<RowFormat>({RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor});
  s.projection = any_dtype(random);
  s.state = any_dtype(random);
  s.norm = any_dtype(random);
  s.gate = random.pick<float>({1.0F, 30.0F});
  s.positions = kLongest + 8;
  s.seed = seed;
  return s;
}

/// Mostly the dtypes and the recipe of its main layer, as engines have it.
LayerShape indexer_layer(const LayerShape& main, Random& random, std::uint64_t seed) {
  LayerShape s = main;
  s.compressor.geometry = Indexer::value;
  s.compressor.row_format = random.pick<RowFormat>({RowFormat::index_fp8, RowFormat::index_mxfp4});
  if (random.chance(0.2)) s.compressor.recipe = any_recipe(random);
  if (random.chance(0.3)) s.projection = any_dtype(random);
  if (random.chance(0.3)) s.state = any_dtype(random);
  s.norm = any_dtype(random);
  s.positions += random.below(9);
  s.seed = seed + 1000;
  return s;
}

EngineShape main_shape(std::uint64_t seed) {
  EngineShape s = random_shape(Csa::value, seed);
  s.path = EngineShape::Path::step;
  Random random(hash_of(seed, 31, 31, 31));
  if (random.chance(0.5)) s.write.policy = StatePolicy::tail;
  if (s.layout == StateLayout::paged && random.chance(0.5)) {  // what engines have
    s.state_rows = special_state_rows(Csa::value);
    s.cache_rows = special_cache_rows(Csa::value);
    s.row_gap = 0;
  }
  return s;
}

EngineShape indexer_shape(const EngineShape& main, Random& random) {
  EngineShape s = main;
  s.state_gap = random.pick<std::int64_t>({0, 8, 112});
  s.cache_gap = random.pick<std::int64_t>({0, 16, 48});
  if (random.chance(0.3)) s.cache_rows = random.pick<std::int64_t>({1, 3, 16});
  if (random.chance(0.3)) s.row_gap = 8;
  s.seed += 1;
  return s;
}

TEST(CsaStep, LeavesTheBytesOfTwoSteps) {
  const std::vector<Machine> all = machines();
  ASSERT_FALSE(all.empty());
  std::int64_t rings = 0;
  std::int64_t tails = 0;
  std::int64_t planned = 0;
  std::int64_t rounds = 0;
  for (const std::uint64_t seed : seeds(80)) {
    Random random(hash_of(seed, 37, 37, 37));
    const Layer main(main_layer(random, seed));
    const Layer indexer(indexer_layer(main.shape(), random, seed));
    const EngineShape shape = main_shape(seed);
    const EngineShape other = indexer_shape(shape, random);
    std::vector<std::int64_t> lengths;
    for (std::int64_t n = random.between(1, 6); n > 0; --n)
      lengths.push_back(random.between(1, kLongest));
    const Schedule schedule = make_schedule(Csa::value, shape, lengths);
    const Schedule twin = twin_of(schedule, shape, other);
    const Twins twins{main, indexer, shape, other, schedule, twin};
    SCOPED_TRACE(to_string(main.shape()) + "\n" + to_string(indexer.shape()) + "\n" +
                 to_string(shape) + "\n" + to_string(other));
    const auto want = run_twins(twins, {Backend::reference}, false);
    for (const Machine& m : all) {
      const auto got = run_twins(twins, m.exec, true);
      ASSERT_EQ(judge(main, shape, schedule, got[0]), "") << m.name << ", main";
      ASSERT_EQ(judge(indexer, other, twin, got[1]), "") << m.name << ", indexer";
      ASSERT_EQ(compare(want[0], got[0]), "") << m.name << ", main";
      ASSERT_EQ(compare(want[1], got[1]), "") << m.name << ", indexer";
    }
    ++rounds;
    rings += shape.layout == StateLayout::ring;
    tails += shape.write.policy == StatePolicy::tail;
    planned += shape.plan;
  }
  for (const std::int64_t n : {rings, tails, planned}) {
    if (rounds < 16) break;
    EXPECT_GT(n, 0);
    EXPECT_LT(n, rounds);
  }
}

// Tokens and slots in order in every array, so that checked mode has nothing to say.
TEST(CsaStep, PassesCheckedMode) {
  for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
    for (const bool plan : {false, true}) {
      LayerShape s;
      s.compressor = {Csa::value, Recipe::vllm, RowFormat::fp8_mla, 1e-6F};
      s.positions = 64;
      const Layer main(s);
      s.compressor = {Indexer::value, Recipe::vllm, RowFormat::index_fp8, 1e-6F};
      s.seed = 2;
      const Layer indexer(s);
      EngineShape shape;
      shape.layout = layout;
      shape.state_rows = layout == StateLayout::ring ? 12 : 4;
      shape.plan = plan;
      shape.write = {StatePolicy::tail, 2};
      shape.padding = 0.3;
      shape.tidy = true;
      const Schedule schedule = make_schedule(Csa::value, shape, {33, 17, 8, 50});
      EngineShape other = shape;
      other.seed = 2;
      const Schedule twin = twin_of(schedule, shape, other);
      for (const Machine& m : machines()) {
        Exec exec = m.exec;
        exec.checked = true;
        const auto got = run_twins({main, indexer, shape, other, schedule, twin}, exec, true);
        ASSERT_EQ(judge(main, shape, schedule, got[0]), "") << m.name << ", main";
        ASSERT_EQ(judge(indexer, other, twin, got[1]), "") << m.name << ", indexer";
      }
    }
  }
}

}  // namespace
}  // namespace pleat::test
