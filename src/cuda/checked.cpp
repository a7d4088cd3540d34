// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/checked.hpp"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <vector>

#include "api/checked.hpp"
#include "api/pair.hpp"
#include "api/plan_check.hpp"

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
    return take(v.data, (last + 1) * size_of(v.dtype));
  }
  cudaError_t take(PlanView& v) {
    return v.data == nullptr ? cudaSuccess : take(v.data, plan_bytes(v.capacity));
  }

 private:
  cudaError_t take(void*& data, std::int64_t bytes) {
    kept_.emplace_back(static_cast<std::size_t>(bytes));
    const void* device = data;
    data = kept_.back().data();
    return cudaMemcpy(data, device, kept_.back().size(), cudaMemcpyDeviceToHost);
  }

  std::vector<std::vector<std::byte>> kept_;
};

/// The call with the arrays that checked mode looks at, and the plan, in host memory.
class OnHost {
 public:
  OnHost(Op op, const Call& device) : call(device) {
    if (op == Op::plan) call.plan = {};  // an output
    error = copies_.take(call.plan);
    for (TensorView* v : {&call.batch.positions, &call.batch.token_to_req, &call.batch.state_slots,
                          &call.batch.kv_slots, &call.state.block_table, &call.weights.fp8_scale}) {
      if (error == cudaSuccess) error = copies_.take(*v);
    }
  }

  Call call;
  cudaError_t error = cudaSuccess;

 private:
  HostCopies copies_;
};

Status status_of(cudaError_t e) {
  if (e == cudaSuccess) return {};
  (void)cudaGetLastError();
  return {StatusCode::device_error, std::string("checked mode: ") + cudaGetErrorString(e)};
}

Status wait_for(void* stream) {
  return status_of(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

}  // namespace

Status check_indices(Op op, const Call& call, void* stream) {
  if (Status s = wait_for(stream); !s.ok()) return s;
  const OnHost host(op, call);
  if (Status s = status_of(host.error); !s.ok()) return s;
  if (Status s = api::check_plan_header(op, host.call); !s.ok()) return s;
  return api::check_indices(op, host.call);
}

Status check_pair_indices(const Call& main, const Call& indexer, void* stream) {
  if (Status s = wait_for(stream); !s.ok()) return s;
  const OnHost first(Op::step, main);
  if (Status s = status_of(first.error); !s.ok()) return s;
  const OnHost second(Op::step, indexer);
  if (Status s = status_of(second.error); !s.ok()) return s;
  if (Status s = api::check_pair_plan(first.call, second.call); !s.ok()) return s;
  return api::check_pair_indices(first.call, second.call);
}

}  // namespace pleat::cuda
