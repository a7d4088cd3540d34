// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/stand_in.cuh"

#include <cstdint>

#include "cuda/device.cuh"

namespace pleat::tools {
namespace {

constexpr int kThreads = 256;
constexpr int kLoads = 8;  ///< of 16 bytes, on their way at once

__global__ void __launch_bounds__(kThreads)
    stand_in_kernel(const uint4* weights, std::size_t loads, float* out, std::size_t count,
                    Trigger trigger) {
  // Nothing is waited for first: the launch is not a dependent one.
  if (trigger == Trigger::at_start) cuda::let_successor_start();
  const std::size_t threads = static_cast<std::size_t>(gridDim.x) * kThreads;
  const std::size_t first = static_cast<std::size_t>(blockIdx.x) * kThreads + threadIdx.x;
  std::uint32_t x = 0;
  for (std::size_t i = first; i < loads; i += threads * kLoads) {
    uint4 v[kLoads];
#pragma unroll
    for (int k = 0; k < kLoads; ++k) {
      const std::size_t at = i + static_cast<std::size_t>(k) * threads;
      v[k] = at < loads ? __ldcs(weights + at) : uint4{};
    }
#pragma unroll
    for (int k = 0; k < kLoads; ++k)
      x ^= v[k].x ^ v[k].y ^ v[k].z ^ v[k].w;
  }
  // What was read has to have come, though next to nothing of it goes into the result.
  const std::uint32_t read = x == 0x9E3779B9U ? 1U : 0U;
  if (trigger == Trigger::after_reads) cuda::let_successor_start();
  for (std::size_t i = first; i < count; i += threads) {
    const std::uint32_t mixed = (static_cast<std::uint32_t>(i) + read) * 2654435761U;
    out[i] = static_cast<float>(static_cast<std::int32_t>(mixed)) * 0x1p-29F;
  }
}

}  // namespace

cudaError_t stand_in_for_product(const void* weights, std::size_t bytes, float* out,
                                 std::size_t count, Trigger trigger, cudaStream_t stream) {
  int device = 0;
  int blocks = 0;
  if (const cudaError_t e = cudaGetDevice(&device); e != cudaSuccess) return e;
  if (const cudaError_t e = cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, device);
      e != cudaSuccess) {
    return e;
  }
  stand_in_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(
      static_cast<const uint4*>(weights), bytes / sizeof(uint4), out, count, trigger);
  return cudaGetLastError();
}

}  // namespace pleat::tools
