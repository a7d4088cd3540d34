// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "reference/backend.hpp"

#include <vector>

#include "api/plan_layout.hpp"
#include "numerics/rounding.hpp"
#include "reference/fold.hpp"
#include "reference/rows.hpp"

namespace pleat::reference {

namespace {

std::int64_t tokens_of(const Call& call) {
  return call.batch.positions.shape[0];
}

void make_plan(const Call& call) {
  const Geometry& g = call.compressor.geometry;
  const PlanPointers out = plan_pointers(call.plan.data, call.plan.capacity);
  const bool listed = lists_saves(call);
  PlanHeader h = plan_header(call);
  for (std::int32_t t = 0; t < h.tokens; ++t) {
    if (listed && is_saved(call, t)) out.saves[h.saves++] = t;
    if (!closes(call.batch, t, g.ratio)) continue;
    const auto row = static_cast<std::int32_t>(position_of(call.batch, t) / g.ratio);
    out.entries[h.closing++] = {t, request_of(call.batch, t), row,
                                fresh_rows(call.batch, t, g.window())};
  }
  if (!listed) h.saves = kEveryLiveToken;
  *out.header = h;
}

void put(const TensorView& v, std::int64_t page, std::int64_t row, std::int64_t c, float x) {
  if (v.dtype == DType::bf16) {
    *at<std::uint16_t>(v, page, row, c) = numerics::bf16_bits(x);
  } else {
    *at<float>(v, page, row, c) = x;
  }
}

void save(const Call& call) {
  const Geometry& g = call.compressor.geometry;
  const bool early = g.ape && !traits_of(call.compressor.recipe).ape_when_pooled;
  const std::int64_t rows = call.state.pages.shape[1];
  for (std::int64_t t = 0; t < tokens_of(call); ++t) {
    if (!is_saved(call, t)) continue;
    const std::int64_t slot = *at<std::int64_t>(call.batch.state_slots, t);
    const std::int64_t phase = position_of(call.batch, t) % g.ratio;
    for (std::int32_t c = 0; c < g.row_width(); ++c) {
      float x = element(call.projection, t, c);
      if (early && c >= g.state_width()) {
        x = x + *at<float>(call.weights.ape, phase, c - g.state_width());
      }
      put(call.state.pages, slot / rows, slot % rows, c, x);
    }
  }
}

/// Pools the window that token t closes.
void pool(const Call& call, std::int64_t t, bool from_state_only, float* pooled) {
  const Geometry& g = call.compressor.geometry;
  const std::int32_t window = g.window();
  const std::int64_t p = position_of(call.batch, t);
  const std::int32_t absent = static_cast<std::int32_t>(p + 1 < window ? window - (p + 1) : 0);
  const std::int32_t fresh = from_state_only ? 0 : fresh_rows(call.batch, t, window);
  const RowSource rows{call, from_state_only};
  std::vector<float> kv(static_cast<std::size_t>(window));
  std::vector<numerics::Score> score(kv.size());
  for (std::int32_t c = 0; c < g.head_dim; ++c) {
    for (std::int32_t w = absent; w < window; ++w) {
      const std::int32_t half = g.overlap && w >= g.ratio ? g.head_dim : 0;
      kv[w] = rows.kv(t, window - 1 - w, fresh, half + c);
      score[w] = rows.score(t, window - 1 - w, fresh, half + c);
    }
    pooled[c] = pool_channel(kv, score, absent, traits_of(call.compressor.recipe).pooled_bf16);
  }
}

void store(const Call& call, std::int64_t t, float* row) {
  const Geometry& g = call.compressor.geometry;
  const std::int64_t slot = *at<std::int64_t>(call.batch.kv_slots, t);
  if (slot < 0) return;
  const std::int64_t p = position_of(call.batch, t) / g.ratio * g.ratio;
  norm_rope(call.compressor, call.weights.norm, at<float>(call.weights.rope, p), row);
  const RowLayout layout = row_layout(call.compressor.row_format, g);
  const std::int64_t rows = call.cache.shape[1];
  std::uint8_t* page = at<std::uint8_t>(call.cache, slot / rows);
  const float fp8_scale =
      call.weights.fp8_scale.given() ? *at<float>(call.weights.fp8_scale, 0) : 1.0F;
  encode(call.compressor, row, fp8_scale, page + layout.value_offset(slot % rows),
         page + layout.scale_offset(rows, slot % rows));
}

void fold(const Call& call, Op op) {
  const Geometry& g = call.compressor.geometry;
  std::vector<float> row(static_cast<std::size_t>(g.head_dim));
  for (std::int64_t t = 0; t < tokens_of(call); ++t) {
    if (!closes(call.batch, t, g.ratio)) continue;
    if (op == Op::norm_rope_store) {
      for (std::int32_t c = 0; c < g.head_dim; ++c)
        row[c] = *at<float>(call.compressed, t, c);
    } else {
      pool(call, t, op != Op::step, row.data());
    }
    if (op == Op::compress) {
      for (std::int32_t c = 0; c < g.head_dim; ++c)
        *at<float>(call.compressed, t, c) = row[c];
    } else {
      store(call, t, row.data());
    }
  }
}

}  // namespace

Status usable(const Exec& /*exec*/) {
  return {};
}

Status run(Op op, const Call& call, const Exec& /*exec*/) {
  if (tokens_of(call) == 0 && op != Op::plan) return {};
  switch (op) {
    case Op::plan:
      make_plan(call);
      break;
    case Op::save_state:
      save(call);
      break;
    case Op::compress:
    case Op::norm_rope_store:
    case Op::compress_store:
      fold(call, op);
      break;
    case Op::step:
      fold(call, op);  // first: a ring's old rows are read before this step's replace them
      save(call);
      break;
  }
  return {};
}

std::string describe(Op /*op*/, const Call& /*call*/, const Exec& /*exec*/) {
  return "reference/scalar";
}

Status run_pair(const Call& main, const Call& indexer, const Exec& exec) {
  if (Status s = reference::run(Op::step, main, exec); !s.ok()) return s;
  return reference::run(Op::step, indexer, exec);
}

std::string describe_pair(const Call& main, const Call& /*indexer*/, const Exec& exec) {
  return reference::describe(Op::step, main, exec);
}

}  // namespace pleat::reference
