// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/perf_gpu.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/arguments.hpp"
#include "tools/cuda_handles.hpp"
#include "tools/error.hpp"
#include "tools/gpu_kernels.cuh"
#include "tools/page_copy.cuh"

namespace pleat::tools {
namespace {

constexpr std::int64_t kRotation = 320LL << 20;  // bytes; the L2 has 50 to 60 MiB
constexpr std::int64_t kLargest = 12LL << 30;    // of device memory for one row's buffers

/// Captures count launches into a graph and times its replays, per launch.
Quantiles time_graph(cudaStream_t stream, std::int64_t count,
                     const std::function<void(std::int64_t)>& launch) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  launch(0);  // modules load outside the capture
  must(cudaStreamSynchronize(stream), "first launch");
  must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (std::int64_t i = 0; i < count; ++i)
    launch(i);
  must(cudaStreamEndCapture(stream, &graph), "capture");
  must(cudaGraphInstantiate(&exec, graph, 0), "instantiate");
  const Event begin;
  const Event end;
  std::vector<double> us;
  double spent = 0;
  for (int i = 0; i < 203 && (i < 13 || spent < 60e3); ++i) {
    begin.record(stream);
    must(cudaGraphLaunch(exec, stream), "launch");
    end.record(stream);
    end.wait();
    const double took = seconds_between(begin, end) * 1e6;
    spent += took;
    if (i >= 3) us.push_back(took / static_cast<double>(count));
  }
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  return quantiles_of(us);
}

template <class T>
std::unique_ptr<DeviceMemory> upload(const std::vector<T>& v) {
  auto m = std::make_unique<DeviceMemory>(v.size() * sizeof(T));
  must(cudaMemcpy(m->get(), v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice), "upload");
  return m;
}

std::unique_ptr<DeviceMemory> random_floats(std::int64_t count, std::uint32_t seed) {
  auto m = std::make_unique<DeviceMemory>(static_cast<std::size_t>(count) * 4);
  must(fill_random(static_cast<float*>(m->get()), static_cast<std::size_t>(count), seed, nullptr),
       "fill");
  return m;
}

/// Device memory as long as the row is measured.
class Held {
 public:
  void* keep(std::unique_ptr<DeviceMemory> m) {
    held_.push_back(std::move(m));
    return held_.back()->get();
  }

 private:
  std::vector<std::unique_ptr<DeviceMemory>> held_;
};

/// One layer's calls of a row: what they have in common, and large buffers of their own.
class LayerOnGpu {
 public:
  LayerOnGpu(const PerfRow& row, Held& held);

  [[nodiscard]] const PerfBytes& bytes() const { return batch_.bytes; }
  /// Device memory of one call's buffers.
  [[nodiscard]] std::int64_t set_bytes() const;
  /// The call on buffer set i, which is allocated and filled.
  [[nodiscard]] Call make_call(std::int64_t i);
  /// All that such a call reads of its state, if that is windows and they can be copied.
  [[nodiscard]] std::optional<PagedWindows> windows_of(const Call& call) const;
  [[nodiscard]] Call& common() { return call_; }

