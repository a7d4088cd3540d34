// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/hca.cuh"
#include "cuda/launch.cuh"
#include "cuda/tuning.hpp"

namespace pleat::cuda {

inline constexpr int kHcaPageRows = 8;  ///< state pages of the special layout
inline constexpr int kHcaCacheRows = kCachePageTokens / Hca::ratio;

/// What the first launch of a kernel finds out about a device: how much dynamic shared memory a
/// block may have, and how many windows run at once without and with a position bias, by clusters
/// (GPCs differ in size, so it is not the multiprocessors' number that says it) and by blocks that
/// are none.
struct HcaRoom {
  cudaError_t error = cudaSuccess;
  int shared = 0;
  int clusters[2] = {};
  int loose[2] = {};
  bool may_have_one_slot = false;  ///< the code that runs there was compiled for it
};

template <int Cluster>
constexpr int hca_slots(int room, bool biased, bool planned) {
  return HcaMemory<Cluster>::bytes(kSlots, biased, planned) <= room ? kSlots : 1;
}

template <int Cluster, class Kernel>
HcaRoom find_room(Kernel* kernel) {
  HcaRoom r;
  int device = 0;
  int most = 0;
  cudaFuncAttributes attributes{};
  r.error = cudaGetDevice(&device);
  if (r.error == cudaSuccess) {
    r.error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  }
  int multiprocessors = 0;
  if (r.error == cudaSuccess) {
    r.error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (r.error == cudaSuccess) r.error = cudaFuncGetAttributes(&attributes, kernel);
  if (r.error != cudaSuccess) return r;
  r.may_have_one_slot = may_have_one_slot(attributes.ptxVersion);
  r.shared = std::min(most - static_cast<int>(attributes.sharedSizeBytes),
                      HcaMemory<Cluster>::bytes(kSlots, true, false));
  r.error = allow_shared(kernel, r.shared);
  if (r.error != cudaSuccess || Cluster == 1) return r;
  for (const bool biased : {false, true}) {
    const int slots = hca_slots<Cluster>(r.shared, biased, true);
    cudaLaunchAttribute attribute = cluster_attribute(Cluster);
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(Cluster);
    config.blockDim = dim3(kHcaThreads);
    config.dynamicSmemBytes =
        static_cast<std::size_t>(HcaMemory<Cluster>::bytes(slots, biased, true));
    config.attrs = &attribute;
    config.numAttrs = 1;
    r.error = cudaOccupancyMaxActiveClusters(&r.clusters[biased], kernel, &config);
    if (r.error != cudaSuccess) return r;
    int blocks = 0;  // of a multiprocessor
    r.error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kHcaThreads,
                                                            config.dynamicSmemBytes);
    if (r.error != cudaSuccess) return r;
    r.loose[biased] = blocks * multiprocessors / Cluster;
  }
  return r;
}

template <class S, class P, int PageRows, int CacheRows, int Cluster, bool Fast, bool Alone = false>
cudaError_t launch_hca_cluster(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  auto* kernel = hca_kernel<Hca, S, P, PageRows, CacheRows, Cluster, Fast, Alone>;
  static PerDevice<HcaRoom> known;
  const HcaRoom room = known.get([&] { return find_room<Cluster>(kernel); });
  if (room.error != cudaSuccess) return room.error;
  const bool biased = p.ape != nullptr;
  const bool planned = p.plan != nullptr;
  FoldParams q = p;
  q.tile_slots = hca_slots<Cluster>(room.shared, biased, planned);
  if (q.tile_slots < kSlots && !room.may_have_one_slot) return cudaErrorNoKernelImageForDevice;
  // Only sums of squares cross blocks. Pooled rows have none: theirs need no cluster, and run
  // wherever there is room for one.
  const bool joined = p.output == Output::cache;
  const int at_once = joined ? room.clusters[biased] : room.loose[biased];
  if (planned && at_once > 0) {
    // on a decode step the rows to save are most of the work, and their blocks start at once
    const int saving = p.tokens <= kFewTokens ? t.save_blocks / Cluster : 0;
    q.shares.blocks = std::min(t.shares.blocks, clusters_that_fold(at_once, saving) * Cluster);
  }
  return launch(kernel, q.shares.blocks + t.save_blocks, kHcaThreads, joined ? Cluster : 1,
                HcaMemory<Cluster>::bytes(q.tile_slots, biased, planned), t.chained, stream, q);
}

template <class S, class P, int PageRows, int CacheRows>
cudaError_t launch_hca_layout(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  const auto launch_as = [&]<int Cluster>(std::integral_constant<int, Cluster>) {
    return t.fast ? launch_hca_cluster<S, P, PageRows, CacheRows, Cluster, true>(p, t, stream)
                  : launch_hca_cluster<S, P, PageRows, CacheRows, Cluster, false>(p, t, stream);
  };
  if constexpr (PageRows > 0) {
    if (t.alone) return launch_hca_cluster<S, P, PageRows, CacheRows, 2, false, true>(p, t, stream);
    if (t.cluster == 2) return launch_as(std::integral_constant<int, 2>{});
  }
  return t.cluster == 8 ? launch_as(std::integral_constant<int, 8>{})
                        : launch_as(std::integral_constant<int, 1>{});
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
