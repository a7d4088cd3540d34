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

// Exec::chain. Late: a producer writes metadata, block table, projection, state and cache late,
// while the library's kernels may already run; a consumer that may also have started early reads
// what they made. Rounds follow each other without a wait, each with other tokens, so a read before
// the wait sees the round before, and a write before it is written over. Early: all but the
// projection is there, and the producer turns another step's rows into the right ones.
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

class Chains : public GpuTestWith<Case> {
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

  static LayerShape layer_shape(const Case& c) {
    LayerShape s;
    s.compressor = {c.geometry, Recipe::vllm, c.format, 1e-6F};
    s.positions = c.positions;
    return s;
  }
  static EngineShape engine_shape(const Case& c) {
    EngineShape s;
    s.path = c.path;
    s.plan = c.plan;
    s.layout = c.layout;
    s.padding = 0.3;
    s.cache_rows = 256 / c.geometry.ratio;
    s.state_rows = c.layout == kRing ? c.geometry.window() + 3 : c.geometry.ratio == 4 ? 4 : 8;
    return s;
  }

  /// Rounds of producer, the library's ops and consumer on one stream; each round's digest.
  void play(int rounds, Chain chain) {
    const Case& c = GetParam();
    const Layer layer(layer_shape(c));
    const EngineShape shape = engine_shape(c);
    const RigSize size = rig_size(layer, shape, c.tokens, 6);

    const Stream stream;
    Exec exec = gpu_exec(stream);
    exec.chain = chain;
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

    const Buffer digests = no_digests(rounds);
    std::vector<std::size_t> kinds;
    const bool dependent = chain != Chain::none && dependent_launch_;
    for (int round = 0; round < rounds; ++round) {
      const auto k = static_cast<std::size_t>(random.below(5));
      kinds.push_back(k);
      productions[k].delay_ns = static_cast<std::uint32_t>(random.below(2000));
      must(launch_production(productions[k], dependent, stream.get()));
      ASSERT_EQ(gpu.play().message(), "");
      must(launch_consumption(consumption(gpu, digests, round), dependent, stream.get()));
    }
    stream.wait();
    compare(digests, kinds, want);
  }

  /// The same with Chain::early, for whom all but the projection is there: each step has buffers of
  /// its own, and its plan. After a round the projection is another step's again. Paged, a step
  /// that is run again writes what is there; a ring's has lost what it read, and is run once.
  void play_early(int rounds) {
    constexpr std::size_t steps = 3;
    const Case& c = GetParam();
    const Layer layer(layer_shape(c));
    const EngineShape shape = engine_shape(c);
    const RigSize size = rig_size(layer, shape, c.tokens, 6);
    const Stream stream;
    std::vector<std::unique_ptr<Rig>> staged;
    std::vector<std::unique_ptr<Rig>> rigs;
    std::vector<std::uint64_t> want;
    Random random(19);
    for (std::uint64_t k = 0; k < steps; ++k) {
      staged.push_back(std::make_unique<Rig>(layer, shape, size, gpu_exec()));
      rigs.push_back(std::make_unique<Rig>(layer, shape, size, gpu_exec(stream)));
      Rig cpu(layer, shape, size, cpu_exec());
      const Step step = draw_step(c.geometry, shape, size,
                                  draw_requests(6, c.tokens, c.positions, random), random);
      for (Rig* r : {staged.back().get(), rigs.back().get(), &cpu}) {
        r->fill(k);
        r->load(step);
      }
      ASSERT_EQ(cpu.play().message(), "");
      want.push_back(digest_of(cpu.state(), cpu.cache()));
    }
    std::vector<Production> right;
    std::vector<Production> wrong;
    for (std::size_t k = 0; k < steps; ++k) {
      right.push_back(projection_of(*staged[k], *rigs[k]));
      wrong.push_back(projection_of(*staged[(k + 1) % steps], *rigs[k]));
      if (c.plan) {
        ASSERT_EQ(rigs[k]->run(Op::plan).message(), "");
      }
      rigs[k]->exec.chain = Chain::early;
      must(launch_production(wrong[k], false, stream.get()));
    }
    stream.wait();

    const bool once = c.layout == kRing;
    if (once) rounds = steps;
    const Buffer digests = no_digests(rounds);
    std::vector<std::size_t> kinds;
    for (int round = 0; round < rounds; ++round) {
      const auto k = static_cast<std::size_t>(once ? round : random.below(steps));
      kinds.push_back(k);
      right[k].delay_ns = static_cast<std::uint32_t>(random.below(4000));
      must(launch_production(right[k], dependent_launch_, stream.get()));
      for (const Op op : rigs[k]->ops()) {
        if (op == Op::plan) continue;
        ASSERT_EQ(rigs[k]->run(op).message(), "");
      }
      must(launch_consumption(consumption(*rigs[k], digests, round), dependent_launch_,
                              stream.get()));
      must(launch_production(wrong[k], dependent_launch_, stream.get()));
    }
    stream.wait();
    compare(digests, kinds, want);
  }

