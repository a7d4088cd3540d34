// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/hca_fold.cuh"
#include "cuda/save.cuh"

// The kernel of windows of many groups (HCA: 128 rows).
namespace pleat::cuda {

/// Devices without clusters have no code for them.
#if __CUDA_ARCH__ >= 900
inline constexpr bool kHasClusters = true;
#else
inline constexpr bool kHasClusters = false;
#endif

/// Blocks of a multiprocessor. Some kernels need more registers than two leave them: those that
/// look up where each row lies, and the fast ones whose rows are of two types. \p Alone: one is all
/// that the call has, and more registers make it faster. tuning.cpp counts on it.
template <class S, class P, int PageRows, bool Fast, bool Alone>
inline constexpr int kHcaResident = PageRows > 0 && (sizeof(S) == sizeof(P) || !Fast) && !Alone ? 2
                                                                                                : 1;

/// Blocks that fold, in clusters or not, then blocks that save state rows.
template <class G, class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast,
          bool Alone>
__global__ void __launch_bounds__(kHcaThreads, kHcaResident<S, P, PageRows, Fast, Alone>)
    hca_kernel(const __grid_constant__ FoldParams p) {
  static_assert(G::tiles % Cluster == 0);
  extern __shared__ uint4 dynamic_memory[];
  uint4* const dynamic = aligned_dynamic(dynamic_memory);
  if constexpr (Cluster > 1 && !kHasClusters) {
    __trap();
  } else {
    if (static_cast<int>(blockIdx.x) >= p.shares.blocks) {
      save_rows<G, S, P, kHcaThreads>(p, static_cast<int>(blockIdx.x) - p.shares.blocks,
                                      static_cast<int>(gridDim.x) - p.shares.blocks,
                                      reinterpret_cast<SaveItem*>(dynamic));
    } else {
      fold_windows<G, S, P, PageRows, CacheRows, Cluster, Fast>(p, dynamic);
    }
  }
}

}  // namespace pleat::cuda
