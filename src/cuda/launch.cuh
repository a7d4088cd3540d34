// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <mutex>

#include "cuda/params.cuh"

namespace pleat::cuda {

inline constexpr int kCachePageTokens = 256;  ///< what a cache page of the special layout covers

/// How a fold is spread over the GPU; chosen by tuning.hpp, measured by the benchmark.
struct FoldTuning {
  int cluster = 1;       ///< blocks that share a window (HCA: 1, 2 or 8)
  FoldShares shares;     ///< its blocks are a multiple of cluster
  int save_blocks = 0;   ///< as are these
  bool alone = false;    ///< HCA, clusters of 2: a block a multiprocessor
  bool special = false;  ///< state pages of one group, cache pages of kCachePageTokens
  bool fast = false;     ///< the hardware's approximate exp2
  bool chained = false;  ///< programmatic dependent launch
};

/// Whether kernels are compiled for the geometry. Any other is served by launch_any_*(), which
/// launch_save() and its like call.
constexpr bool is_compiled(const Geometry& g) {
  return g == Hca::value || g == Csa::value || g == Indexer::value;
}

/// f of a value of the geometry's type; is_compiled().
template <class F>
cudaError_t with_geometry(const Geometry& g, const F& f) {
  if (g == Hca::value) return f(Hca{});
  if (g == Csa::value) return f(Csa{});
  return f(Indexer{});
}

/// What holds for one device at a time, found out by the first call on each. What was not found
/// out, as its `error` says (the GPU's memory was full, perhaps), is asked for again by the next.
template <class T>
class PerDevice {
 public:
  template <class Find>
  T get(Find find) {
    int device = 0;
    if (const cudaError_t e = cudaGetDevice(&device); e != cudaSuccess || device >= kMost) {
      T nothing{};
      nothing.error = e != cudaSuccess ? e : cudaErrorInvalidDevice;
      return nothing;
    }
    Entry& entry = entries_[device];
    if (entry.found.load(std::memory_order_acquire)) return entry.value;
    const T value = find();
    if (value.error != cudaSuccess) return value;
    const std::scoped_lock lock(mutex_);
    if (!entry.found.load(std::memory_order_relaxed)) {
      entry.value = value;
      entry.found.store(true, std::memory_order_release);
    }
    return value;
  }

 private:
  static constexpr int kMost = 64;  // devices
  struct Entry {
    std::atomic<bool> found{false};
    T value{};
  };
  std::mutex mutex_;
  Entry entries_[kMost];
};

/// Whether a kernel may be launched as it is.
struct Ready {
  cudaError_t error = cudaSuccess;
};

/// More shared memory than 48 KiB is a kernel's to ask for, once.
template <class Kernel>
cudaError_t allow_shared(Kernel* kernel, int bytes) {
  const cudaError_t e = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                             cudaSharedmemCarveoutMaxShared);
  if (e != cudaSuccess) return e;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

inline cudaLaunchAttribute cluster_attribute(int blocks) {
  cudaLaunchAttribute a{};
  a.id = cudaLaunchAttributeClusterDimension;
  a.val.clusterDim.x = static_cast<unsigned>(blocks);
  a.val.clusterDim.y = 1;
  a.val.clusterDim.z = 1;
  return a;
}

template <class... Params>
cudaError_t launch(void (*kernel)(Params...), int blocks, int threads, int cluster, int shared,
                   bool chained, cudaStream_t stream, const Params&... params) {
  if (blocks == 0) return cudaSuccess;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared);
  config.stream = stream;
  cudaLaunchAttribute attributes[2];
  unsigned n = 0;
  if (cluster > 1) attributes[n++] = cluster_attribute(cluster);
  if (chained) {
    attributes[n].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[n].val.programmaticStreamSerializationAllowed = 1;
    ++n;
  }
  config.attrs = attributes;
  config.numAttrs = n;
  return cudaLaunchKernelEx(&config, kernel, params...);
}

// One file each: hca_f32.cu, hca_bf16.cu and so on, by what the state holds.
using FoldLauncher = cudaError_t(const FoldParams& p, const FoldTuning& t, bool projection_bf16,
                                 cudaStream_t stream);
FoldLauncher launch_hca_f32;
FoldLauncher launch_hca_bf16;
FoldLauncher launch_csa_f32;
FoldLauncher launch_csa_bf16;
FoldLauncher launch_indexer_f32;
FoldLauncher launch_indexer_bf16;

/// csa_step: one kernel for both calls, whose dtypes are the same.
using PairLauncher = cudaError_t(const FoldParams& main, const FoldTuning& main_tuning,
                                 const FoldParams& indexer, const FoldTuning& indexer_tuning,
                                 bool projection_bf16, cudaStream_t stream);
PairLauncher launch_csa_pair_f32;
PairLauncher launch_csa_pair_bf16;

/// The architecture, compute capability times 10, that the code which the current device would run
/// was compiled for; 0 where it can run none.
cudaError_t code_of_device(int* architecture);

cudaError_t launch_store(const FoldParams& p, const FoldTuning& t, const Geometry& g,
                         cudaStream_t stream);
cudaError_t launch_save(const FoldParams& p, const FoldTuning& t, const Types& types,
                        const Geometry& g, cudaStream_t stream);
/// \p clusters: the device has them (sm_90 up).
cudaError_t launch_plan(const FoldParams& p, const Call& call, bool clusters, bool chained,
                        cudaStream_t stream);

// What those call for any other geometry: any_fold.cu and so on. The fold writes no state row, so a
// step is a fold and then a save. Each kernel waits for the one before it as it begins, also where
// it is chained: a row of a ring is replaced when all windows that read it are done.
cudaError_t launch_any_fold(const FoldParams& p, const FoldTuning& t, const Types& types,
                            const Geometry& g, cudaStream_t stream);
cudaError_t launch_any_store(const FoldParams& p, const FoldTuning& t, const Geometry& g,
                             cudaStream_t stream);
cudaError_t launch_any_save(const FoldParams& p, const FoldTuning& t, const Types& types,
                            const Geometry& g, cudaStream_t stream);
cudaError_t launch_any_plan(const FoldParams& p, const PlanParams& out, const Geometry& g,
                            bool clusters, bool chained, cudaStream_t stream);

}  // namespace pleat::cuda
