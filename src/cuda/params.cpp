// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/params.hpp"

#include <algorithm>
#include <bit>

namespace pleat::cuda {

namespace {

template <class T>
T* pointer(const TensorView& v) {
  return static_cast<T*>(v.data);
}

}  // namespace

bool adds_bias(Op op, const Call& call) {
  if (!call.weights.ape.given()) return false;
  return op == Op::save_state || op == Op::step ||
         traits_of(call.compressor.recipe).ape_when_pooled;
}

FoldParams make_params(Op op, const Call& call) {
  const Compressor& c = call.compressor;
  FoldParams p{};
  p.positions = pointer<const std::int64_t>(call.batch.positions);
  p.token_to_req = pointer<const std::int32_t>(call.batch.token_to_req);
  p.state_slots = pointer<const std::int64_t>(call.batch.state_slots);
  p.kv_slots = pointer<const std::int64_t>(call.batch.kv_slots);
  p.tokens = static_cast<std::int32_t>(call.batch.positions.shape[0]);
  if (call.plan.data != nullptr && op != Op::plan) {
    const PlanPointers plan = plan_pointers(call.plan.data, call.plan.capacity);
    p.plan = plan.header;
    p.entries = plan.entries;
    p.saves = plan.saves;
  }
  if (op == Op::save_state || op == Op::step) {
    p.projection = call.projection.data;
    p.projection_stride = call.projection.stride[0];
  }
  p.state = call.state.pages.data;
  p.page_stride = call.state.pages.stride[0];
  p.row_stride = call.state.pages.stride[1];
  p.page_rows = static_cast<std::int32_t>(call.state.pages.shape[1]);
  const auto rows = static_cast<std::uint32_t>(p.page_rows);
  p.page_shift = std::has_single_bit(rows) ? std::countr_zero(rows) : -1;
  p.block_table = pointer<const std::int32_t>(call.state.block_table);
  p.table_stride = call.state.block_table.stride[0];
  p.ring = call.state.layout == StateLayout::ring;
  p.compressed = pointer<float>(call.compressed);
  p.compressed_stride = call.compressed.stride[0];
  p.cache = pointer<std::uint8_t>(call.cache);
  p.cache_page_stride = call.cache.stride[0];
  p.cache_rows = static_cast<std::int32_t>(call.cache.shape[1]);
  p.ape = adds_bias(op, call) ? pointer<const float>(call.weights.ape) : nullptr;
  p.ape_stride = call.weights.ape.stride[0];
  p.norm = call.weights.norm.data;
  p.norm_bf16 = call.weights.norm.dtype == DType::bf16;
  p.rope = pointer<const float>(call.weights.rope);
  p.rope_stride = call.weights.rope.stride[0];
  p.rope_windows = static_cast<std::int32_t>(std::min<std::int64_t>(
      divide_up(call.weights.rope.shape[0], c.geometry.ratio), kEveryWindow));
  p.fp8_scale = pointer<const float>(call.weights.fp8_scale);
  p.eps = c.eps;
  p.recipe = traits_of(c.recipe);
  p.format = c.row_format;
  p.value_bytes = row_layout(c.row_format, c.geometry).value_bytes;
  p.scale_bytes = row_layout(c.row_format, c.geometry).scale_bytes;
  p.output = op == Op::compress ? Output::compressed : Output::cache;
  p.policy = call.write.policy;
  p.rollback = call.write.rollback;
  p.writes_through = op == Op::step && (p.ring || p.policy == StatePolicy::all);
  return p;
}

}  // namespace pleat::cuda
