// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "tools/error.hpp"

/// What the program asks the CUDA runtime for, given back with the object.
namespace pleat::tools {

inline void must(cudaError_t e, const char* what) {
  if (e != cudaSuccess) throw fail("{}: {}", what, cudaGetErrorString(e));
}

/// Never null, so that an empty tensor is still one that was given.
class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t bytes = 0) {
    void* p = nullptr;
    must(cudaMalloc(&p, std::max<std::size_t>(bytes, 256)), "cudaMalloc");
    memory_.reset(p);
  }
  [[nodiscard]] void* get() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(void* p) const { cudaFree(p); }
  };
  std::unique_ptr<void, Free> memory_;
};

/// The copy may still be on its way: no stream but the default one waits for it.
template <typename T>
DeviceMemory copy_of(const std::vector<T>& v) {
  DeviceMemory m(v.size() * sizeof(T));
  must(cudaMemcpy(m.get(), v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice), "upload");
  return m;
}

/// Host memory that the device copies from and to without the host's help.
class PinnedMemory {
 public:
  explicit PinnedMemory(std::size_t bytes) {
    void* p = nullptr;
    must(cudaMallocHost(&p, std::max<std::size_t>(bytes, 256)), "cudaMallocHost");
    memory_.reset(p);
  }
  [[nodiscard]] void* get() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(void* p) const { cudaFreeHost(p); }
  };
  std::unique_ptr<void, Free> memory_;
};

struct Stream {
  cudaStream_t handle = nullptr;
  Stream() { must(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "stream"); }
  ~Stream() { cudaStreamDestroy(handle); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

class Event {
 public:
  Event() {
    cudaEvent_t e = nullptr;
    must(cudaEventCreate(&e), "event");
    event_.reset(e);
  }
  void record(cudaStream_t stream) const { must(cudaEventRecord(event_.get(), stream), "record"); }
  void wait() const { must(cudaEventSynchronize(event_.get()), "waiting for the device"); }

  /// Both have been passed.
  friend double seconds_between(const Event& begin, const Event& end) {
    float ms = 0;
    must(cudaEventElapsedTime(&ms, begin.event_.get(), end.event_.get()), "elapsed");
    return static_cast<double>(ms) * 1e-3;
  }

 private:
  struct Destroy {
    void operator()(cudaEvent_t e) const { cudaEventDestroy(e); }
  };
  std::unique_ptr<CUevent_st, Destroy> event_;
};

}  // namespace pleat::tools