 private:
  static Buffer no_digests(int rounds) {
    return {memory_of(Backend::cuda),
            std::vector<unsigned long long>(static_cast<std::size_t>(rounds), 0)};
  }
  /// Of round \p round, state and cache as \p rig has them.
  static Consumption consumption(const Rig& rig, const Buffer& digests, int round) {
    const Buffer* state = rig.outputs()[0];
    const Buffer* cache = rig.outputs()[1];
    return {{state->data(), cache->data()},
            {static_cast<std::int64_t>(state->size()), static_cast<std::int64_t>(cache->size())},
            static_cast<unsigned long long*>(digests.data()) + round};
  }
  static void compare(const Buffer& digests, const std::vector<std::size_t>& kinds,
                      const std::vector<std::uint64_t>& want) {
    std::vector<std::uint64_t> got(kinds.size());
    const Bytes bytes = digests.download();
    std::memcpy(got.data(), bytes.data(), bytes.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i], want[kinds[i]]) << "round " << i << " of " << got.size();
    }
  }

  static void add(Production& p, const Buffer* source, const Buffer* target) {
    ASSERT_EQ(source->size() % 4, 0U);
    p.copies[p.count++] = {target->data(), source->data(),
                           static_cast<std::int64_t>(source->size())};
  }
  static Production projection_of(const Rig& from, const Rig& to) {
    Production p{};
    add(p, from.inputs().back(), to.inputs().back());
    return p;
  }
  /// All inputs, and state and cache as they are before the step.
  static Production production(const Rig& from, const Rig& to) {
    Production p{};
    for (std::size_t i = 0; i < from.inputs().size(); ++i)
      add(p, from.inputs()[i], to.inputs()[i]);
    for (const std::size_t i : {0U, 1U})
      add(p, from.outputs()[i], to.outputs()[i]);
    return p;
  }

  bool dependent_launch_ = false;
};

TEST_P(Chains, NotChained) {
  ASSERT_NO_FATAL_FAILURE(play(20, Chain::none));
}

TEST_P(Chains, Chained) {
  ASSERT_NO_FATAL_FAILURE(play(20, Chain::late));
}

TEST_P(Chains, Early) {
  ASSERT_NO_FATAL_FAILURE(play_early(20));
}

TEST_P(Chains, NotChainedStress) {
  ASSERT_NO_FATAL_FAILURE(play(1000, Chain::none));
}

TEST_P(Chains, ChainedStress) {
  ASSERT_NO_FATAL_FAILURE(play(5000, Chain::late));
}

TEST_P(Chains, EarlyStress) {
  ASSERT_NO_FATAL_FAILURE(play_early(5000));
}

INSTANTIATE_TEST_SUITE_P(All, Chains, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
