// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"

// Independent calls on several streams at once share nothing that one could spoil for another, and
// the same call gives the same bytes however often it is made.
namespace pleat::test {
namespace {

struct Job {
  Geometry geometry;
  RowFormat format;
  EngineShape::Path path;
  bool plan;
  std::int64_t tokens;
  std::int64_t positions;
};

using Path = EngineShape::Path;
const Job kJobs[] = {
    {Csa::value, RowFormat::fp8_mla, Path::step, true, 60, 120},
    {Hca::value, RowFormat::fp8_mla, Path::step, true, 150, 300},
    {Indexer::value, RowFormat::index_fp8, Path::step, true, 60, 120},
    {Csa::value, RowFormat::bf16, Path::step, false, 60, 120},
    {Hca::value, RowFormat::fp8_tensor, Path::split, true, 150, 300},
    {Indexer::value, RowFormat::index_mxfp4, Path::fused, false, 60, 120},
    {Hca::value, RowFormat::bf16, Path::step, false, 150, 300},
};

/// A job with its stream and its buffers, on the GPU and for the CPU.
class Lane {
 public:
  explicit Lane(const Job& job)
      : layer_(layer_shape(job)),
        shape_(engine_shape(job)),
        size_(rig_size(layer_, shape_, job.tokens, 6)),
        gpu(layer_, shape_, size_, gpu_exec(stream)),
        cpu(layer_, shape_, size_, cpu_exec()) {}

 private:
  static LayerShape layer_shape(const Job& job) {
    LayerShape s;
    s.compressor = {job.geometry, Recipe::vllm, job.format, 1e-6F};
    s.positions = job.positions;
    return s;
  }
  static EngineShape engine_shape(const Job& job) {
    EngineShape s;
    s.path = job.path;
    s.plan = job.plan;
    s.padding = 0.2;
    s.state_rows = special_state_rows(job.geometry);
    s.cache_rows = special_cache_rows(job.geometry);
    return s;
  }

  Layer layer_;
  EngineShape shape_;
  RigSize size_;

 public:
  Stream stream;
  Rig gpu;
  Rig cpu;

  /// The same state, cache and tokens for both.
  void prepare(std::uint64_t seed) {
    Random random(seed);
    const auto requests = draw_requests(6, size_.tokens, layer_.shape().positions, random);
    const Step step = draw_step(layer_.geometry(), shape_, size_, requests, random);
    for (Rig* r : {&cpu, &gpu}) {
      r->fill(seed);
      r->load(step);
    }
  }
};

std::vector<std::unique_ptr<Lane>> lanes() {
  std::vector<std::unique_ptr<Lane>> out;
  for (const Job& job : kJobs)
    out.push_back(std::make_unique<Lane>(job));
  return out;
}

/// `repeats` times the same calls on every lane, launched one lane after the other without a wait.
void play_all(std::vector<std::unique_ptr<Lane>>& all, std::uint64_t round, int repeats) {
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i]->prepare(100 * round + i + 1);
  for (int n = 0; n < repeats; ++n) {
    for (const auto& lane : all)
      ASSERT_EQ(lane->gpu.play().message(), "");
  }
  for (const auto& lane : all)
    ASSERT_EQ(lane->cpu.play().message(), "");
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i]->stream.wait();
    ASSERT_EQ(difference(all[i]->cpu, all[i]->gpu), "") << "round " << round << ", job " << i;
  }
}

class Streams : public GpuTest {};

TEST_F(Streams, SeveralAtOnce) {
  auto all = lanes();
  for (std::uint64_t round = 0; round < 3; ++round)
    ASSERT_NO_FATAL_FAILURE(play_all(all, round, 2));
}

TEST_F(Streams, SeveralAtOnceStress) {
  auto all = lanes();
  for (std::uint64_t round = 0; round < 60; ++round)
    ASSERT_NO_FATAL_FAILURE(play_all(all, round, 40));
}

/// Paged state: a step reads no row that it writes, so it may be made again on what it left.
void repeat(const Job& job, int times) {
  Lane lane(job);
  lane.prepare(7);
  ASSERT_EQ(lane.cpu.play().message(), "");
  const Bytes fresh = lane.gpu.cache();
  Memory& memory = lane.gpu.memory();
  for (int n = 0; n < times; ++n) {
    memory.write(lane.gpu.call.cache.data, fresh.data(), fresh.size());
    ASSERT_EQ(lane.gpu.play().message(), "");
    lane.stream.wait();
    ASSERT_EQ(difference(lane.cpu, lane.gpu), "") << "time " << n;
  }
}

TEST_F(Streams, TheSameCallAgain) {
  for (const Job& job : kJobs)
    ASSERT_NO_FATAL_FAILURE(repeat(job, 3));
}

TEST_F(Streams, TheSameCallAgainStress) {
  for (const Job& job : kJobs)
    ASSERT_NO_FATAL_FAILURE(repeat(job, 400));
}

}  // namespace
}  // namespace pleat::test
