// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "cuda/chain_kernels.hpp"
#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"

// Exec::chained: a producer writes metadata, block table, projection, state and cache late, while
// the library's kernels may already run; a consumer that may also have started early reads what
// they made. Rounds follow each other without a wait, each with other tokens, so a read before the
// wait sees the round before, and a write before it is written over.
namespace pleat::test {
namespace {

struct Case {
  const char* name;
  Geometry geometry;
  RowFormat format;
  EngineShape::Path path;
  bool plan;
  StateLayout layout;
  std::int64_t tokens;
  std::int64_t positions;
};

using Path = EngineShape::Path;
constexpr auto kPaged = StateLayout::paged;
constexpr auto kRing = StateLayout::ring;
const Case kCases[] = {
    {"hca", Hca::value, RowFormat::fp8_mla, Path::step, false, kPaged, 24, 300},
    {"hca_plan", Hca::value, RowFormat::fp8_mla, Path::step, true, kPaged, 24, 300},
    {"hca_ring_plan", Hca::value, RowFormat::fp8_mla, Path::step, true, kRing, 24, 300},
    {"hca_split", Hca::value, RowFormat::bf16, Path::split, false, kPaged, 24, 300},
    {"csa", Csa::value, RowFormat::fp8_mla, Path::step, false, kPaged, 24, 80},
    {"csa_plan", Csa::value, RowFormat::fp8_mla, Path::step, true, kPaged, 24, 80},
    {"csa_ring", Csa::value, RowFormat::fp8_tensor, Path::step, false, kRing, 24, 80},
    {"csa_fused_plan", Csa::value, RowFormat::bf16, Path::fused, true, kPaged, 24, 80},
    {"csa_split_plan", Csa::value, RowFormat::fp8_mla, Path::split, true, kPaged, 24, 80},
    {"indexer", Indexer::value, RowFormat::index_mxfp4, Path::step, false, kPaged, 40, 80},
    {"indexer_plan", Indexer::value, RowFormat::index_fp8, Path::step, true, kPaged, 40, 80},
    {"indexer_split_plan", Indexer::value, RowFormat::index_fp8, Path::split, true, kPaged, 40, 80},
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

std::uint64_t digest_of(const Bytes& state, const Bytes& cache) {
  std::uint64_t sum = 0;
  std::int64_t index = 0;
  for (const Bytes* b : {&state, &cache}) {
    for (std::size_t i = 0; i + 4 <= b->size(); i += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, b->data() + i, 4);
      sum += digest_of_word(word, index++);
    }
  }
  return sum;
}

class Chain : public GpuTestWith<Case> {
 protected:
  void SetUp() override {
    GpuTestWith<Case>::SetUp();
    if (IsSkipped()) return;
    int device = 0;
    int major = 0;
    must(cudaGetDevice(&device));
    must(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    dependent_launch_ = major >= 9;
  }

  /// Rounds of producer, the library's ops and consumer on one stream; each round's digest.
  void play(int rounds, bool chained) {
    const Case& c = GetParam();
    LayerShape s;
    s.compressor = {c.geometry, Recipe::vllm, c.format, 1e-6F};
    s.positions = c.positions;
    const Layer layer(s);
    EngineShape shape;
    shape.path = c.path;
    shape.plan = c.plan;
    shape.layout = c.layout;
    shape.padding = 0.3;
    shape.cache_rows = 256 / c.geometry.ratio;
    shape.state_rows = c.layout == kRing ? c.geometry.window() + 3 : c.geometry.ratio == 4 ? 4 : 8;
    const RigSize size = rig_size(layer, shape, c.tokens, 6);

    const Stream stream;
    Exec exec = gpu_exec(stream);
    exec.chained = chained;
    Rig gpu(layer, shape, size, exec);
    gpu.fill(99);
    Rig cpu(layer, shape, size, cpu_exec());
    // What the producer writes, and what must come of it.
    std::vector<std::unique_ptr<Rig>> staged;
    std::vector<Production> productions;
    std::vector<std::uint64_t> want;
    Random random(17);
    for (std::uint64_t k = 0; k < 5; ++k) {
      staged.push_back(std::make_unique<Rig>(layer, shape, size, gpu_exec()));
      const auto requests = draw_requests(6, c.tokens, c.positions, random);
      const Step step = draw_step(c.geometry, shape, size, requests, random);
      for (Rig* r : {staged.back().get(), &cpu}) {
        r->fill(k);
        r->load(step);
      }
      ASSERT_EQ(cpu.play().message(), "");
      want.push_back(digest_of(cpu.state(), cpu.cache()));
      productions.push_back(production(*staged.back(), gpu));
    }

    const std::vector<unsigned long long> none(static_cast<std::size_t>(rounds), 0);
    const Buffer digests(gpu.memory(), none);
    const Buffer* state = gpu.outputs()[0];
    const Buffer* cache = gpu.outputs()[1];
    std::vector<std::size_t> kinds;
    for (int round = 0; round < rounds; ++round) {
      const auto k = static_cast<std::size_t>(random.below(5));
      kinds.push_back(k);
      productions[k].delay_ns = static_cast<std::uint32_t>(random.below(2000));
      const bool dependent = chained && dependent_launch_;
      must(launch_production(productions[k], dependent, stream.get()));
      ASSERT_EQ(gpu.play().message(), "");
      const Consumption c{
          {state->data(), cache->data()},
          {static_cast<std::int64_t>(state->size()), static_cast<std::int64_t>(cache->size())},
          static_cast<unsigned long long*>(digests.data()) + round};
      must(launch_consumption(c, dependent, stream.get()));
    }
    stream.wait();
    std::vector<std::uint64_t> got(kinds.size());
    const Bytes bytes = digests.download();
    std::memcpy(got.data(), bytes.data(), bytes.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i], want[kinds[i]])
          << "round " << i << " of " << rounds << (chained ? ", chained" : ", not chained");
    }
  }

 private:
  /// All inputs, and state and cache as they are before the step.
  static Production production(const Rig& from, const Rig& to) {
    Production p{};
    const auto add = [&](const Buffer* source, const Buffer* target) {
      ASSERT_EQ(source->size() % 4, 0U);
      p.copies[p.count++] = {target->data(), source->data(),
                             static_cast<std::int64_t>(source->size())};
    };
    for (std::size_t i = 0; i < from.inputs().size(); ++i)
      add(from.inputs()[i], to.inputs()[i]);
    for (const std::size_t i : {0U, 1U})
      add(from.outputs()[i], to.outputs()[i]);
    return p;
  }

  bool dependent_launch_ = false;
};

TEST_P(Chain, NotChained) {
  ASSERT_NO_FATAL_FAILURE(play(20, false));
}

TEST_P(Chain, Chained) {
  ASSERT_NO_FATAL_FAILURE(play(20, true));
}

TEST_P(Chain, NotChainedStress) {
  ASSERT_NO_FATAL_FAILURE(play(1000, false));
}

TEST_P(Chain, ChainedStress) {
  ASSERT_NO_FATAL_FAILURE(play(5000, true));
}

INSTANTIATE_TEST_SUITE_P(All, Chain, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
