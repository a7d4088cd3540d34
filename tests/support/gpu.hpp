// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <stdexcept>
#include <string>
#include <utility>

#include "support/cuda_memory.hpp"

// What the tests under tests/cuda/ have in common; only they may include it.
namespace pleat::test {

/// A failed call of the test itself, not of the library.
inline void must(cudaError_t e) {
  if (e == cudaSuccess) return;
  throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorName(e) + ": " +
                           cudaGetErrorString(e));
}

/// The test is skipped where this machine has no GPU.
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_cuda_memory();
    if (!available(Backend::cuda)) GTEST_SKIP() << "no CUDA device that the library can use";
  }
};

template <class Param>
class GpuTestWith : public GpuTest, public ::testing::WithParamInterface<Param> {};

/// A stream that does not wait for the default one.
class Stream {
 public:
  Stream() { must(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }

  [[nodiscard]] cudaStream_t get() const { return stream_; }
  void wait() const { must(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

/// What `launches` puts on the stream, captured and not yet run.
class Graph {
 public:
  template <class Launches>
  Graph(const Stream& stream, Launches&& launches) : stream_(stream) {
    cudaGraph_t graph = nullptr;
    // Strict: a call that would synchronise or allocate breaks the capture.
    must(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeGlobal));
    std::forward<Launches>(launches)();
    must(cudaStreamEndCapture(stream.get(), &graph));
    const cudaError_t e = cudaGraphInstantiate(&exec_, graph, 0);
    cudaGraphDestroy(graph);
    must(e);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() { cudaGraphExecDestroy(exec_); }

  void replay() {
    must(cudaGraphLaunch(exec_, stream_.get()));
    stream_.wait();
  }

 private:
  const Stream& stream_;
  cudaGraphExec_t exec_ = nullptr;
};

inline Exec gpu_exec() {
  Exec e;
  e.backend = Backend::cuda;
  return e;
}
inline Exec gpu_exec(const Stream& stream) {
  Exec e = gpu_exec();
  e.stream = stream.get();
  return e;
}
/// What the GPU's bytes are compared with.
inline Exec cpu_exec() {
  return {Backend::cpu, 1};
}

}  // namespace pleat::test
