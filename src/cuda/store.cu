// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/store.cuh"

#include "cuda/launch.cuh"

namespace pleat::cuda {

namespace {

template <class G>
cudaError_t launch_rows(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  auto* kernel = t.special ? store_kernel<G, kCachePageTokens / G::ratio> : store_kernel<G, 0>;
  return launch(kernel, t.shares.blocks, kStoreThreads, 1, 0, t.chained, stream, p);
}

}  // namespace

cudaError_t launch_store(const FoldParams& p, const FoldTuning& t, const Geometry& g,
                         cudaStream_t stream) {
  if (!is_compiled(g)) return launch_any_store(p, t, g, stream);
  return with_geometry(
      g, [&](auto geometry) { return launch_rows<decltype(geometry)>(p, t, stream); });
}

}  // namespace pleat::cuda
