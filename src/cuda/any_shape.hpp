// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// The shape of the blocks of any geometry's kernels. Host code includes it too: tuning.cpp counts
// blocks with what the kernels are compiled with.
namespace pleat::cuda {

/// Most threads of a block. A thread has a channel of the row, or one in so many, and looking
/// through a chunk of tokens takes kScanThreads of them.
inline constexpr int kAnyThreads = 256;

constexpr int any_threads(std::int32_t head_dim) {
  return head_dim < 128 ? 128 : head_dim > kAnyThreads ? kAnyThreads : head_dim;
}

/// Blocks of the fold, of kAnyThreads each, for which a multiprocessor has the registers: the
/// kernel's launch bound.
inline constexpr int kAnyFoldBlocks = 3;

/// Quads of channels that a lane of a save copies at once; and the channels that its warp does.
inline constexpr int kAnySaveQuads = 4;
inline constexpr int kAnySaveChannels = 32 * 4 * kAnySaveQuads;

}  // namespace pleat::cuda
