// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace pleat::test {

/// How much thinner sweeps are where a sanitizer makes everything some ten times slower.
#if defined(PLEAT_SANITIZED)
inline constexpr std::int64_t kThinner = 16;
#else
inline constexpr std::int64_t kThinner = 1;
#endif

/// `full` repetitions, fewer under a sanitizer, never none.
constexpr std::int64_t repetitions(std::int64_t full) {
  return std::max<std::int64_t>(1, full / kThinner);
}

/// Seeds 1..n, and the one of --gtest_random_seed where it is given: a failure prints its seed.
inline std::vector<std::uint64_t> seeds(std::int64_t full) {
  std::vector<std::uint64_t> out;
  for (std::int64_t s = 1; s <= repetitions(full); ++s)
    out.push_back(static_cast<std::uint64_t>(s));
  const auto given = ::testing::GTEST_FLAG(random_seed);
  if (given != 0) out.push_back(static_cast<std::uint64_t>(given) << 20);
  return out;
}

}  // namespace pleat::test
