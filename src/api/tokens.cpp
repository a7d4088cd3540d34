// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/tokens.hpp"

#include "api/plan_layout.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pleat::api {
namespace {

template <class T>
T value_at(const TensorView& v, std::int64_t t, T absent) {
  return v.given() ? static_cast<const T*>(v.data)[t] : absent;
}

}  // namespace

TokenIndices indices_of(const Batch& batch, std::int64_t t) {
  return {value_at<std::int64_t>(batch.positions, t, 0),
          value_at<std::int32_t>(batch.token_to_req, t, 0),
          value_at<std::int64_t>(batch.state_slots, t, 0),
          value_at<std::int64_t>(batch.kv_slots, t, -1)};
}

std::string token_of(Arg arg, std::int64_t token) {
  return fmt::format("{}[{}]", rule_of(arg).name, token);
}

std::int64_t first_written(const Call& call, std::int64_t length) {
  const Geometry& g = call.compressor.geometry;
  std::int64_t first = 0;
  if (call.state.layout == StateLayout::ring) first = length - call.state.pages.shape[1];
  if (call.write.policy == StatePolicy::tail) {
    first = std::max(first, tail_start(length, call.write.rollback, g.ratio, g.overlap));
  }
  return first;
}

std::vector<TokenUse> token_uses(Op op, const Call& call) {
  std::vector<TokenUse> uses(static_cast<std::size_t>(call.batch.positions.shape[0]));
  if (!selects_state(op)) return uses;
  const std::int64_t window = call.compressor.geometry.window();
  for_each_run(call.batch, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t written = first_written(call, indices_of(call.batch, end - 1).position + 1);
    for (std::int64_t t = begin; t < end; ++t) {
      TokenUse& use = uses[static_cast<std::size_t>(t)];
      use.row_written = indices_of(call.batch, t).position >= written;
      if (op == Op::step) {
        use.fresh = static_cast<std::int32_t>(std::min<std::int64_t>(window, t - begin + 1));
      }
    }
  });
  return uses;
}

}  // namespace pleat::api
