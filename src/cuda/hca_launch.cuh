// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/hca.cuh"
#include "cuda/launch.cuh"

namespace pleat::cuda {

inline constexpr int kHcaPageRows = 8;   ///< state pages of the special layout
inline constexpr int kHcaCacheRows = 2;  ///< rows of a cache page of 256 tokens

template <class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
cudaError_t launch_hca_kernel(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  auto* kernel = hca_kernel<Hca, S, P, PageRows, CacheRows, Cluster, Fast>;
  constexpr int shared = kApeBytes<Hca, Cluster>;
  if constexpr (shared > 0) {
    static const cudaError_t raised =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
    if (raised != cudaSuccess) return raised;
  }
  return launch(kernel, t.fold_blocks + t.save_blocks, kHcaThreads, Cluster, shared, t.chained,
                stream, p);
}

template <class S, class P, int PageRows, int CacheRows>
cudaError_t launch_hca_layout(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  if (t.cluster == 8) {
    return t.fast ? launch_hca_kernel<S, P, PageRows, CacheRows, 8, true>(p, t, stream)
                  : launch_hca_kernel<S, P, PageRows, CacheRows, 8, false>(p, t, stream);
  }
  return t.fast ? launch_hca_kernel<S, P, PageRows, CacheRows, 1, true>(p, t, stream)
                : launch_hca_kernel<S, P, PageRows, CacheRows, 1, false>(p, t, stream);
}

template <class S>
cudaError_t launch_hca_state(const FoldParams& p, const FoldTuning& t, bool projection_bf16,
                             cudaStream_t stream) {
  if (t.special) {
    return projection_bf16 ? launch_hca_layout<S, Bf16, kHcaPageRows, kHcaCacheRows>(p, t, stream)
                           : launch_hca_layout<S, float, kHcaPageRows, kHcaCacheRows>(p, t, stream);
  }
  return projection_bf16 ? launch_hca_layout<S, Bf16, 0, 0>(p, t, stream)
                         : launch_hca_layout<S, float, 0, 0>(p, t, stream);
}

}  // namespace pleat::cuda
