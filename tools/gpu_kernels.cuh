// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace pleat::tools {

/// Fills with values spread like a sum of four uniform numbers, sigma about 1; never zeros.
cudaError_t fill_random(float* data, std::size_t count, std::uint32_t seed, cudaStream_t stream);

/// Reads `bytes` once, cold or not, and does nothing else: 256 threads a block, four 16-byte loads
/// a thread, one shot. `sink` is null, or gets a word now and then: the compiler cannot know.
cudaError_t read_once(const void* data, std::size_t bytes, float* sink, cudaStream_t stream);

/// A launch that does nothing.
cudaError_t do_nothing(cudaStream_t stream);

}  // namespace pleat::tools
