// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace pleat::tools {

/// When a kernel lets a dependent launch start (griddepcontrol.launch_dependents).
enum class Trigger { never, after_reads, at_start };

/// Stands in for the matrix product that makes a projection, where memory bounds it: reads \p bytes
/// of weights once, and writes \p count floats, spread evenly over -4 to 4. A block of 256 threads
/// a multiprocessor, without shared memory. Below sm_90 it never triggers.
cudaError_t stand_in_for_product(const void* weights, std::size_t bytes, float* out,
                                 std::size_t count, Trigger trigger, cudaStream_t stream);

}  // namespace pleat::tools
