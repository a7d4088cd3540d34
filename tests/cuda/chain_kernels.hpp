// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "numerics/portable.hpp"

// The kernels before and after the library's in a chain of dependent launches. Both let their
// successor start at once: what keeps it from reading too early is its own wait.
namespace pleat::test {

/// Whole 4-byte words from one place to another.
struct Copy {
  void* to;
  const void* from;
  std::int64_t bytes;
};

/// What stands in for a projection GEMM and a scheduler: waits, then writes all that the next
/// kernels read, late and bit by bit.
struct Production {
  static constexpr int kMost = 16;  ///< inputs, state and cache of two calls
  Copy copies[kMost];
  int count;
  std::uint32_t delay_ns;  ///< after the predecessor is done, before the first word is written
};

/// What stands in for attention: reads states and caches, and sums up what it saw into *digest,
/// which starts as 0.
struct Consumption {
  static constexpr int kMost = 4;
  const void* data[kMost];
  std::int64_t bytes[kMost];
  int count;
  unsigned long long* digest;
};

cudaError_t launch_production(const Production& p, bool chained, cudaStream_t stream);
cudaError_t launch_consumption(const Consumption& c, bool chained, cudaStream_t stream);

/// A word's part in the digest: a sum, so that the order of the words' readers does not matter.
PLEAT_HD unsigned long long digest_of_word(std::uint32_t word, std::int64_t index) {
  std::uint64_t h = (static_cast<std::uint64_t>(index) << 32 | word) + 0x9E3779B97F4A7C15ULL;
  h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9ULL;
  h = (h ^ (h >> 27)) * 0x94D049BB133111EBULL;
  return h ^ (h >> 31);
}

}  // namespace pleat::test
