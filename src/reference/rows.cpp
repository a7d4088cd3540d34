// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "reference/rows.hpp"

#include <algorithm>

#include "api/plan_layout.hpp"
#include "numerics/rounding.hpp"

namespace pleat::reference {

float element(const TensorView& v, std::int64_t i, std::int64_t j, std::int64_t k) {
  return v.dtype == DType::bf16 ? numerics::bf16_value(*at<std::uint16_t>(v, i, j, k))
                                : *at<float>(v, i, j, k);
}

std::int32_t fresh_rows(const Batch& b, std::int64_t t, std::int32_t window) {
  const std::int64_t p = position_of(b, t);
  std::int32_t n = 1;
  while (n < window && t - n >= 0 && is_live(b, t - n) &&
         request_of(b, t - n) == request_of(b, t) && position_of(b, t - n) == p - n) {
    ++n;
  }
  return n;
}

std::int64_t length_after(const Batch& b, std::int64_t t) {
  std::int64_t last = t;
  while (last + 1 < b.positions.shape[0] && is_live(b, last + 1) &&
         request_of(b, last + 1) == request_of(b, t)) {
    ++last;
  }
  return position_of(b, last) + 1;
}

bool is_saved(const Call& call, std::int64_t t) {
  if (!is_live(call.batch, t)) return false;
  const bool ring = call.state.layout == StateLayout::ring;
  if (call.write.policy == StatePolicy::all && !ring) return true;
  const Geometry& g = call.compressor.geometry;
  const std::int64_t p = position_of(call.batch, t);
  const std::int64_t n = length_after(call.batch, t);
  if (ring && p < n - call.state.pages.shape[1]) return false;
  return call.write.policy == StatePolicy::all ||
         p >= tail_start(n, call.write.rollback, g.ratio, g.overlap);
}

Place state_place(const StateView& s, std::int32_t request, std::int64_t position) {
  const std::int64_t rows = s.pages.shape[1];
  const std::int64_t block = s.layout == StateLayout::ring ? 0 : position / rows;
  return {*at<std::int32_t>(s.block_table, request, block), position % rows};
}

float kept(DType state, float x) {
  return state == DType::bf16 ? numerics::to_bf16(x) : x;
}

float RowSource::kv(std::int64_t t, std::int32_t back, std::int32_t fresh, std::int32_t c) const {
  if (!from_state_only && back < fresh) {
    return kept(call.state.pages.dtype, element(call.projection, t - back, c));
  }
  const Place at =
      state_place(call.state, request_of(call.batch, t), position_of(call.batch, t) - back);
  return element(call.state.pages, at.page, at.row, c);
}

numerics::Score RowSource::score(std::int64_t t, std::int32_t back, std::int32_t fresh,
                                 std::int32_t c) const {
  const Geometry& g = call.compressor.geometry;
  const std::int64_t p = position_of(call.batch, t) - back;
  const float ape =
      g.ape && call.weights.ape.given() ? *at<float>(call.weights.ape, p % g.ratio, c) : 0.0F;
  const bool late = traits_of(call.compressor.recipe).ape_when_pooled;
  const bool early = g.ape && !late;
  float x = 0;
  if (!from_state_only && back < fresh) {
    x = element(call.projection, t - back, g.state_width() + c);
    if (early) x = x + ape;
    x = kept(call.state.pages.dtype, x);
  } else {
    const Place at = state_place(call.state, request_of(call.batch, t), p);
    x = element(call.state.pages, at.page, at.row, g.state_width() + c);
  }
  return g.ape && late ? numerics::late_sum(x, ape) : numerics::plain_score(x);
}

}  // namespace pleat::reference
