// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "cuda/hca.cuh"
#include "cuda/launch.cuh"

namespace pleat::cuda {

inline constexpr int kHcaPageRows = 8;   ///< state pages of the special layout
inline constexpr int kHcaCacheRows = 2;  ///< rows of a cache page of 256 tokens

/// Dynamic shared memory of a launch.
template <class Memory>
constexpr int hca_shared(bool biased, bool planned) {
  return kSharedAlignment + Memory::ape + (biased ? Memory::ape_bytes : 0) +
         (planned ? 0 : Memory::found_bytes);
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
  r.error = allow_shared(kernel, hca_shared<HcaClusterMemory>(true, false));
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

template <class S, class P, int PageRows, int CacheRows, bool Fast>
cudaError_t launch_hca_clusters(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  auto* kernel = hca_kernel<Hca, S, P, PageRows, CacheRows, 8, Fast>;
  const bool biased = p.ape != nullptr;
  static PerDevice<Resident> resident[2];  // without and with a position bias
  const Resident& r = resident[biased].get([&] {
    return resident_clusters(kernel, t.cluster, hca_shared<HcaClusterMemory>(biased, true));
  });
  if (r.error != cudaSuccess) return r.error;
  FoldParams q = p;
  if (p.plan != nullptr && r.clusters > 0) {
    // clusters that wait for others to end would double the time, so they take turns; on a decode
    // step, where the rows to save are most of the work, fewer, for those to start at once
    const int saving = p.tokens <= kFewTokens ? t.save_blocks / t.cluster : 0;
    const int place = r.clusters - saving > r.clusters / 4 ? r.clusters - saving : r.clusters / 4;
    q.fold_blocks = std::min(t.fold_blocks, place * t.cluster);
  }
  return launch(kernel, q.fold_blocks + t.save_blocks, kHcaThreads, t.cluster,
                hca_shared<HcaClusterMemory>(biased, p.plan != nullptr), t.chained, stream, q);
}

template <class S, class P, int PageRows, int CacheRows, bool Fast>
cudaError_t launch_hca_blocks(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  auto* kernel = hca_kernel<Hca, S, P, PageRows, CacheRows, 1, Fast>;
  static PerDevice<cudaError_t> ready;
  const cudaError_t e =
      ready.get([&] { return allow_shared(kernel, hca_shared<HcaBlockMemory>(true, false)); });
  if (e != cudaSuccess) return e;
  return launch(kernel, t.fold_blocks + t.save_blocks, kHcaThreads, 1,
                hca_shared<HcaBlockMemory>(p.ape != nullptr, p.plan != nullptr), t.chained, stream,
                p);
}

template <class S, class P, int PageRows, int CacheRows>
cudaError_t launch_hca_layout(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  if (t.cluster > 1) {
    return t.fast ? launch_hca_clusters<S, P, PageRows, CacheRows, true>(p, t, stream)
                  : launch_hca_clusters<S, P, PageRows, CacheRows, false>(p, t, stream);
  }
  return t.fast ? launch_hca_blocks<S, P, PageRows, CacheRows, true>(p, t, stream)
                : launch_hca_blocks<S, P, PageRows, CacheRows, false>(p, t, stream);
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
