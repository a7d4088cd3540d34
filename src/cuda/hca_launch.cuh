// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "cuda/hca.cuh"
#include "cuda/launch.cuh"

namespace pleat::cuda {

inline constexpr int kHcaPageRows = 8;   ///< state pages of the special layout
inline constexpr int kHcaCacheRows = 2;  ///< rows of a cache page of 256 tokens

inline constexpr int kHcaSharedLimit =
    HcaMemory::ape + HcaMemory::ape_bytes + HcaMemory::found_bytes;

inline int hca_shared(const FoldParams& p) {
  return HcaMemory::ape + (p.ape != nullptr ? HcaMemory::ape_bytes : 0) +
         (p.plan == nullptr ? HcaMemory::found_bytes : 0);
}

/// What the first launch of a kernel finds out: its shared memory raised, and how many clusters the
/// device runs at once (GPCs differ in size, so it is not the multiprocessors' number that says
/// it).
struct Resident {
  cudaError_t error = cudaSuccess;
  int clusters = 0;
};

template <class Kernel>
Resident resident_clusters(Kernel* kernel, int cluster, int shared) {
  Resident r;
  r.error = allow_shared(kernel, kHcaSharedLimit);
  if (r.error != cudaSuccess) return r;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = static_cast<unsigned>(cluster);
  attribute.val.clusterDim.y = 1;
  attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(cluster));
  config.blockDim = dim3(kHcaThreads);
  config.dynamicSmemBytes = static_cast<std::size_t>(shared);
  config.attrs = &attribute;
  config.numAttrs = 1;
  r.error = cudaOccupancyMaxActiveClusters(&r.clusters, kernel, &config);
  return r;
}

template <class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast>
cudaError_t launch_hca_kernel(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  auto* kernel = hca_kernel<Hca, S, P, PageRows, CacheRows, Cluster, Fast>;
  const int shared = hca_shared(p);
  FoldParams q = p;
  if constexpr (Cluster > 1) {
    static PerDevice<Resident> resident[2];  // without and with a position bias
    const bool biased = p.ape != nullptr;
    const Resident& r = resident[biased].get([&] {
      return resident_clusters(kernel, Cluster,
                               HcaMemory::ape + (biased ? HcaMemory::ape_bytes : 0));
    });
    if (r.error != cudaSuccess) return r.error;
    if (p.plan != nullptr && r.clusters > 0) {
      // clusters that wait for others to end would double the time, so they take turns; on a decode
      // step, where the rows to save are most of the work, fewer, for those to start at once
      const int saving = p.tokens <= kSaveUnasked ? t.save_blocks / Cluster : 0;
      const int place = r.clusters - saving > r.clusters / 4 ? r.clusters - saving : r.clusters / 4;
      q.fold_blocks = std::min(t.fold_blocks, place * Cluster);
    }
  } else {
    static PerDevice<cudaError_t> ready;
    const cudaError_t e = ready.get([&] { return allow_shared(kernel, kHcaSharedLimit); });
    if (e != cudaSuccess) return e;
  }
  return launch(kernel, q.fold_blocks + t.save_blocks, kHcaThreads, Cluster, shared, t.chained,
                stream, q);
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
