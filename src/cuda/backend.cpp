// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/backend.hpp"

#include <cuda_runtime.h>
#include <fmt/core.h>

#include "api/names.hpp"
#include "api/refuse.hpp"
#include "cuda/checked.hpp"
#include "cuda/launch.cuh"
#include "cuda/params.hpp"
#include "cuda/tuning.hpp"

namespace pleat::cuda {

namespace {

/// What is known of a device, found out by the first call on it.
struct Known {
  DeviceTraits traits;
  bool usable = false;
  cudaError_t error = cudaSuccess;
};

/// Asks for what this build's code for the device was compiled for, not for what the device is: a
/// build for other devices has none that runs there, or only one without clusters. Nothing here
/// synchronises.
Known find_device() {
  Known k;
  int device = 0;
  int compiled_for = 0;
  k.error = cudaGetDevice(&device);
  if (k.error == cudaSuccess) {
    k.error =
        cudaDeviceGetAttribute(&k.traits.multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (k.error == cudaSuccess) k.error = code_of_device(&compiled_for);
  k.traits.clusters = compiled_for >= 90;
  k.usable = compiled_for >= 80;
  return k;
}

/// Of the current device. An error of its own is reported here, not again by the caller's next
/// look; one that the caller has left behind is the caller's.
Known current_device() {
  static PerDevice<Known> known;
  const Known k = known.get(find_device);
  if (k.error != cudaSuccess) (void)cudaGetLastError();
  return k;
}

/// An op without a projection reads it as if it were the state's: one kernel less of each kind.
Types types_of(const FoldParams& p, const Call& call) {
  const bool state_bf16 = call.state.pages.dtype == DType::bf16;
  const bool projection_bf16 = call.projection.given() && p.projection != nullptr
                                   ? call.projection.dtype == DType::bf16
                                   : state_bf16;
  return {state_bf16, projection_bf16};
}

cudaError_t launch_fold(const FoldParams& p, const FoldTuning& t, const Call& call,
                        cudaStream_t stream) {
  const Geometry& g = call.compressor.geometry;
  const Types types = types_of(p, call);
  if (!is_compiled(g)) return launch_any_fold(p, t, types, g, stream);
  FoldLauncher* launcher = nullptr;
  if (g == Hca::value) {
    launcher = types.state_bf16 ? launch_hca_bf16 : launch_hca_f32;
  } else if (g == Csa::value) {
    launcher = types.state_bf16 ? launch_csa_bf16 : launch_csa_f32;
  } else {
    launcher = types.state_bf16 ? launch_indexer_bf16 : launch_indexer_f32;
  }
  return launcher(p, t, types.projection_bf16, stream);
}

struct Prepared {
  FoldParams params;
  FoldTuning tuning;
};

Prepared prepare(Op op, const Call& call, const Exec& exec, const DeviceTraits& device) {
  Prepared out{make_params(op, call), tune(op, call, exec, device)};
  out.params.shares = out.tuning.shares;
  out.params.early = exec.chain == Chain::early && device.clusters && op != Op::plan;
  return out;
}

/// Null where one kernel serves both calls of a pair, else why none does.
const char* why_two_launches(const Call& main, const Call& indexer) {
  if (main.state.pages.dtype != indexer.state.pages.dtype) return "the states' dtypes differ";
  if (main.projection.dtype != indexer.projection.dtype) return "the projections' dtypes differ";
  return nullptr;
}

cudaError_t launch_pair(const Call& main, const Call& indexer, const Exec& exec,
                        const DeviceTraits& device) {
  auto* stream = static_cast<cudaStream_t>(exec.stream);
  const Prepared m = prepare(Op::step, main, exec, device);
  const Prepared i = prepare(Op::step, indexer, exec, device);
  if (why_two_launches(main, indexer) != nullptr) {
    const cudaError_t e = launch_fold(m.params, m.tuning, main, stream);
    return e != cudaSuccess ? e : launch_fold(i.params, i.tuning, indexer, stream);
  }
  auto* launcher =
      main.state.pages.dtype == DType::bf16 ? launch_csa_pair_bf16 : launch_csa_pair_f32;
  return launcher(m.params, m.tuning, i.params, i.tuning, main.projection.dtype == DType::bf16,
                  stream);
}

cudaError_t launch(Op op, const Call& call, const Exec& exec, const DeviceTraits& device) {
  auto* stream = static_cast<cudaStream_t>(exec.stream);
  const auto [p, t] = prepare(op, call, exec, device);
  const Geometry& g = call.compressor.geometry;
  switch (op) {
    case Op::plan:
      return launch_plan(p, call, device.clusters, t.chained, stream);
    case Op::save_state:
      return launch_save(p, t, types_of(p, call), g, stream);
    case Op::norm_rope_store:
      return launch_store(p, t, g, stream);
    case Op::compress:
    case Op::compress_store:
      return launch_fold(p, t, call, stream);
    case Op::step:
      break;
  }
  const cudaError_t e = launch_fold(p, t, call, stream);
  if (e != cudaSuccess || is_compiled(g)) return e;
  // A fold of any other geometry writes no state row. They are saved after all of it, so that what
  // it reads is still there, also in a ring.
  return launch_save(p, t, types_of(p, call), g, stream);
}

/// Why a device that cannot be used is none.
Status no_device(const Known& device) {
  const cudaError_t e = device.error;
  if (e == cudaSuccess || e == cudaErrorNoDevice || e == cudaErrorInsufficientDriver) {
    return api::refusal(StatusCode::unsupported, "exec.backend", "one that this machine can run",
                        "cuda: no usable device");
  }
  return {StatusCode::device_error,
          fmt::format("exec.backend: expected a CUDA device that answers, got {} ({})",
                      cudaGetErrorName(e), cudaGetErrorString(e))};
}

Status status_of(cudaError_t e, const char* op) {
  if (e == cudaSuccess) return {};
  (void)cudaGetLastError();  // reported here, not again by somebody's next call
  if (e == cudaErrorNoKernelImageForDevice) {
    return {StatusCode::unsupported,
            fmt::format("{}: this build has no code of the kernel for this device", op)};
  }
  return {StatusCode::device_error,
          fmt::format("{}: CUDA says {} ({})", op, cudaGetErrorName(e), cudaGetErrorString(e))};
}

/// What serves a geometry that no kernel is compiled for, and that it is none.
std::string describe_any(Op op, const Call& call, const Exec& exec) {
  const std::string which = api::describe_geometry(call.compressor.geometry);
  if (op == Op::plan || op == Op::save_state) {
    return fmt::format("cuda/any-geometry, {}: {} is none of hca, csa, indexer", name(op), which);
  }
  return fmt::format("cuda/any-geometry, {}{}: {} is none of hca, csa, indexer",
                     op == Op::step ? "two launches, " : "", name(exec.variant), which);
}

}  // namespace

Status usable(const Exec& /*exec*/) {
  const Known device = current_device();
  return device.usable ? Status{} : no_device(device);
}

Status run(Op op, const Call& call, const Exec& exec) {
  const Known device = current_device();
  if (!device.usable) return no_device(device);
  if (exec.checked) {
    if (Status s = check_indices(op, call, exec.stream); !s.ok()) return s;
  }
  return status_of(launch(op, call, exec, device.traits), name(op));
}

Status run_pair(const Call& main, const Call& indexer, const Exec& exec) {
  const Known device = current_device();
  if (!device.usable) return no_device(device);
  if (exec.checked) {
    if (Status s = check_pair_indices(main, indexer, exec.stream); !s.ok()) return s;
  }
  return status_of(launch_pair(main, indexer, exec, device.traits), "csa_step");
}

std::string describe(Op op, const Call& call, const Exec& exec) {
  const Known device = current_device();
  if (!device.usable) return "cuda: no usable device";
  if (!is_compiled(call.compressor.geometry)) return describe_any(op, call, exec);
  if (op == Op::plan || op == Op::save_state) return fmt::format("cuda/{}", name(op));
  const FoldTuning t = tune(op, call, exec, device.traits);
  const std::string why = why_not_special(op, call);
  const std::string blocks =
      t.cluster == 1
          ? "no cluster"
          : fmt::format("{} of {}", op == Op::compress ? "groups" : "clusters", t.cluster);
  return fmt::format("cuda/{}-{}, {}{}, {}{}{}", api::geometry_name(call.compressor.geometry),
                     t.special ? "special" : "generic", blocks,
                     t.alone          ? ", a block a multiprocessor"
                     : t.shares.split ? ", with partners"
                                      : "",
                     name(exec.variant), why.empty() ? "" : ": ", why);
}

std::string describe_pair(const Call& main, const Call& indexer, const Exec& exec) {
  if (!current_device().usable) return "cuda: no usable device";
  const char* exactness = name(exec.variant);
  if (const char* why = why_two_launches(main, indexer); why != nullptr) {
    return fmt::format("{}; {}; two launches: {}", cuda::describe(Op::step, main, exec),
                       cuda::describe(Op::step, indexer, exec), why);
  }
  if (const std::string why = why_not_special(Op::step, main); !why.empty()) {
    return fmt::format("cuda/csa+indexer-generic, {}: main: {}", exactness, why);
  }
  if (const std::string why = why_not_special(Op::step, indexer); !why.empty()) {
    return fmt::format("cuda/csa+indexer-generic, {}: indexer: {}", exactness, why);
  }
  return fmt::format("cuda/csa+indexer-special, {}", exactness);
}

}  // namespace pleat::cuda
