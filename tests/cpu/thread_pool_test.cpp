// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/scale.hpp"

#if defined(__SANITIZE_THREAD__)
#define PLEAT_THREAD_SANITIZER 1
#elif defined(__has_feature)
#define PLEAT_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define PLEAT_THREAD_SANITIZER 0
#endif

namespace pleat::cpu {
namespace {

/// How often each part ran in one call.
std::vector<int> counts(int parts) {
  std::vector<std::atomic<int>> ran(static_cast<std::size_t>(parts));
  run_parts(parts, [&](int i) { ran[static_cast<std::size_t>(i)].fetch_add(1); });
  return {ran.begin(), ran.end()};
}

TEST(ThreadPool, RunsEachPartOnce) {
  for (const int parts : {0, 1, 2, 3, 8, 5, kMaxThreads}) {
    EXPECT_EQ(counts(parts), std::vector<int>(static_cast<std::size_t>(parts), 1)) << parts;
  }
}

TEST(ThreadPool, BackToBackCallsSeeEachOthersWrites) {
  std::vector<std::int64_t> cells(4 * 16, 0);
  for (int call = 0; call < 20000 / static_cast<int>(test::kThinner); ++call) {
    run_parts(4, [&](int i) {
      // every part reads what all parts wrote in the call before
      for (std::size_t other = 0; other < 4; ++other) {
        if (cells[other * 16 + static_cast<std::size_t>(call % 2)] != call / 2 * 100) std::abort();
      }
      cells[static_cast<std::size_t>(i) * 16 + static_cast<std::size_t>((call + 1) % 2)] =
          (call + 1) / 2 * 100;
    });
  }
}

TEST(ThreadPool, WakesAfterSleep) {
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // far past the spin
    EXPECT_EQ(counts(3), std::vector<int>(3, 1));
  }
}

TEST(ThreadPool, ServesSeveralCallersAtOnce) {
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 2000 / static_cast<int>(test::kThinner); ++i) {
        if (counts(3) != std::vector<int>(3, 1)) wrong.fetch_add(1);
      }
    });
  }
  for (std::thread& t : callers)
    t.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(ThreadPool, WorksInAForkedChild) {
#if PLEAT_THREAD_SANITIZER
  GTEST_SKIP() << "the thread sanitizer allows no threads after a fork";
#endif
  ASSERT_EQ(counts(4), std::vector<int>(4, 1));  // the parent has threads that the child has not
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(counts(4) == std::vector<int>(4, 1) ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(ThreadPool, ThreadCount) {
  EXPECT_GE(thread_count(0), 1);
  EXPECT_EQ(thread_count(5), 5);
  EXPECT_EQ(thread_count(100000), kMaxThreads);
}

TEST(PartOf, CoversEverythingEvenly) {
  for (const std::int64_t n : {0, 1, 2, 7, 64, 1000003}) {
    for (const int parts : {1, 2, 3, 7, 64}) {
      std::int64_t next = 0;
      for (int i = 0; i < parts; ++i) {
        const auto [first, last] = part_of(n, parts, i);
        EXPECT_EQ(first, next);
        EXPECT_GE(last - first, n / parts);
        EXPECT_LE(last - first, n / parts + 1);
        next = last;
      }
      EXPECT_EQ(next, n);
    }
  }
}

}  // namespace
}  // namespace pleat::cpu
