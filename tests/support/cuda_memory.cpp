// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/cuda_memory.hpp"

#include <pleat/pleat.hpp>

#include "support/memory.hpp"

#if PLEAT_HAVE_CUDA

#include <cuda_runtime_api.h>

#include <algorithm>
#include <stdexcept>

namespace pleat::test {
namespace {

void must(cudaError_t e) {
  if (e != cudaSuccess) throw std::runtime_error(cudaGetErrorString(e));
}

/// Copies wait for what was launched on the default stream before, so a test reads what its calls
/// have written; a test with streams of its own waits for those first.
class CudaMemory final : public Memory {
 public:
  void* allocate(std::size_t bytes) override {
    void* p = nullptr;
    must(cudaMalloc(&p, std::max<std::size_t>(bytes, 1)));
    return p;
  }
  void release(void* p) override { cudaFree(p); }
  void write(void* to, const void* from, std::size_t bytes) override {
    if (bytes == 0) return;
    must(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
    // From pageable memory the copy may still be under way; a non-blocking stream would not wait.
    must(cudaStreamSynchronize(nullptr));
  }
  void read(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) must(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
  }
};

}  // namespace

void use_cuda_memory() {
  static CudaMemory memory;
  if (available(Backend::cuda)) set_memory(Backend::cuda, &memory);
}

}  // namespace pleat::test

#else

namespace pleat::test {

void use_cuda_memory() {}

}  // namespace pleat::test

#endif
