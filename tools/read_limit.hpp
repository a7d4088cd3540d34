// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace pleat::tools {

/// Bytes that no cache of today holds.
inline constexpr std::size_t kReadLimitBytes = std::size_t{512} << 20;

/// GB/s (10^9) that plain vector loads of this many threads reach over a buffer of `bytes`, the
/// best of several passes: what a kernel that only reads could get on this machine, now.
double measure_read_limit(int threads, std::size_t bytes = kReadLimitBytes);

}  // namespace pleat::tools
