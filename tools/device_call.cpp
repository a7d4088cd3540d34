// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/device_call.hpp"

#include "tools/error.hpp"

#if PLEAT_HAVE_CUDA

#include <cuda_runtime_api.h>

#include <cstddef>
#include <vector>

#include "tools/cuda_handles.hpp"

namespace pleat::tools {
namespace {

/// From the first byte to the end of the last page's stride.
std::size_t bytes_of(const TensorView& v) {
  return static_cast<std::size_t>(v.shape[0] * v.stride[0] * size_of(v.dtype));
}

}  // namespace

struct DeviceCall::Memory {
  Call call;
  std::vector<DeviceMemory> buffers;
  DeviceMemory plan;

  void upload(TensorView& view) {
    if (!view.given()) return;
    buffers.emplace_back(bytes_of(view));
    void* device = buffers.back().get();
    must(cudaMemcpy(device, view.data, bytes_of(view), cudaMemcpyHostToDevice), "cudaMemcpy");
    view.data = device;
  }
};

DeviceCall::DeviceCall(const Call& host, std::int64_t plan_capacity)
    : memory_(std::make_unique<Memory>()) {
  Call& c = memory_->call;
  c = host;
  c.plan = {};
  for (TensorView* view :
       {&c.batch.positions, &c.batch.token_to_req, &c.batch.state_slots, &c.batch.kv_slots,
        &c.projection, &c.state.pages, &c.state.block_table, &c.compressed, &c.cache,
        &c.weights.ape, &c.weights.norm, &c.weights.rope, &c.weights.fp8_scale}) {
    memory_->upload(*view);
  }
  memory_->plan = DeviceMemory(static_cast<std::size_t>(plan_bytes(plan_capacity)));
}

DeviceCall::~DeviceCall() = default;

const Call& DeviceCall::call() const {
  return memory_->call;
}

void* DeviceCall::plan_memory() const {
  return memory_->plan.get();
}

void DeviceCall::fetch(Op op, const Call& host) const {
  must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  const auto copy = [](const TensorView& to, const TensorView& from) {
    must(cudaMemcpy(to.data, from.data, bytes_of(to), cudaMemcpyDeviceToHost), "cudaMemcpy");
  };
  const Call& device = memory_->call;
  if (op == Op::compress) copy(host.compressed, device.compressed);
  if (op == Op::save_state || op == Op::step) copy(host.state.pages, device.state.pages);
  if (op != Op::compress && op != Op::save_state) copy(host.cache, device.cache);
}

}  // namespace pleat::tools

#else

namespace pleat::tools {

struct DeviceCall::Memory {
  Call call;
};

DeviceCall::DeviceCall(const Call&, std::int64_t) {
  throw fail("backend cuda: Pleat was built without CUDA");
}
DeviceCall::~DeviceCall() = default;
const Call& DeviceCall::call() const {
  return memory_->call;
}
void* DeviceCall::plan_memory() const {
  return nullptr;
}
void DeviceCall::fetch(Op, const Call&) const {}

}  // namespace pleat::tools

#endif
