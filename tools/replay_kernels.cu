// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tools/generator.hpp"
#include "tools/replay_device.hpp"
#include "tools/replay_kernels.cuh"
#include "tools/row_digest.hpp"

namespace pleat::tools {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr std::int64_t kMostBlocks = 4096;  ///< of the kernels that loop

unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return static_cast<unsigned>(
      std::clamp<std::int64_t>((items + per_block - 1) / per_block, 1, kMostBlocks));
}

__device__ __forceinline__ std::int64_t global_thread() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ std::int64_t all_threads() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

__device__ __forceinline__ void store_four(float* out, RowKey key, std::uint32_t channel,
                                           bool padding) {
  float4 v;
  v.x = v.y = v.z = v.w = __uint_as_float(0x7FC00000U);
  if (!padding) {
    v = {channel_value(key, channel), channel_value(key, channel + 1),
         channel_value(key, channel + 2), channel_value(key, channel + 3)};
  }
  *reinterpret_cast<float4*>(out + channel) = v;
}

__device__ __forceinline__ void store_four(std::uint16_t* out, RowKey key, std::uint32_t channel,
                                           bool padding) {
  ushort4 v{0x7FFF, 0x7FFF, 0x7FFF, 0x7FFF};
  if (!padding) {
    v = {channel_value_bf16(key, channel), channel_value_bf16(key, channel + 1),
         channel_value_bf16(key, channel + 2), channel_value_bf16(key, channel + 3)};
  }
  *reinterpret_cast<ushort4*>(out + channel) = v;
}

/// A block a token.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    generate_kernel(TokenArrays in, std::uint64_t layer_key, std::int64_t width, T* out) {
  const std::int64_t t = blockIdx.x;
  const std::int32_t request = in.requests[t];
  const bool padding = request == StepInput::kPadding;
  RowKey key{};
  if (!padding) key = row_key(layer_key, {request, in.positions[t], in.attempts[t]});
  for (std::int64_t c = threadIdx.x * 4; c < width; c += kThreads * 4) {
    store_four(out + t * width, key, static_cast<std::uint32_t>(c), padding);
  }
}

__global__ void update_kernel(std::int32_t* table, std::int64_t blocks, const TableUpdate* updates,
                              std::int64_t count) {
  for (std::int64_t i = global_thread(); i < count; i += all_threads()) {
    table[updates[i].slot * blocks + updates[i].block] = updates[i].page;
  }
}

__device__ __forceinline__ int words_of(const DeviceCache& cache) {
  return (cache.value_bytes + cache.scale_bytes) / 4;
}
__device__ __forceinline__ std::uint32_t word_of(const DeviceCache& cache, const DeviceRow& row,
                                                 int w) {
  const std::int64_t at =
      w * 4 < cache.value_bytes ? row.values + w * 4 : row.scales + (w * 4 - cache.value_bytes);
  return *reinterpret_cast<const std::uint32_t*>(cache.memory + at);
}

/// The grid's y is the layer; a warp a row. Sums of 64-bit integers come out the same in any order.
__global__ void __launch_bounds__(kThreads) digest_kernel(RowsToDigest all, std::uint64_t* sums) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const DeviceCache cache = all.caches[blockIdx.y];
  const RowRange range = all.kinds[cache.kind];
  const int words = words_of(cache);
  for (std::int64_t i = range.first + global_thread() / kWarp; i < range.last;
       i += all_threads() / kWarp) {
    const DeviceRow row = all.rows[i];
    std::uint64_t sum = 0;
    for (int w = lane; w < words; w += kWarp)
      sum += word_digest(word_of(cache, row, w), static_cast<std::uint32_t>(w));
    for (int d = kWarp / 2; d > 0; d /= 2)
      sum += __shfl_down_sync(0xFFFFFFFFU, sum, d);
    if (lane == 0) {
      atomicAdd(
          reinterpret_cast<unsigned long long*>(sums + row.which * all.requests + row.request),
          static_cast<unsigned long long>(row_digest(sum, cache.identity, row.request, row.row)));
    }
  }
}

/// A warp a row.
__global__ void __launch_bounds__(kThreads) gather_kernel(const DeviceRow* rows, std::int64_t count,
                                                          DeviceCache cache, std::uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int words = words_of(cache);
  for (std::int64_t i = global_thread() / kWarp; i < count; i += all_threads() / kWarp) {
    const DeviceRow row = rows[i];
    for (int w = lane; w < words; w += kWarp)
      out[i * words + w] = word_of(cache, row, w);
  }
}

