// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/gpu_kernels.cuh"

namespace pleat::tools {

namespace {

__global__ void fill_kernel(float* data, std::size_t count, std::uint32_t seed) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 2654435761U + seed +
                      static_cast<std::uint32_t>(i >> 32) * 40503U;
    x = (x ^ (x >> 16)) * 0x7FEB352DU;
    x = (x ^ (x >> 15)) * 0x846CA68BU;
    x ^= x >> 16;
    const int sum = static_cast<int>((x & 255U) + (x >> 8 & 255U) + (x >> 16 & 255U) + (x >> 24));
    data[i] = static_cast<float>(sum - 510) * (1.0F / 147.8F);
  }
}

constexpr int kReadThreads = 256;
constexpr int kReadLoads = 4;

__global__ void __launch_bounds__(kReadThreads)
    read_kernel(const uint4* data, std::size_t count, float* sink) {
  const std::size_t first =
      static_cast<std::size_t>(blockIdx.x) * (kReadThreads * kReadLoads) + threadIdx.x;
  uint4 v[kReadLoads];
#pragma unroll
  for (int k = 0; k < kReadLoads; ++k) {
    const std::size_t i = first + static_cast<std::size_t>(k) * kReadThreads;
    v[k] = i < count ? __ldcs(data + i) : uint4{};
  }
  std::uint32_t x = 0;
#pragma unroll
  for (int k = 0; k < kReadLoads; ++k)
    x ^= v[k].x ^ v[k].y ^ v[k].z ^ v[k].w;
  if (x == 0xDEADBEEFU && sink != nullptr) *sink = 1.0F;
}

__global__ void nothing_kernel() {}

}  // namespace

cudaError_t fill_random(float* data, std::size_t count, std::uint32_t seed, cudaStream_t stream) {
  fill_kernel<<<2048, 256, 0, stream>>>(data, count, seed);
  return cudaGetLastError();
}

cudaError_t read_once(const void* data, std::size_t bytes, float* sink, cudaStream_t stream) {
  const std::size_t count = bytes / sizeof(uint4);
  const std::size_t per_block = static_cast<std::size_t>(kReadThreads) * kReadLoads;
  const auto blocks = static_cast<unsigned>((count + per_block - 1) / per_block);
  read_kernel<<<blocks, kReadThreads, 0, stream>>>(static_cast<const uint4*>(data), count, sink);
  return cudaGetLastError();
}

cudaError_t do_nothing(cudaStream_t stream) {
  nothing_kernel<<<1, 32, 0, stream>>>();
  return cudaGetLastError();
}

}  // namespace pleat::tools
