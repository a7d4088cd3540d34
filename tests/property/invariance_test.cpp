// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <ostream>

#include "support/engine.hpp"
#include "support/machines.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

// A row is a function of its window's tokens only. Simulated engines play the same requests in
// every way that the library allows; each must leave the rows that the reference makes from the
// windows alone, and the state bytes that the reference leaves.
namespace pleat::test {
namespace {

constexpr Geometry kPairs{2, true, 512, 64, false};  // the successor's shapes
constexpr Geometry kSingles{1, false, 512, 64, false};
constexpr Geometry kSpans{32, true, 256, 6, true};  // nobody's: several spans, a narrow RoPE
constexpr Geometry kEights{8, false, 128, 32, true};

struct Kind {
  const char* name;
  Geometry geometry;
  std::vector<RowFormat> formats;
  std::int64_t longest;  ///< tokens of a request
  std::int64_t rounds;
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

const std::vector<RowFormat> kAttention{RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor};
const std::vector<RowFormat> kFloats{RowFormat::bf16, RowFormat::fp8_tensor};
const std::vector<RowFormat> kIndex{RowFormat::index_fp8, RowFormat::index_mxfp4};

LayerShape random_layer(const Kind& kind, Random& random, std::uint64_t seed) {
  LayerShape s;
  s.compressor.geometry = kind.geometry;
  s.compressor.recipe =
      random.pick<Recipe>({Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang});
  s.compressor.row_format = random.pick(kind.formats);
  s.projection = random.chance(0.3) ? DType::bf16 : DType::f32;
  s.state = random.chance(0.3) ? DType::bf16 : DType::f32;
  s.norm = random.chance(0.5) ? DType::bf16 : DType::f32;
  s.gate = random.pick<float>({1.0F, 1.0F, 30.0F, 6e5F});
  s.positions = kind.longest + 8;
  s.seed = seed;
  return s;
}

std::vector<std::int64_t> random_lengths(const Kind& kind, Random& random) {
  std::vector<std::int64_t> out;
  const std::int64_t n = random.between(1, 7);
  for (std::int64_t i = 0; i < n; ++i) {
    // Often a whole number of windows, or one token to either side.
    const std::int64_t windows = random.between(1, kind.longest / kind.geometry.ratio);
    const std::int64_t near = windows * kind.geometry.ratio + random.between(-1, 1);
    const std::int64_t any = random.between(1, kind.longest);
    out.push_back(
        std::min(kind.longest, std::max<std::int64_t>(1, random.chance(0.5) ? near : any)));
  }
  return out;
}

class Invariance : public ::testing::TestWithParam<Kind> {};

TEST_P(Invariance, EverySchedule) {
  const Kind& kind = GetParam();
  const std::vector<Machine> all = machines();
  ASSERT_FALSE(all.empty());
  std::int64_t rows = 0;
  for (const std::uint64_t seed : seeds(kind.rounds)) {
    Random random(hash_of(seed, static_cast<std::uint64_t>(kind.geometry.ratio), 3, 3));
    const Layer layer(random_layer(kind, random, seed));
    const std::vector<std::int64_t> lengths = random_lengths(kind, random);
    EngineShape shape = random_shape(kind.geometry, seed);
    const Schedule schedule = make_schedule(kind.geometry, shape, lengths);
    rows += static_cast<std::int64_t>(schedule.stored.size());
    SCOPED_TRACE(to_string(layer.shape()) + "\n" + to_string(shape));
    const Outcome reference = run_schedule(layer, shape, schedule, {Backend::reference});
    ASSERT_EQ(judge(layer, shape, schedule, reference), "");
    for (const Machine& m : all) {
      if (m.exec.backend == Backend::reference) continue;
      ASSERT_EQ(compare(reference, run_schedule(layer, shape, schedule, m.exec)), "") << m.name;
    }
  }
  EXPECT_GT(rows, 0);
  RecordProperty("rows", std::to_string(rows));
}

INSTANTIATE_TEST_SUITE_P(Geometries, Invariance,
                         ::testing::Values(Kind{"hca", Hca::value, kAttention, 400, 24},
                                           Kind{"csa", Csa::value, kAttention, 60, 60},
                                           Kind{"indexer", Indexer::value, kIndex, 80, 120},
                                           Kind{"pairs", kPairs, kAttention, 24, 24},
                                           Kind{"singles", kSingles, kAttention, 9, 24},
                                           Kind{"spans", kSpans, kFloats, 150, 12},
                                           Kind{"eights", kEights, kIndex, 50, 24}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
