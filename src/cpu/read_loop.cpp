// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/read_loop.hpp"

#include <atomic>
#include <cstdint>

#include "cpu/kernels.hpp"
#include "cpu/thread_pool.hpp"

namespace pleat::cpu {

namespace {

/// Somebody might look here, so the loads cannot be left out.
std::atomic<std::uint64_t> witness;

}  // namespace

void read_loop(const void* data, std::size_t bytes, const Exec& exec) {
  const Kernels* kernels = kernels_of(exec.simd);
  if (kernels == nullptr) kernels = kernels_of(SimdTarget::best);
  const int parts = thread_count(exec.threads);
  run_parts(parts, [&](int part) {
    const auto [first, last] = part_of<std::size_t>(bytes / 64, parts, part);
    const std::size_t end = part == parts - 1 ? bytes : last * 64;
    const auto* from = static_cast<const unsigned char*>(data) + first * 64;
    witness.fetch_xor(kernels->read(from, end - first * 64), std::memory_order_relaxed);
  });
}

}  // namespace pleat::cpu
