// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstddef>

namespace pleat::cpu {

/// Reads memory and does nothing with it: plain vector loads over the same threads, split the same
/// way. The yardstick of benchmarks; the limit that a fold is compared with. exec: threads, simd.
void read_loop(const void* data, std::size_t bytes, const Exec& exec);

}  // namespace pleat::cpu
