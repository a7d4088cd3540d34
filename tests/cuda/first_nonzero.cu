// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/first_nonzero.hpp"

#include "support/gpu.hpp"

namespace pleat::test {
namespace {

constexpr unsigned long long kNone = ~0ULL;

__global__ void find_nonzero(const std::uint8_t* data, std::size_t bytes,
                             unsigned long long* first) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x * 16;
  for (std::size_t at = (std::size_t{blockIdx.x} * blockDim.x + threadIdx.x) * 16; at < bytes;
       at += step) {
    if (at + 16 <= bytes) {
      const uint4 v = *reinterpret_cast<const uint4*>(data + at);
      if ((v.x | v.y | v.z | v.w) == 0) continue;
    }
    for (std::size_t i = at; i < at + 16 && i < bytes; ++i) {
      if (data[i] != 0) atomicMin(first, static_cast<unsigned long long>(i));
    }
  }
}

}  // namespace

std::int64_t first_nonzero(const void* device, std::size_t bytes) {
  unsigned long long* first = nullptr;
  unsigned long long found = kNone;
  must(cudaMalloc(reinterpret_cast<void**>(&first), sizeof found));
  must(cudaMemcpy(first, &found, sizeof found, cudaMemcpyHostToDevice));
  find_nonzero<<<4096, 256>>>(static_cast<const std::uint8_t*>(device), bytes, first);
  must(cudaGetLastError());
  must(cudaMemcpy(&found, first, sizeof found, cudaMemcpyDeviceToHost));
  cudaFree(first);
  return found == kNone ? -1 : static_cast<std::int64_t>(found);
}

}  // namespace pleat::test
