// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/backend.hpp"

#include <cuda_runtime.h>
#include <fmt/core.h>

#include <array>

#include "cuda/checked.hpp"
#include "cuda/launch.cuh"
#include "cuda/params.hpp"
#include "cuda/tuning.hpp"

namespace pleat::cuda {

namespace {

constexpr int kMaxDevices = 64;

/// Traits of the current device, read once per device; nothing here synchronises.
const DeviceTraits* current_device() {
  struct Known {
    std::array<DeviceTraits, kMaxDevices> traits{};
    std::array<bool, kMaxDevices> usable{};
    Known() {
      int count = 0;
      if (cudaGetDeviceCount(&count) != cudaSuccess) {
        (void)cudaGetLastError();
        return;
      }
      for (int i = 0; i < count && i < kMaxDevices; ++i) {
        int major = 0;
        if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, i) != cudaSuccess ||
            cudaDeviceGetAttribute(&traits[i].multiprocessors, cudaDevAttrMultiProcessorCount, i) !=
                cudaSuccess) {
          (void)cudaGetLastError();
          continue;
        }
        traits[i].clusters = major >= 9;
        usable[i] = major >= 8;
      }
    }
  };
  static const Known known;
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess || device >= kMaxDevices) {
    (void)cudaGetLastError();
    return nullptr;
  }
  return known.usable[static_cast<std::size_t>(device)]
             ? &known.traits[static_cast<std::size_t>(device)]
             : nullptr;
}

cudaError_t launch_fold(const FoldParams& p, const FoldTuning& t, const Call& call,
                        cudaStream_t stream) {
  const Geometry& g = call.compressor.geometry;
  const bool state_bf16 = call.state.pages.dtype == DType::bf16;
  const bool projection_bf16 = call.projection.given() && p.projection != nullptr
                                   ? call.projection.dtype == DType::bf16
                                   : state_bf16;
  FoldLauncher* launcher = nullptr;
  if (g == Hca::value) {
    launcher = state_bf16 ? launch_hca_bf16 : launch_hca_f32;
  } else if (g == Csa::value) {
    launcher = state_bf16 ? launch_csa_bf16 : launch_csa_f32;
  } else {
    launcher = state_bf16 ? launch_indexer_bf16 : launch_indexer_f32;
  }
  return launcher(p, t, projection_bf16, stream);
}

cudaError_t launch_rows_saved(const FoldParams& p, const FoldTuning& t, const Call& call,
                              cudaStream_t stream) {
  const Types types{call.state.pages.dtype == DType::bf16, call.projection.dtype == DType::bf16};
  return launch_save(p, t, types, call.compressor.geometry, stream);
}

PlanHeader plan_header(const Call& call) {
  PlanHeader h{};
  h.tokens = static_cast<std::int32_t>(call.batch.positions.shape[0]);
  h.ratio = call.compressor.geometry.ratio;
  h.window = call.compressor.geometry.window();
  h.policy = static_cast<std::int32_t>(call.write.policy);
  h.rollback = call.write.rollback;
  h.layout = static_cast<std::int32_t>(call.state.layout);
  return h;
}

cudaError_t launch(Op op, const Call& call, const Exec& exec, const DeviceTraits& device) {
  auto* stream = static_cast<cudaStream_t>(exec.stream);
  FoldParams p = make_params(op, call);
  FoldTuning t = tune(op, call, exec, device);
  p.fold_blocks = t.fold_blocks;
  switch (op) {
    case Op::plan:
      return launch_plan(p, call.plan, plan_header(call), call.compressor.geometry, device.clusters,
                         t.chained, stream);
    case Op::save_state:
      return launch_rows_saved(p, t, call, stream);
    case Op::norm_rope_store:
      return launch_store(p, t, call.compressor.geometry, stream);
    case Op::compress:
    case Op::compress_store:
      return launch_fold(p, t, call, stream);
    case Op::step:
      break;
  }
  return launch_fold(p, t, call, stream);
}

}  // namespace

bool available() {
  return current_device() != nullptr;
}

Status run(Op op, const Call& call, const Exec& exec) {
  const DeviceTraits* device = current_device();
  if (device == nullptr) return {StatusCode::unsupported, "exec.backend: no usable CUDA device"};
  if (exec.checked) {
    if (Status s = check_indices(op, call, exec.stream); !s.ok()) return s;
  }
  const cudaError_t e = launch(op, call, exec, *device);
  if (e == cudaSuccess) return {};
  (void)cudaGetLastError();  // reported here, not again by somebody's next call
  return {StatusCode::device_error, fmt::format("{}: CUDA says {} ({})", name(op),
                                                cudaGetErrorName(e), cudaGetErrorString(e))};
}

std::string describe(Op op, const Call& call, const Exec& exec) {
  const DeviceTraits* device = current_device();
  if (device == nullptr) return "cuda: no usable device";
  if (op == Op::plan || op == Op::save_state) return fmt::format("cuda/{}", name(op));
  const FoldTuning t = tune(op, call, exec, *device);
  const Geometry& g = call.compressor.geometry;
  const char* family = g == Hca::value ? "hca" : g == Csa::value ? "csa" : "indexer";
  const char* why = why_not_special(op, call);
  return fmt::format("cuda/{}-{}, {}, {}{}{}", family, t.special ? "special" : "generic",
                     t.cluster > 1 ? "clusters of 8" : "no cluster", t.fast ? "fast" : "exact",
                     why != nullptr ? ": " : "", why != nullptr ? why : "");
}

}  // namespace pleat::cuda
