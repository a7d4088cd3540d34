// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/save.cuh"

#include "cuda/launch.cuh"

namespace pleat::cuda {

namespace {

inline constexpr int kSaveThreads = 128;

template <class G, class S, class P>
__global__ void __launch_bounds__(kSaveThreads, 6)
    save_kernel(const __grid_constant__ FoldParams p) {
  __shared__ SaveItem found[kSaveThreads];
  save_rows<G, S, P, kSaveThreads>(p, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x),
                                   found);
}

template <class G>
cudaError_t launch_rows(const FoldParams& p, const FoldTuning& t, const Types& types,
                        cudaStream_t stream) {
  auto* kernel =
      types.state_bf16
          ? (types.projection_bf16 ? save_kernel<G, Bf16, Bf16> : save_kernel<G, Bf16, float>)
          : (types.projection_bf16 ? save_kernel<G, float, Bf16> : save_kernel<G, float, float>);
  return launch(kernel, t.save_blocks, kSaveThreads, 1, 0, t.chained, stream, p);
}

}  // namespace

cudaError_t launch_save(const FoldParams& p, const FoldTuning& t, const Types& types,
                        const Geometry& g, cudaStream_t stream) {
  if (!is_compiled(g)) return launch_any_save(p, t, types, g, stream);
  return with_geometry(
      g, [&](auto geometry) { return launch_rows<decltype(geometry)>(p, t, types, stream); });
}

}  // namespace pleat::cuda
