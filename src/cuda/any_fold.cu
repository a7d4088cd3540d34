// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/any_fold.cuh"

#include "cuda/any_finish.cuh"
#include "cuda/launch.cuh"

// Windows of any geometry to pooled rows, to cache rows, or from the one to the other. A block has
// a window at a time.

namespace pleat::cuda {

namespace {

/// The windows of a block: its part of the plan's, or of those in a chunk of tokens. Several blocks
/// may look through one chunk; their number is a multiple of that of the chunks.
__device__ __forceinline__ WindowList any_windows(const FoldParams& p, const AnyGeometry& g,
                                                  PlanEntry* found) {
  const auto block = static_cast<std::int32_t>(blockIdx.x);
  const auto blocks = static_cast<std::int32_t>(gridDim.x);
  if (p.plan != nullptr) return plan_windows(p, block, blocks);
  const std::int32_t sharing = blocks / ((p.tokens - 1) / kScanThreads + 1);
  return scan_chunk(g, p, block / sharing, block % sharing, sharing, found);
}

/// Ops compress, compress_store and step but for its save: no state row is written.
template <bool Fast>
__global__ void __launch_bounds__(kAnyThreads, kAnyFoldBlocks)
    any_fold_kernel(const __grid_constant__ FoldParams p, const __grid_constant__ AnyGeometry g,
                    const __grid_constant__ Types types) {
  extern __shared__ uint4 dynamic[];
  __shared__ PlanEntry found[kScanThreads];
  __shared__ double tiles[kMostTiles];
  auto* shared = reinterpret_cast<std::uint8_t*>(dynamic);
  const int threads = static_cast<int>(blockDim.x);
  auto* pooled =
      reinterpret_cast<float*>(shared + any_shared(g.window, g.head_dim, threads).pooled);
  const bool stores = p.output == Output::cache;
  wait_for_rows();
  const WindowList list = any_windows(p, g, found);
#pragma unroll 1
  for (std::int32_t i = list.first; i < list.count; i += list.stride) {
    const PlanEntry e = list.entries[i];
    const std::int64_t slot = stores ? p.kv_slots[e.token] : 0;
    if (slot < 0) continue;  // the whole block goes on
    const AnyWindow w = window_of(p, g, e, shared);
    __syncthreads();  // the last window's rows are no longer needed
    find_rows(p, g, types, w);
    __syncthreads();
#pragma unroll 1
    for (std::int32_t c = static_cast<std::int32_t>(threadIdx.x); c < g.head_dim; c += threads) {
      const float x = pool_any_channel<Fast>(p, g, types, w, c);
      if (stores) {
        pooled[c] = x;
      } else {
        p.compressed[e.token * p.compressed_stride + c] = x;
      }
    }
    if (!stores) continue;
    __syncthreads();
    finish_row(p, g, e, slot, pooled, tiles);
  }
}

/// Op norm_rope_store.
__global__ void __launch_bounds__(kAnyThreads, 4)
    any_store_kernel(const __grid_constant__ FoldParams p, const __grid_constant__ AnyGeometry g) {
  extern __shared__ uint4 dynamic[];
  __shared__ PlanEntry found[kScanThreads];
  __shared__ double tiles[kMostTiles];
  auto* pooled = reinterpret_cast<float*>(dynamic);
  wait_for_rows();
  const WindowList list = any_windows(p, g, found);
#pragma unroll 1
  for (std::int32_t i = list.first; i < list.count; i += list.stride) {
    const PlanEntry e = list.entries[i];
    const std::int64_t slot = p.kv_slots[e.token];
    if (slot < 0) continue;
    __syncthreads();
#pragma unroll 1
    for (std::int32_t c = static_cast<std::int32_t>(threadIdx.x); c < g.head_dim;
         c += static_cast<std::int32_t>(blockDim.x)) {
      pooled[c] = p.compressed[e.token * p.compressed_stride + c];
    }
    __syncthreads();
    finish_row(p, g, e, slot, pooled, tiles);
  }
}

}  // namespace

cudaError_t launch_any_fold(const FoldParams& p, const FoldTuning& t, const Types& types,
                            const Geometry& g, cudaStream_t stream) {
  auto* kernel = t.fast ? any_fold_kernel<true> : any_fold_kernel<false>;
  static PerDevice<Ready> ready[2];
  const Ready r = ready[t.fast].get([&] { return Ready{allow_shared(kernel, kAnySharedMost)}; });
  if (r.error != cudaSuccess) return r.error;
  const int threads = any_threads(g.head_dim);
  return launch(kernel, t.shares.blocks, threads, 1,
                any_shared(g.window(), g.head_dim, threads).bytes, t.chained, stream, p,
                any_geometry(g), types);
}

cudaError_t launch_any_store(const FoldParams& p, const FoldTuning& t, const Geometry& g,
                             cudaStream_t stream) {
  return launch(any_store_kernel, t.shares.blocks, any_threads(g.head_dim), 1, 4 * g.head_dim,
                t.chained, stream, p, any_geometry(g));
}

}  // namespace pleat::cuda
