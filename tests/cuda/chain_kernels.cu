// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/chain_kernels.hpp"

namespace pleat::test {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocks = 24;

__device__ void let_successor_start_and_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ std::uint64_t nanoseconds() {
  std::uint64_t t;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
  return t;
}

/// Blocks write one after the other, the last some four times as late as the first.
__global__ void produce(const __grid_constant__ Production p) {
  let_successor_start_and_wait();
  const std::uint64_t until =
      nanoseconds() + p.delay_ns + std::uint64_t{p.delay_ns} * 3 * blockIdx.x / gridDim.x;
  while (nanoseconds() < until)
    __nanosleep(100);
  for (int i = 0; i < p.count; ++i) {
    auto* to = static_cast<std::uint32_t*>(p.copies[i].to);
    const auto* from = static_cast<const std::uint32_t*>(p.copies[i].from);
    const std::int64_t words = p.copies[i].bytes / 4;
    for (std::int64_t w = blockIdx.x * kThreads + threadIdx.x; w < words; w += kBlocks * kThreads)
      to[w] = from[w];
  }
}

__global__ void consume(const __grid_constant__ Consumption c) {
  let_successor_start_and_wait();
  unsigned long long sum = 0;
  std::int64_t before = 0;
  for (int i = 0; i < c.count; ++i) {
    const auto* data = static_cast<const std::uint32_t*>(c.data[i]);
    const std::int64_t words = c.bytes[i] / 4;
    for (std::int64_t w = blockIdx.x * kThreads + threadIdx.x; w < words; w += kBlocks * kThreads)
      sum += digest_of_word(data[w], before + w);
    before += words;
  }
  for (int d = 16; d > 0; d /= 2)
    sum += __shfl_down_sync(0xFFFFFFFFU, sum, d);
  if (threadIdx.x % 32 == 0) atomicAdd(c.digest, sum);
}

template <class Params>
cudaError_t launch(void (*kernel)(Params), const Params& params, bool chained,
                   cudaStream_t stream) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(kBlocks);
  config.blockDim = dim3(kThreads);
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = chained ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, params);
}

}  // namespace

cudaError_t launch_production(const Production& p, bool chained, cudaStream_t stream) {
  return launch(produce, p, chained, stream);
}

cudaError_t launch_consumption(const Consumption& c, bool chained, cudaStream_t stream) {
  return launch(consume, c, chained, stream);
}

}  // namespace pleat::test
