// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/plan.cuh"

namespace pleat::cuda {

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
    return launch_plan_kernel(p, out, geometry, clusters, chained, stream);
  });
}

}  // namespace pleat::cuda
