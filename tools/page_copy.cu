// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/page_copy.cuh"

#include <algorithm>

#include "cuda/device.cuh"

namespace pleat::tools {
namespace {

constexpr int kSlots = 6;  // of a page each: 192 KiB of the 227 that a block can have
constexpr int kWarp = 32;

/// Pages of a block: `each`, and one more of the first `more` blocks.
struct PageShares {
  std::int32_t each;
  std::int32_t more;
};

#if __CUDA_ARCH__ >= 900

/// Orders what this thread did with shared memory before bulk copies that it issues later.
__device__ __forceinline__ void fence_before_bulk_copies() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Copies `bytes` to shared memory and counts them at `bar`.
__device__ __forceinline__ void copy_bulk(std::uint32_t shared, const void* global,
                                          std::uint32_t bytes, std::uint64_t* bar) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1], %2, [%3];" ::"r"(shared),
      "l"(global), "r"(bytes), "r"(cuda::shared_address(bar))
      : "memory");
}

#endif

/// A block is a warp: its lanes look pages up in the table, and the first copies them.
__global__ void __launch_bounds__(kWarp)
    copy_kernel(const __grid_constant__ PagedWindows w, const __grid_constant__ PageShares shares,
                std::uint32_t* first_words) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ uint4 dynamic_memory[];
  __shared__ std::uint64_t arrived[kSlots];
  const std::uint32_t slots = cuda::shared_address(cuda::aligned_dynamic(dynamic_memory));
  const auto bytes = static_cast<std::uint32_t>(w.page_bytes);
  const int lane = static_cast<int>(threadIdx.x);
  const int block = static_cast<int>(blockIdx.x);
  const int first = block * shares.each + min(block, shares.more);
  const int count = shares.each + (block < shares.more ? 1 : 0);
  const auto look_up = [&](int k) {
    if (k >= count) return 0;
    const int window = (first + k) / w.window_pages;
    return w.table[window * w.table_stride + (first + k) % w.window_pages];
  };
  // Page k is the (k / kSlots)th of its slot, whose barrier has a phase for each.
  const auto wait_for = [&](int k) {
    cuda::barrier_wait(&arrived[k % kSlots], static_cast<std::uint32_t>(k / kSlots % 2));
    if (first_words == nullptr) return;
    first_words[first + k] =
        cuda::shared_word(slots + static_cast<std::uint32_t>(k % kSlots) * bytes);
    fence_before_bulk_copies();
  };
  if (lane == 0) {
    for (std::uint64_t& bar : arrived)
      cuda::barrier_init(&bar, 1);
    fence_before_bulk_copies();
  }
  int page = 0;
  int next = look_up(lane);
  for (int k = 0; k < count; ++k) {
    if (k % kWarp == 0) {
      page = next;
      next = look_up(k + kWarp + lane);  // a latency that the copies in between hide
    }
    const std::int64_t from = __shfl_sync(0xFFFFFFFFU, page, k % kWarp);
    if (lane == 0) {
      if (k >= kSlots) wait_for(k - kSlots);
      const int slot = k % kSlots;
      cuda::barrier_expect(&arrived[slot], bytes);
      copy_bulk(slots + static_cast<std::uint32_t>(slot) * bytes,
                static_cast<const char*>(w.pages) + from * w.page_stride, bytes, &arrived[slot]);
    }
  }
  if (lane == 0) {  // shared memory is the block's only while it is there
    for (int k = max(0, count - kSlots); k < count; ++k)
      wait_for(k);
  }
#else
  __trap();  // can_copy_pages() says no
#endif
}

int shared_bytes(const PagedWindows& w) {
  return static_cast<int>(kSlots * w.page_bytes) + cuda::kSharedAlignment;
}

cudaError_t attribute_of_device(cudaDeviceAttr attribute, int& value) {
  int device = 0;
  const cudaError_t e = cudaGetDevice(&device);
  return e != cudaSuccess ? e : cudaDeviceGetAttribute(&value, attribute, device);
}

}  // namespace

bool can_copy_pages(const PagedWindows& w) {
  constexpr std::int64_t most = (1 << 20) - 1;  // bytes that a barrier can count
  const auto address = reinterpret_cast<std::uintptr_t>(w.pages);
  if (address % 16 != 0 || w.page_stride % 16 != 0 || w.page_bytes % 16 != 0) return false;
  if (w.page_bytes <= 0 || w.page_bytes > most || w.window_pages <= 0) return false;
  // The code that was chosen, not the device: of a build for sm_80 alone, sm_90 too has no other.
  cudaFuncAttributes kernel{};
  int shared = 0;
  if (cudaFuncGetAttributes(&kernel, copy_kernel) != cudaSuccess || kernel.ptxVersion < 90 ||
      attribute_of_device(cudaDevAttrMaxSharedMemoryPerBlockOptin, shared) != cudaSuccess) {
    return false;
  }
  return shared_bytes(w) + static_cast<int>(kernel.sharedSizeBytes) <= shared;
}

cudaError_t copy_pages_once(const PagedWindows& w, std::uint32_t* first_words,
                            cudaStream_t stream) {
  int processors = 0;
  cudaError_t e = attribute_of_device(cudaDevAttrMultiProcessorCount, processors);
  if (e != cudaSuccess) return e;
  const int shared = shared_bytes(w);
  e = cudaFuncSetAttribute(copy_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  if (e != cudaSuccess) return e;
  const std::int32_t pages = w.windows * w.window_pages;
  if (pages == 0) return cudaSuccess;
  const int blocks = std::min(pages, processors);
  copy_kernel<<<static_cast<unsigned>(blocks), kWarp, static_cast<std::size_t>(shared), stream>>>(
      w, {pages / blocks, pages % blocks}, first_words);
  return cudaGetLastError();
}

}  // namespace pleat::tools
