// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/read_limit.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "cpu/read_loop.hpp"
#include "tools/buffer.hpp"

namespace pleat::tools {
namespace {

constexpr int kPasses = 7;

}  // namespace

double measure_read_limit(int threads, std::size_t bytes) {
  Buffer buffer(bytes, PageSize::any, Fill::none);
  std::memset(buffer.data(), 1, bytes);  // pages of its own, not the kernel's one page of zeros
  Exec exec;
  exec.threads = threads;
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    cpu::read_loop(buffer.data(), bytes, exec);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(bytes) / took.count() / 1e9);
  }
  return best;
}

}  // namespace pleat::tools
