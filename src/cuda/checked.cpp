// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/checked.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "api/checked.hpp"
#include "api/extent.hpp"
#include "api/pair.hpp"
#include "api/plan_check.hpp"
#include "api/plan_layout.hpp"

namespace pleat::cuda {

namespace {

/// Host copies of device views, alive as long as the check.
class HostCopies {
 public:
  explicit HostCopies(cudaStream_t stream) : stream_(stream) {}

  cudaError_t take(TensorView& v) {
    const std::int64_t bytes = api::byte_extent(v).value_or(0);
    return v.given() && bytes > 0 ? take(v.data, bytes) : cudaSuccess;
  }
  /// The header and as much of the lists as it says that there is: no more of them was written.
  cudaError_t take(PlanView& v) {
    if (v.data == nullptr) return cudaSuccess;
    const PlanPointers device = plan_pointers(v.data, v.capacity);
    kept_.emplace_back(static_cast<std::size_t>(plan_bytes(v.capacity)));
    v.data = kept_.back().data();
    const PlanPointers host = plan_pointers(v.data, v.capacity);
    const auto copy = [this](auto* to, const auto* from, std::int64_t count) {
      return fetch(to, from, static_cast<std::size_t>(count) * sizeof(*to));
    };
    const auto listed = [&](std::int32_t count) {
      return std::clamp<std::int64_t>(count, 0, v.capacity);
    };
    if (cudaError_t e = copy(host.header, device.header, 1); e != cudaSuccess) return e;
    const cudaError_t e = copy(host.entries, device.entries, listed(host.header->closing));
    return e != cudaSuccess ? e : copy(host.saves, device.saves, listed(host.header->saves));
  }

 private:
  cudaError_t take(void*& data, std::int64_t bytes) {
    kept_.emplace_back(static_cast<std::size_t>(bytes));
    const void* device = data;
    data = kept_.back().data();
    return fetch(data, device, kept_.back().size());
  }
  /// On the call's stream: the default one would wait for all others, and spoil a capture of
  /// theirs.
  cudaError_t fetch(void* to, const void* from, std::size_t bytes) {
    const cudaError_t e = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_);
    return e != cudaSuccess ? e : cudaStreamSynchronize(stream_);
  }

  cudaStream_t stream_;
  std::vector<std::vector<std::byte>> kept_;
};

/// The call with the arrays that checked mode looks at, and the plan, in host memory.
class OnHost {
 public:
  OnHost(Op op, const Call& device, void* stream)
      : call(device), copies_(static_cast<cudaStream_t>(stream)) {
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

/// Before anything is copied: where the stream is being captured, that would become part of it.
Status wait_for(void* stream) {
  return status_of(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

}  // namespace

Status check_indices(Op op, const Call& call, void* stream) {
  if (Status s = wait_for(stream); !s.ok()) return s;
  const OnHost host(op, call, stream);
  if (Status s = status_of(host.error); !s.ok()) return s;
  if (Status s = api::check_plan_header(op, host.call); !s.ok()) return s;
  return api::check_indices(op, host.call);
}

Status check_pair_indices(const Call& main, const Call& indexer, void* stream) {
  if (Status s = wait_for(stream); !s.ok()) return s;
  const OnHost first(Op::step, main, stream);
  if (Status s = status_of(first.error); !s.ok()) return s;
  const OnHost second(Op::step, indexer, stream);
  if (Status s = status_of(second.error); !s.ok()) return s;
  if (Status s = api::check_pair_plan(first.call, second.call); !s.ok()) return s;
  return api::check_pair_indices(first.call, second.call);
}

}  // namespace pleat::cuda
