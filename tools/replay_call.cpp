// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_call.hpp"

#include <algorithm>
#include <iterator>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

constexpr std::uint32_t kStatePoison = 0x4E32D05E;  // 7.5e8 as a float
constexpr std::uint32_t kStatePoisonBf16 = 0x4E334E33;
constexpr std::uint32_t kCachePoison = 0xA5A5A5A5;

void expect_ok(const Status& status) {
  if (!status.ok()) throw fail("replay: {}", status.message());
}

}  // namespace

std::span<const Op> ops_of(ReplayOp op) {
  static constexpr std::array kStep{Op::step};
  static constexpr std::array kSplit{Op::save_state, Op::compress, Op::norm_rope_store};
  if (op == ReplayOp::step) return kStep;
  return kSplit;
}

std::int64_t calls_of(const LayerGroup& group, ReplayOp op) {
  return group.indexer ? 1 : std::ssize(ops_of(op));
}

std::int64_t launches_of(const LayerGroup& group, ReplayOp op) {
  return calls_of(group, op) * kLaunchesOfCall;
}

Pages state_of(const ReplaySetup& setup, std::size_t kind) {
  const KindSpec& spec = setup.model.kinds[kind];
  const std::int64_t element = size_of(setup.state);
  return {setup.state_pages[kind],
          spec.state_page_rows * spec.compressor.geometry.row_width() * element,
          spec.state_page_stride * element,
          setup.state == DType::bf16 ? kStatePoisonBf16 : kStatePoison};
}

Pages cache_of(const ReplaySetup& setup, std::size_t kind) {
  const KindSpec& spec = setup.model.kinds[kind];
  return {setup.kv_pages[kind], spec.row().page_bytes(spec.kv_page_rows), spec.kv_page_stride,
          kCachePoison};
}

std::int64_t page_bytes(const ReplaySetup& setup) {
  std::int64_t bytes = 0;
  for (const Layer& layer : setup.model.layers)
    bytes += state_of(setup, layer.kind).bytes() + cache_of(setup, layer.kind).bytes();
  return bytes;
}

std::int64_t projection_bytes(const ReplaySetup& setup, std::size_t kind) {
  return setup.max_tokens * setup.model.kinds[kind].compressor.geometry.row_width() *
         size_of(setup.projection);
}

std::int64_t compressed_bytes(const ReplaySetup& setup, std::size_t kind) {
  if (setup.op == ReplayOp::step) return 0;
  return setup.max_tokens * setup.model.kinds[kind].compressor.geometry.head_dim * 4;
}

RowPlace place_of(const KindSpec& spec, std::int64_t kv_slot) {
  const RowLayout row = spec.row();
  const std::int64_t page = kv_slot / spec.kv_page_rows * spec.kv_page_stride;
  const std::int64_t in_page = kv_slot % spec.kv_page_rows;
  return {page + row.value_offset(in_page), page + row.scale_offset(spec.kv_page_rows, in_page)};
}

Call call_of(const ReplaySetup& setup, std::size_t layer, std::int64_t tokens,
             const CallMemory& memory) {
  const Layer& l = setup.model.layers[layer];
  const KindSpec& spec = setup.model.kind_of(l);
  const Geometry& g = spec.compressor.geometry;
  Call call;
  call.compressor = spec.compressor;
  call.batch.positions = TensorView::packed(memory.positions, DType::i64, tokens);
  call.batch.token_to_req = TensorView::packed(memory.token_to_req, DType::i32, tokens);
  call.batch.state_slots = TensorView::packed(memory.state_slots, DType::i64, tokens);
  call.batch.kv_slots = TensorView::packed(memory.kv_slots, DType::i64, tokens);
  call.projection = TensorView::packed(memory.projection, setup.projection, tokens, g.row_width());
  call.state.pages = TensorView::paged(memory.state, setup.state, setup.state_pages[l.kind],
                                       spec.state_page_rows, g.row_width(), spec.state_page_stride);
  call.state.block_table =
      TensorView::packed(memory.table, DType::i32, setup.slots, setup.state_blocks[l.kind]);
  if (setup.op == ReplayOp::split) {
    call.compressed = TensorView::packed(memory.compressed, DType::f32, tokens, g.head_dim);
  }
  call.cache = TensorView::paged(memory.cache, DType::u8, setup.kv_pages[l.kind], spec.kv_page_rows,
                                 spec.row().row_bytes(), spec.kv_page_stride);
  call.weights.ape = TensorView::packed(memory.ape, DType::f32, g.ratio, g.state_width());
  call.weights.norm = TensorView::packed(memory.norm, DType::bf16, g.head_dim);
  call.weights.rope = TensorView::packed(memory.rope, DType::f32, setup.max_positions, g.rope_dim);
  if (spec.compressor.row_format == RowFormat::fp8_tensor) {
    call.weights.fp8_scale = TensorView::packed(memory.fp8_scale, DType::f32, 1);
  }
  call.write = setup.write;
  call.plan = {memory.plan, setup.max_tokens};
  return call;
}

std::vector<std::size_t> planning_layers(const ReplaySetup& setup) {
  const std::vector<std::size_t> plan_of = setup.plan_of_kinds();
  std::vector<std::size_t> layers;
  for (std::size_t layer = 0; layer < setup.model.layers.size(); ++layer) {
    if (plan_of[setup.model.layers[layer].kind] == layers.size()) layers.push_back(layer);
  }
  return layers;
}

void run_ops(const ReplaySetup& setup, const Call& call) {
  for (const Op op : ops_of(setup.op))
    expect_ok(run(op, call, setup.exec));
}

void run_ops(const ReplaySetup& setup, const Call& main, const Call& indexer) {
  expect_ok(csa_step(main, indexer, setup.exec));
}

void make_plan(const ReplaySetup& setup, const Call& call) {
  expect_ok(plan(call, setup.exec));
}

std::string describe_kind(const ReplaySetup& setup, std::size_t kind,
                          const std::function<Call(std::size_t)>& call) {
  const std::vector<LayerGroup> groups = groups_of(setup);
  const auto group = std::find_if(groups.begin(), groups.end(), [&](const LayerGroup& g) {
    return setup.model.layers[g.layer].kind == kind ||
           (g.indexer && setup.model.layers[*g.indexer].kind == kind);
  });
  if (group == groups.end()) return "nothing ran";
  std::string text;
  if (group->indexer) {
    expect_ok(describe_csa_step(call(group->layer), call(*group->indexer), setup.exec, &text));
  } else {
    const Op op = setup.op == ReplayOp::step ? Op::step : Op::compress;
    expect_ok(describe(op, call(group->layer), setup.exec, &text));
  }
  return text;
}

void add_seconds(const ReplaySetup& setup, const LayerGroup& group, double seconds,
                 std::vector<double>* of_kinds) {
  const Layer& layer = setup.model.layers[group.layer];
  if (!group.indexer) {
    (*of_kinds)[layer.kind] += seconds;
    return;
  }
  const Layer& indexer = setup.model.layers[*group.indexer];
  const double width = setup.model.kind_of(layer).compressor.geometry.row_width();
  const double other = setup.model.kind_of(indexer).compressor.geometry.row_width();
  (*of_kinds)[layer.kind] += seconds * width / (width + other);
  (*of_kinds)[indexer.kind] += seconds * other / (width + other);
}

}  // namespace pleat::tools
