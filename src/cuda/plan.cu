// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/plan.cuh"

#include "cuda/launch.cuh"

namespace pleat::cuda {

namespace {

template <class G>
cudaError_t launch_geometry(const FoldParams& p, const PlanParams& out, bool clusters, bool chained,
                            cudaStream_t stream) {
  if (clusters && p.tokens > kOneBlockTokens) {
    return launch(plan_kernel<G, 8, kPlanTokens>, 8, kPlanThreads, 8, 0, chained, stream, p, out,
                  G{});
  }
  if (p.tokens > kPlanThreads) {
    return launch(plan_kernel<G, 1, kPlanTokens>, 1, kPlanThreads, 1, 0, chained, stream, p, out,
                  G{});
  }
  const int threads = p.tokens > 0 ? (p.tokens + 31) / 32 * 32 : 32;
  return launch(plan_kernel<G, 1, 1>, 1, threads, 1, 0, chained, stream, p, out, G{});
}

}  // namespace

cudaError_t code_of_device(int* architecture) {
  cudaFuncAttributes attributes{};
  const cudaError_t e = cudaFuncGetAttributes(&attributes, plan_kernel<Hca, 1, 1>);
  *architecture = e == cudaSuccess ? attributes.ptxVersion : 0;
  if (e != cudaErrorNoKernelImageForDevice && e != cudaErrorInvalidDeviceFunction) return e;
  (void)cudaGetLastError();
  return cudaSuccess;
}

cudaError_t launch_plan(const FoldParams& p, const Call& call, bool clusters, bool chained,
                        cudaStream_t stream) {
  const PlanPointers to = plan_pointers(call.plan.data, call.plan.capacity);
  const PlanParams out{to.header, to.entries, to.saves, plan_header(call), lists_saves(call)};
  const Geometry& g = call.compressor.geometry;
  if (!is_compiled(g)) return launch_any_plan(p, out, g, clusters, chained, stream);
  return with_geometry(g, [&](auto geometry) {
    return launch_geometry<decltype(geometry)>(p, out, clusters, chained, stream);
  });
}

}  // namespace pleat::cuda
