// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/store.cuh"

#include "cuda/launch.cuh"

namespace pleat::cuda {

namespace {

template <class G, int CacheRows>
cudaError_t launch_rows(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  auto* kernel = t.special ? store_kernel<G, CacheRows> : store_kernel<G, 0>;
  return launch(kernel, t.shares.blocks, kStoreThreads, 1, 0, t.chained, stream, p);
}

}  // namespace

cudaError_t launch_store(const FoldParams& p, const FoldTuning& t, const Geometry& g,
                         cudaStream_t stream) {
  if (g == Hca::value) return launch_rows<Hca, 2>(p, t, stream);
  if (g == Csa::value) return launch_rows<Csa, 64>(p, t, stream);
  return launch_rows<Indexer, 64>(p, t, stream);
}

}  // namespace pleat::cuda
