// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/checked.hpp"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <vector>

#include "api/checked.hpp"

namespace pleat::cuda {

namespace {

/// Host copies of device views, alive as long as the check.
class HostCopies {
 public:
  cudaError_t take(TensorView& v) {
    if (!v.given() || v.data == nullptr || v.shape[0] == 0) return cudaSuccess;
    std::int64_t last = 0;
    for (int d = 0; d < v.rank; ++d)
      last += (v.shape[d] - 1) * v.stride[d];
    kept_.emplace_back(static_cast<std::size_t>((last + 1) * size_of(v.dtype)));
    const void* device = v.data;
    v.data = kept_.back().data();
    return cudaMemcpy(v.data, device, kept_.back().size(), cudaMemcpyDeviceToHost);
  }

 private:
  std::vector<std::vector<std::byte>> kept_;
};

}  // namespace

Status check_indices(Op op, const Call& call, void* stream) {
  Call host = call;
  host.plan = {};
  HostCopies copies;
  cudaError_t e = cudaStreamSynchronize(static_cast<cudaStream_t>(stream));
  for (TensorView* v : {&host.batch.positions, &host.batch.token_to_req, &host.batch.state_slots,
                        &host.batch.kv_slots, &host.state.block_table}) {
    if (e == cudaSuccess) e = copies.take(*v);
  }
  if (e != cudaSuccess) {
    (void)cudaGetLastError();
    return {StatusCode::device_error, std::string("checked mode: ") + cudaGetErrorString(e)};
  }
  return api::check_indices(op, host);
}

}  // namespace pleat::cuda