 private:
  const PerfRow row_;
  Held& held_;
  PerfBatch batch_;
  RowLayout layout_;
  std::int64_t page_floats_;
  std::int64_t cache_rows_;
  std::int64_t cache_stride_;
  std::int64_t projection_;  ///< floats of it, of the state and of compressed
  std::int64_t state_;
  std::int64_t compressed_;
  Call call_;
};

LayerOnGpu::LayerOnGpu(const PerfRow& row, Held& held)
    : row_(row),
      held_(held),
      batch_(make_perf_batch(row)),
      layout_(row_layout(row.format, row.geometry)),
      cache_rows_(256 / row.geometry.ratio),
      cache_stride_((layout_.page_bytes(cache_rows_) + 575) / 576 * 576),
      compressed_(row.tokens * row.geometry.head_dim) {
  const Geometry& g = row.geometry;
  const std::int64_t page_stride = g.head_dim == 128 ? 2160 : 9360;
  page_floats_ = std::max(page_stride, batch_.page_rows * g.row_width());
  const bool projects = row.op == Op::step || row.op == Op::save_state;
  projection_ = projects ? row.tokens * g.row_width() : 0;
  const bool stateless = row.op == Op::norm_rope_store || row.op == Op::plan;
  state_ = stateless ? page_floats_ : batch_.state_pages * page_floats_;

  const PerfBatch& b = batch_;
  call_.compressor = {g, Recipe::vllm, row.format, 1e-6F};
  call_.batch.positions =
      TensorView::packed(held.keep(upload(b.positions)), DType::i64, row.tokens);
  call_.batch.token_to_req =
      TensorView::packed(held.keep(upload(b.token_to_req)), DType::i32, row.tokens);
  call_.batch.state_slots =
      TensorView::packed(held.keep(upload(b.state_slots)), DType::i64, row.tokens);
  call_.batch.kv_slots = TensorView::packed(held.keep(upload(b.kv_slots)), DType::i64, row.tokens);
  call_.state.block_table =
      TensorView::packed(held.keep(upload(b.block_table)), DType::i32, row.requests, b.blocks);
  call_.weights.ape = TensorView::packed(held.keep(random_floats(g.ratio * g.state_width(), 11)),
                                         DType::f32, g.ratio, g.state_width());
  call_.weights.norm =
      TensorView::packed(held.keep(random_floats(g.head_dim, 12)), DType::f32, g.head_dim);
  const std::int64_t longest = *std::max_element(b.positions.begin(), b.positions.end()) + 1;
  call_.weights.rope = TensorView::packed(held.keep(random_floats(longest * g.rope_dim, 13)),
                                          DType::f32, longest, g.rope_dim);
  // Ops that pool from the state read all of it, and take no other policy.
  if (api::selects_state(row.op)) call_.write = {row.policy, 0};
  call_.plan = {held.keep(std::make_unique<DeviceMemory>(plan_bytes(row.tokens))), row.tokens};
}

std::int64_t LayerOnGpu::set_bytes() const {
  return 4 * (projection_ + state_ + compressed_) + batch_.cache_pages * cache_stride_;
}

Call LayerOnGpu::make_call(std::int64_t i) {
  const Geometry& g = row_.geometry;
  Call c = call_;
  const auto seed = static_cast<std::uint32_t>(100 + 7 * i);
  if (projection_ > 0) {
    c.projection = TensorView::packed(held_.keep(random_floats(projection_, seed)), DType::f32,
                                      row_.tokens, g.row_width());
  }
  c.state.pages =
      TensorView::paged(held_.keep(random_floats(state_, seed + 1)), DType::f32,
                        state_ / page_floats_, batch_.page_rows, g.row_width(), page_floats_);
  c.compressed = TensorView::packed(held_.keep(random_floats(compressed_, seed + 2)), DType::f32,
                                    row_.tokens, g.head_dim);
  c.cache = TensorView::paged(
      held_.keep(std::make_unique<DeviceMemory>(batch_.cache_pages * cache_stride_)), DType::u8,
      batch_.cache_pages, cache_rows_, layout_.row_bytes(), cache_stride_);
  return c;
}

std::optional<PagedWindows> LayerOnGpu::windows_of(const Call& call) const {
  const std::vector<std::int64_t>& starts = batch_.windows;
  const bool from_state = row_.op == Op::compress || row_.op == Op::compress_store;
  // With overlap, a window is half the columns of its rows: no page is read in one piece.
  if (!from_state || row_.geometry.overlap || starts.empty()) return std::nullopt;
  const TensorView& pages = call.state.pages;
  PagedWindows w;
  w.pages = pages.data;
  w.page_stride = pages.stride[0] * size_of(pages.dtype);
  w.page_bytes = pages.shape[1] * pages.stride[1] * size_of(pages.dtype);
  w.table = static_cast<const std::int32_t*>(call.state.block_table.data) + starts[0];
  w.table_stride = starts.size() > 1 ? starts[1] - starts[0] : 0;
  w.window_pages = static_cast<std::int32_t>(row_.geometry.ratio / batch_.page_rows);
  w.windows = static_cast<std::int32_t>(starts.size());
  for (std::size_t i = 1; i < starts.size(); ++i) {
    if (starts[i] - starts[i - 1] != w.table_stride) return std::nullopt;
  }
  return can_copy_pages(w) ? std::optional(w) : std::nullopt;
}

PerfRow indexer_of(PerfRow row) {
  row.geometry = Indexer::value;
  row.format = RowFormat::index_fp8;
  return row;
}

/// A pure read of as many bytes as a call reads, going round as many buffers.
Quantiles time_read(cudaStream_t stream, std::int64_t bytes) {
  const std::size_t read = static_cast<std::size_t>(bytes) / 16 * 16;
  const std::size_t pieces = std::max<std::size_t>(2, kRotation / std::max<std::size_t>(read, 1));
  const std::size_t used = std::min<std::size_t>(pieces, 256);
  const DeviceMemory pool(used * read);
  must(fill_random(static_cast<float*>(pool.get()), used * read / 4, 5, nullptr), "fill");
  must(cudaDeviceSynchronize(), "fill");
  const auto count = static_cast<std::int64_t>(std::max<std::size_t>(used, 20));
  return time_graph(stream, count, [&](std::int64_t i) {
    const std::size_t k = static_cast<std::size_t>(i) % used;
    must(read_once(static_cast<char*>(pool.get()) + k * read, read, nullptr, stream), "read");
  });
}

/// A copy of the pages of a call's windows, going round those of all calls.
Quantiles time_page_copies(cudaStream_t stream, const std::vector<PagedWindows>& calls) {
  const auto count = static_cast<std::int64_t>(std::max<std::size_t>(calls.size(), 20));
  return time_graph(stream, count, [&](std::int64_t i) {
    const PagedWindows& w = calls[static_cast<std::size_t>(i) % calls.size()];
    must(copy_pages_once(w, nullptr, stream), "copying pages");
  });
}

void check(const Status& s) {
  if (!s.ok()) throw fail("{}", s.message());
}

}  // namespace

