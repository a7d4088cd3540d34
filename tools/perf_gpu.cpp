// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/perf_gpu.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <vector>

#include "tools/cuda_handles.hpp"
#include "tools/gpu_kernels.cuh"
#include "tools/graph_timer.hpp"
#include "tools/page_copy.cuh"
#include "tools/perf_calls.hpp"

namespace pleat::tools {
namespace {

/// A pure read of as many bytes as a call reads, going round as many buffers.
Quantiles time_read(cudaStream_t stream, std::int64_t bytes) {
  const std::size_t read = static_cast<std::size_t>(bytes) / 16 * 16;
  const std::size_t pieces = std::max<std::size_t>(2, kRotation / std::max<std::size_t>(read, 1));
  const std::size_t used = std::min<std::size_t>(pieces, kMostSets);
  const DeviceMemory pool(used * read);
  must(fill_random(static_cast<float*>(pool.get()), used * read / 4, 5, nullptr), "fill");
  must(cudaDeviceSynchronize(), "fill");
  return time_in_turn(stream, static_cast<std::int64_t>(used), [&](std::int64_t i) {
    char* piece = static_cast<char*>(pool.get()) + static_cast<std::size_t>(i) * read;
    must(read_once(piece, read, nullptr, stream), "read");
  });
}

/// A copy of the pages of a call's windows, going round those of all calls.
Quantiles time_page_copies(cudaStream_t stream, const std::vector<PagedWindows>& calls) {
  return time_in_turn(stream, std::ssize(calls), [&](std::int64_t i) {
    must(copy_pages_once(calls[static_cast<std::size_t>(i)], nullptr, stream), "copying pages");
  });
}

}  // namespace

PerfMeasurement measure_gpu(const PerfRow& row, Variant variant, bool chained) {
  const Stream stream;
  Exec exec;
  exec.backend = Backend::cuda;
  exec.stream = stream.handle;
  exec.variant = variant;
  PerfCalls calls(row, exec);
  // With one set of buffers, the call before writes what this one may read early.
  if (chained) exec.chain = calls.count() > 1 ? Chain::early : Chain::late;
  PerfMeasurement m;
  m.bytes = calls.bytes();
  m.code = calls.code(exec);
  m.us = time_in_turn(stream.handle, calls.count(), [&](std::int64_t i) { calls.launch(i, exec); });
  if (chained) return m;
  m.read_us = time_read(stream.handle, m.bytes.read);
  const std::vector<PagedWindows> windows = calls.windows();
  if (!windows.empty()) m.pages_us = time_page_copies(stream.handle, windows);
  return m;
}

Quantiles measure_empty_launch() {
  const Stream stream;
  return time_graph(stream.handle, 64,
                    [&](std::int64_t) { must(do_nothing(stream.handle), "launch"); });
}

double measure_read_bandwidth(std::size_t bytes) {
  const DeviceMemory pool(bytes);
  must(fill_random(static_cast<float*>(pool.get()), bytes / 4, 3, nullptr), "fill");
  must(cudaDeviceSynchronize(), "fill");
  const Stream stream;
  const Quantiles us = time_graph(stream.handle, 1, [&](std::int64_t) {
    must(read_once(pool.get(), bytes, nullptr, stream.handle), "read");
  });
  return static_cast<double>(bytes) / us.p50 * 1e-6;
}

std::string device_name() {
  int device = 0;
  cudaDeviceProp properties{};
  must(cudaGetDevice(&device), "device");
  must(cudaGetDeviceProperties(&properties, device), "device");
  return properties.name;
}

}  // namespace pleat::tools
