// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "cuda/chain_buffers.hpp"
#include "cuda/chain_cases.hpp"
#include "cuda/chain_kernels.hpp"
#include "support/draw_step.hpp"
#include "support/gpu.hpp"

// Exec::chain. Late: a producer writes metadata, block table, projection, state and cache late,
// while the library's kernels may already run; a consumer that may also have started early reads
// what they made. Rounds follow each other without a wait, each with other tokens, so a read before
// the wait sees the round before, and a write before it is written over. Early: all but the
// projection is there, and the producer turns another step's rows into the right ones.
namespace pleat::test {
namespace {

std::int64_t closings(const Step& step, const Geometry& g) {
  return std::count_if(step.tokens.begin(), step.tokens.end(), [&](const StepToken& t) {
    return t.live && t.kv_slot >= 0 && (t.name.position + 1) % g.ratio == 0;
  });
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

  /// Rounds of producer, the library's ops and consumer on one stream; each round's digest.
  void play(int rounds, Chain chain) {
    ASSERT_NO_FATAL_FAILURE(stage(17));
    const Stream stream;
    Buffers gpu(*setting_, gpu_exec(stream));
    gpu.hold({}, 99);
    gpu.exec.chain = chain;
    std::vector<Production> productions;
    for (const auto& before : before_)
      productions.push_back(whole_step(*before, gpu));

    start_rounds(rounds);
    const bool dependent = chain != Chain::none && dependent_launch_;
    for (int round = 0; round < rounds; ++round) {
      const std::size_t k = next_step();
      productions[k].delay_ns = static_cast<std::uint32_t>(setting_->random.below(2000));
      must(launch_production(productions[k], dependent, stream.get()));
      ASSERT_EQ(gpu.make_plan().message(), "");
      ASSERT_EQ(gpu.calls().message(), "");
      must(launch_consumption(consumption(gpu, round), dependent, stream.get()));
    }
    stream.wait();
    compare();
  }

  /// The same with Chain::early, for whom all but the projection is there: each step has buffers of
  /// its own, and its plan. After a round the projection is another step's again. Paged, a step
  /// that is run again writes what is there; a ring's has lost what it read, which is brought back
  /// by a launch that ends before the next begins.
  void play_early(int rounds) {
    ASSERT_NO_FATAL_FAILURE(stage(19));
    const Stream stream;
    std::vector<std::unique_ptr<Buffers>> own;
    std::vector<Production> right;
    std::vector<Production> wrong;
    std::vector<Production> restored;
    for (std::size_t k = 0; k < kSteps; ++k) {
      own.push_back(std::make_unique<Buffers>(*setting_, gpu_exec(stream)));
      own[k]->hold(steps_[k], k);
      ASSERT_EQ(own[k]->make_plan().message(), "");
      own[k]->exec.chain = Chain::early;
      right.push_back(production(before_[k]->projections(), own[k]->projections()));
      wrong.push_back(production(before_[(k + 1) % kSteps]->projections(), own[k]->projections()));
      restored.push_back(production(before_[k]->written(), own[k]->written()));
      must(launch_production(wrong[k], false, stream.get()));
    }
    stream.wait();

    start_rounds(rounds);
    const bool ring = setting_->shape.layout == kRing;
    for (int round = 0; round < rounds; ++round) {
      const std::size_t k = next_step();
      right[k].delay_ns = static_cast<std::uint32_t>(setting_->random.below(4000));
      must(launch_production(right[k], dependent_launch_, stream.get()));
      ASSERT_EQ(own[k]->calls().message(), "");
      must(launch_consumption(consumption(*own[k], round), dependent_launch_, stream.get()));
      if (ring) must(launch_production(restored[k], false, stream.get()));
      must(launch_production(wrong[k], dependent_launch_ && !ring, stream.get()));
    }
    stream.wait();
    compare();
  }

 private:
  static constexpr std::size_t kSteps = 4;

  /// Draws the steps, and lays out what producers bring; by the CPU, what must come of it.
  void stage(std::uint64_t seed) {
    const Case& c = GetParam();
    setting_.emplace(c, seed);
    Setting& s = *setting_;
    Buffers cpu(s, cpu_exec());
    for (std::uint64_t k = 0; k < kSteps; ++k) {
      const auto requests = c.load.draw(c.geometry, s.random);
      steps_.push_back(draw_step(c.geometry, s.shape, s.size, requests, s.random));
      ASSERT_GE(closings(steps_[k], c.geometry),
                c.load.closing + c.load.longest / c.geometry.ratio);
      before_.push_back(std::make_unique<Buffers>(s, gpu_exec()));
      for (Buffers* b : {before_.back().get(), &cpu})
        b->hold(steps_[k], k);
      ASSERT_EQ(cpu.make_plan().message(), "");
      ASSERT_EQ(cpu.calls().message(), "");
      want_.push_back(digest_of(cpu));
    }
  }

  void start_rounds(int rounds) {
    digests_.emplace(memory_of(Backend::cuda),
                     std::vector<unsigned long long>(static_cast<std::size_t>(rounds), 0));
  }
  /// Which step the next round is of.
  std::size_t next_step() {
    drawn_.push_back(static_cast<std::size_t>(setting_->random.below(kSteps)));
    return drawn_.back();
  }
  [[nodiscard]] Consumption consumption(const Buffers& of, int round) const {
    Consumption c{};
    for (const Buffer* b : of.written()) {
      c.data[c.count] = b->data();
      c.bytes[c.count++] = static_cast<std::int64_t>(b->size());
    }
    c.digest = static_cast<unsigned long long*>(digests_->data()) + round;
    return c;
  }
  void compare() const {
    std::vector<std::uint64_t> got(drawn_.size());
    const Bytes bytes = digests_->download();
    std::memcpy(got.data(), bytes.data(), bytes.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i], want_[drawn_[i]])
          << "round " << i << " of " << got.size() << ", step " << drawn_[i];
    }
  }

  bool dependent_launch_ = false;
  std::optional<Setting> setting_;
  std::vector<Step> steps_;
  std::vector<std::unique_ptr<Buffers>> before_;  ///< each step
  std::vector<std::uint64_t> want_;
  std::vector<std::size_t> drawn_;  ///< each round's step
  std::optional<Buffer> digests_;
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

/// A round of these copies up to 100 MB.
class LargeChains : public Chains {};

TEST_P(LargeChains, NotChained) {
  ASSERT_NO_FATAL_FAILURE(play(20, Chain::none));
}

TEST_P(LargeChains, Chained) {
  ASSERT_NO_FATAL_FAILURE(play(200, Chain::late));
}

TEST_P(LargeChains, Early) {
  ASSERT_NO_FATAL_FAILURE(play_early(200));
}

INSTANTIATE_TEST_SUITE_P(All, LargeChains, ::testing::ValuesIn(kLargeCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