PerfMeasurement measure_gpu(const PerfRow& row, Variant variant, bool chained) {
  Held held;
  LayerOnGpu layer(row, held);
  std::optional<LayerOnGpu> indexer;
  if (row.with_indexer) indexer.emplace(indexer_of(row), held);
  PerfMeasurement m;
  m.bytes = indexer ? layer.bytes() + indexer->bytes() : layer.bytes();
  const std::int64_t set = layer.set_bytes() + (indexer ? indexer->set_bytes() : 0);
  const std::int64_t touched = std::max<std::int64_t>(m.bytes.read + m.bytes.written, 1);
  std::int64_t sets = std::clamp<std::int64_t>(kRotation / touched + 1, 2, 256);
  sets = std::max<std::int64_t>(1, std::min(sets, kLargest / set));

  const Stream stream;
  Exec exec;
  exec.backend = Backend::cuda;
  exec.stream = stream.handle;
  exec.variant = variant;
  check(plan(layer.common(), exec));
  if (indexer) {
    indexer->common().batch.positions = layer.common().batch.positions;
    indexer->common().batch.token_to_req = layer.common().batch.token_to_req;
    indexer->common().plan = layer.common().plan;
  }
  // With one set of buffers, the call before writes what this one may read early.
  if (chained) exec.chain = sets > 1 ? Chain::early : Chain::late;
  Exec second = exec;  // of two launches
  second.chain = Chain::early;
  std::vector<Call> calls;
  std::vector<Call> others;
  for (std::int64_t i = 0; i < sets; ++i) {
    calls.push_back(layer.make_call(i));
    if (indexer) others.push_back(indexer->make_call(i));
  }
  must(cudaDeviceSynchronize(), "setting up");
  check(indexer ? describe_csa_step(calls[0], others[0], exec, &m.code)
                : describe(row.op, calls[0], exec, &m.code));
  if (row.with_store) {
    // Both are of one family, "cuda/hca-special": the ops tell which is which.
    std::string store;
    check(describe(Op::norm_rope_store, calls[0], second, &store));
    m.code = fmt::format("{}: {}; {}: {}", name(row.op), m.code, name(Op::norm_rope_store), store);
  }
  m.us = time_graph(stream.handle, std::max<std::int64_t>(sets, 20), [&](std::int64_t i) {
    const auto k = static_cast<std::size_t>(i % sets);
    check(indexer ? csa_step(calls[k], others[k], exec) : run(row.op, calls[k], exec));
    if (row.with_store) check(run(Op::norm_rope_store, calls[k], second));
  });
  if (chained) return m;
  m.read_us = time_read(stream.handle, m.bytes.read);
  std::vector<PagedWindows> windows;
  for (const Call& call : calls) {
    if (const auto w = layer.windows_of(call)) windows.push_back(*w);
  }
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