__global__ void fill_words_kernel(std::uint32_t* words, std::size_t count, std::uint32_t word) {
  for (auto i = static_cast<std::size_t>(global_thread()); i < count;
       i += static_cast<std::size_t>(all_threads())) {
    words[i] = word;
  }
}

/// A block a page, in turns.
__global__ void stray_kernel(const std::uint8_t* data, std::int64_t from, std::int64_t to,
                             std::int64_t stride, std::int64_t pages, std::uint32_t word,
                             std::uint64_t* strays) {
  unsigned long long n = 0;
  for (std::int64_t p = blockIdx.x; p < pages; p += gridDim.x) {
    for (std::int64_t i = from + threadIdx.x; i < to; i += blockDim.x) {
      n += data[p * stride + i] != static_cast<std::uint8_t>(word >> (i % 4 * 8));
    }
  }
  if (n > 0) atomicAdd(reinterpret_cast<unsigned long long*>(strays), n);
}

__global__ void hold_kernel(std::uint64_t nanoseconds) {
  const auto now = [] {
    std::uint64_t t = 0;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
    return t;
  };
  const std::uint64_t start = now();
  while (now() - start < nanoseconds) {
  }
}

}  // namespace

cudaError_t generate_projections(const TokenArrays& tokens, std::uint64_t layer_key,
                                 std::int64_t width, bool bf16, void* out, cudaStream_t stream) {
  if (tokens.tokens == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>(tokens.tokens);
  if (bf16) {
    generate_kernel<<<blocks, kThreads, 0, stream>>>(tokens, layer_key, width,
                                                     static_cast<std::uint16_t*>(out));
  } else {
    generate_kernel<<<blocks, kThreads, 0, stream>>>(tokens, layer_key, width,
                                                     static_cast<float*>(out));
  }
  return cudaGetLastError();
}

cudaError_t update_table(std::int32_t* table, std::int64_t blocks, const TableUpdate* updates,
                         std::int64_t count, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  update_kernel<<<blocks_for(count, kThreads), kThreads, 0, stream>>>(table, blocks, updates,
                                                                      count);
  return cudaGetLastError();
}

cudaError_t add_row_digests(const RowsToDigest& all, std::int64_t longest, std::uint64_t* sums,
                            cudaStream_t stream) {
  if (longest == 0 || all.layers == 0) return cudaSuccess;
  const auto most = static_cast<unsigned>(std::max<std::int64_t>(1, kMostBlocks / all.layers));
  const dim3 grid(std::min(blocks_for(longest, kThreads / kWarp), most),
                  static_cast<unsigned>(all.layers));
  digest_kernel<<<grid, kThreads, 0, stream>>>(all, sums);
  return cudaGetLastError();
}

cudaError_t gather_rows(const DeviceRow* rows, std::int64_t count, const DeviceCache& cache,
                        std::uint8_t* out, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  gather_kernel<<<blocks_for(count, kThreads / kWarp), kThreads, 0, stream>>>(
      rows, count, cache, reinterpret_cast<std::uint32_t*>(out));
  return cudaGetLastError();
}

cudaError_t fill_words(std::uint32_t* words, std::size_t count, std::uint32_t word,
                       cudaStream_t stream) {
  fill_words_kernel<<<blocks_for(static_cast<std::int64_t>(count), kThreads), kThreads, 0,
                      stream>>>(words, count, word);
  return cudaGetLastError();
}

cudaError_t count_strays(const std::uint8_t* data, std::int64_t from, std::int64_t to,
                         std::int64_t stride, std::int64_t pages, std::uint32_t word,
                         std::uint64_t* strays, cudaStream_t stream) {
  if (pages == 0 || from >= to) return cudaSuccess;
  stray_kernel<<<blocks_for(pages, 1), kThreads, 0, stream>>>(data, from, to, stride, pages, word,
                                                              strays);
  return cudaGetLastError();
}

cudaError_t hold(std::uint32_t microseconds, cudaStream_t stream) {
  hold_kernel<<<1, 1, 0, stream>>>(static_cast<std::uint64_t>(microseconds) * 1000);
  return cudaGetLastError();
}

}  // namespace pleat::tools
