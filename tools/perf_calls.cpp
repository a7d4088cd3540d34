// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/perf_calls.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "api/arguments.hpp"
#include "tools/error.hpp"
#include "tools/gpu_kernels.cuh"

namespace pleat::tools {
namespace {

constexpr std::int64_t kLargest = 12LL << 30;  // bytes of device memory for one row's buffers

void check(const Status& s) {
  if (!s.ok()) throw fail("{}", s.message());
}

/// How the second of two launches runs.
Exec after_first(Exec exec) {
  exec.chain = Chain::early;
  return exec;
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

/// The row of the indexer that comes along with one of CSA.
PerfRow indexer_of(PerfRow row) {
  row.geometry = Indexer::value;
  row.format = RowFormat::index_fp8;
  return row;
}

}  // namespace

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
  const std::int64_t longest = *std::max_element(b.positions.begin(), b.positions.end()) + 1;
  call_.weights.rope = TensorView::packed(held.keep(random_floats(longest * g.rope_dim, 13)),
                                          DType::f32, longest, g.rope_dim);
  // Ops that pool from the state read all of it, and take no other policy.
  if (api::selects_state(row.op)) call_.write = {row.policy, 0};
  if (row.without_plan) return;
  call_.plan = {held.keep(std::make_unique<DeviceMemory>(plan_bytes(row.tokens))), row.tokens};
}

std::int64_t LayerOnGpu::set_bytes() const {
  return 4 * (projection_ + state_ + compressed_) + batch_.cache_pages * cache_stride_;
}

Call LayerOnGpu::make_call(std::int64_t i) {
  const Geometry& g = row_.geometry;
  Call c = call_;
  const auto seed = static_cast<std::uint32_t>(100 + 7 * i);
  // A layer's own; what batch, block table, plan and RoPE table hold is the step's, read by every
  // layer, and stays in the L2.
  c.weights.ape = TensorView::packed(held_.keep(random_floats(g.ratio * g.state_width(), seed + 3)),
                                     DType::f32, g.ratio, g.state_width());
  c.weights.norm =
      TensorView::packed(held_.keep(random_floats(g.head_dim, seed + 4)), DType::f32, g.head_dim);
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

PerfCalls::PerfCalls(const PerfRow& row, const Exec& exec) : row_(row), layer_(row, held_) {
  if (row.with_indexer) indexer_.emplace(indexer_of(row), held_);
  if (!row.without_plan) check(plan(layer_.common(), exec));
  if (indexer_) {
    indexer_->common().batch.positions = layer_.common().batch.positions;
    indexer_->common().batch.token_to_req = layer_.common().batch.token_to_req;
    indexer_->common().plan = layer_.common().plan;
  }
  const std::int64_t set = layer_.set_bytes() + (indexer_ ? indexer_->set_bytes() : 0);
  const std::int64_t touched = std::max<std::int64_t>(bytes().read + bytes().written, 1);
  std::int64_t sets = std::clamp<std::int64_t>(kRotation / touched + 1, 2, kMostSets);
  sets = std::max<std::int64_t>(1, std::min(sets, kLargest / set));
  for (std::int64_t i = 0; i < sets; ++i) {
    calls_.push_back(layer_.make_call(i));
    if (indexer_) indexers_.push_back(indexer_->make_call(i));
  }
  must(cudaDeviceSynchronize(), "setting up");
}

PerfBytes PerfCalls::bytes() const {
  return indexer_ ? layer_.bytes() + indexer_->bytes() : layer_.bytes();
}

std::string PerfCalls::code(const Exec& exec) const {
  std::string code;
  check(indexer_ ? describe_csa_step(calls_[0], indexers_[0], exec, &code)
                 : describe(row_.op, calls_[0], exec, &code));
  if (!row_.with_store) return code;
  // Both are of one family, "cuda/hca-special": the ops tell which is which.
  std::string store;
  check(describe(Op::norm_rope_store, calls_[0], after_first(exec), &store));
  return fmt::format("{}: {}; {}: {}", name(row_.op), code, name(Op::norm_rope_store), store);
}

void PerfCalls::launch(std::int64_t i, const Exec& exec) const {
  const auto k = static_cast<std::size_t>(i);
  check(indexer_ ? csa_step(calls_[k], indexers_[k], exec) : run(row_.op, calls_[k], exec));
  if (row_.with_store) check(run(Op::norm_rope_store, calls_[k], after_first(exec)));
}

std::vector<PagedWindows> PerfCalls::windows() const {
  std::vector<PagedWindows> out;
  for (const Call& call : calls_) {
    if (const auto w = layer_.windows_of(call)) out.push_back(*w);
  }
  return out;
}

std::vector<TensorView> PerfCalls::projections(std::int64_t i) const {
  const auto k = static_cast<std::size_t>(i);
  std::vector<TensorView> out{calls_[k].projection};
  if (indexer_) out.push_back(indexers_[k].projection);
  return out;
}

}  // namespace pleat::tools
