// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "support/engine.hpp"
#include "support/machines.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

// Calls on separate data from several host threads at once, as one process serving several models
// does. The thread sanitizer watches; without it, wrong bytes would show shared scratch memory.
namespace pleat::test {
namespace {

struct Job {
  LayerShape layer;
  EngineShape engine;
  std::vector<std::int64_t> lengths;
};

Job job_of(std::uint64_t seed) {
  Random random(hash_of(seed, 17, 17, 17));
  const Geometry g = random.pick<Geometry>({Hca::value, Csa::value, Indexer::value});
  const bool index = g == Indexer::value;
  Job job;
  job.layer.compressor = {g, random.pick<Recipe>({Recipe::vllm, Recipe::sglang}),
                          index ? RowFormat::index_fp8 : RowFormat::fp8_mla, 1e-6F};
  job.layer.positions = 3 * g.ratio + 20;
  job.layer.seed = seed;
  job.engine = random_shape(g, seed);
  for (int i = 0; i < 3; ++i)
    job.lengths.push_back(random.between(g.ratio, 3 * g.ratio + 10));
  return job;
}

TEST(HostThreads, SeparateDataAtOnce) {
  const std::vector<Machine> all = machines();
  constexpr std::uint64_t kThreads = 4;
  const std::int64_t rounds = std::max<std::int64_t>(2, repetitions(8));
  std::atomic<int> played{0};
  std::vector<std::string> wrong(kThreads);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::int64_t round = 0; round < rounds && wrong[t].empty(); ++round) {
        const Job job = job_of(100 * t + static_cast<std::uint64_t>(round));
        const Layer layer(job.layer);
        const Schedule schedule = make_schedule(layer.geometry(), job.engine, job.lengths);
        const auto k = static_cast<std::size_t>(round) + static_cast<std::size_t>(t);
        // Two threads at a time use the same machine, most often.
        const Machine& m = all[(all.size() - 1 - k / 2 % all.size()) % all.size()];
        const Outcome got = run_schedule(layer, job.engine, schedule, m.exec);
        wrong[t] = judge(layer, job.engine, schedule, got);
        if (!wrong[t].empty()) wrong[t] += " on " + m.name + ", " + to_string(job.engine);
        ++played;
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
  for (const std::string& w : wrong)
    EXPECT_EQ(w, "");
  EXPECT_EQ(played, static_cast<int>(kThreads) * rounds);
}

// Threads that come and go leave nothing behind that a later call stumbles over.
TEST(HostThreads, ShortLivedCallers) {
  const Job job = job_of(1);
  const Layer layer(job.layer);
  const Schedule schedule = make_schedule(layer.geometry(), job.engine, job.lengths);
  const Outcome want = run_schedule(layer, job.engine, schedule, {Backend::reference});
  for (const Machine& m : machines()) {
    std::string wrong = "not run";
    std::thread([&] {
      wrong = compare(want, run_schedule(layer, job.engine, schedule, m.exec));
    }).join();
    EXPECT_EQ(wrong, "") << m.name;
  }
}

}  // namespace
}  // namespace pleat::test
