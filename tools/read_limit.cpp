// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/read_limit.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "cpu/thread_pool.hpp"
#include "tools/buffer.hpp"

namespace pleat::tools {
namespace {

constexpr int kPasses = 7;
/// Vectors added at a time: enough loads in flight, and no chain of additions between them.
constexpr std::size_t kUnroll = 8;

using Vector = std::uint64_t __attribute__((vector_size(64)));

inline __attribute__((always_inline)) std::uint64_t sum(const std::uint8_t* data,
                                                        std::size_t bytes) {
  Vector sums[kUnroll] = {};
  for (std::size_t i = 0; i + sizeof sums <= bytes; i += sizeof sums) {
    for (std::size_t u = 0; u < kUnroll; ++u) {
      Vector v;
      std::memcpy(&v, data + i + u * sizeof v, sizeof v);
      sums[u] += v;
    }
  }
  std::uint64_t total = 0;
  for (const Vector& v : sums) {
    for (int lane = 0; lane < 8; ++lane)
      total += v[lane];
  }
  return total;
}

using Sum = std::uint64_t (*)(const std::uint8_t*, std::size_t);

std::uint64_t sum_portable(const std::uint8_t* data, std::size_t bytes) {
  return sum(data, bytes);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) std::uint64_t sum_avx2(const std::uint8_t* data,
                                                       std::size_t bytes) {
  return sum(data, bytes);
}
__attribute__((target("avx512f"))) std::uint64_t sum_avx512(const std::uint8_t* data,
                                                            std::size_t bytes) {
  return sum(data, bytes);
}
#endif

Sum widest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return sum_avx512;
  if (__builtin_cpu_supports("avx2")) return sum_avx2;
#endif
  return sum_portable;
}

}  // namespace

double measure_read_limit(int threads, std::size_t bytes) {
  Buffer buffer(bytes);
  std::memset(buffer.data(), 1, bytes);  // pages of its own, not the kernel's one page of zeros
  const Sum sum_of = widest();
  std::atomic<std::uint64_t> kept{0};
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    cpu::run_parts(threads, [&](int part) {
      const auto range = cpu::part_of(bytes, threads, part);
      kept += sum_of(buffer.data() + range.first, range.last - range.first);
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(bytes) / took.count() / 1e9);
  }
  return kept.load() == 0 ? 0.0 : best;  // the sum is used, so it is not optimised away
}

}  // namespace pleat::tools
