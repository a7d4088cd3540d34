// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/checked.hpp"

#include "api/arguments.hpp"
#include "api/batch_check.hpp"
#include "api/plan_check.hpp"
#include "api/refuse.hpp"
#include "api/tokens.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

namespace pleat::api {
namespace {

Status out_of_range(Arg arg, std::int64_t token, const std::string& expected,
                    const std::string& got) {
  return refusal(StatusCode::out_of_range, token_of(arg, token), expected, got);
}

Status check_scale(const TensorView& scale) {
  if (!scale.given()) return {};
  const float value = *static_cast<const float*>(scale.data);
  if (std::isfinite(value) && value > 0) return {};
  return refusal(StatusCode::out_of_range, "weights.fp8_scale[0]", "greater than 0 and finite",
                 fmt::to_string(value));
}

}  // namespace

IndexLimits limits_of(Op op, const Call& call) {
  IndexLimits l;
  const Geometry& g = call.compressor.geometry;
  const TensorView& pages = call.state.pages;
  const TensorView& table = call.state.block_table;
  l.ratio = g.ratio;
  l.window = g.window();
  l.uses_requests = use_of(op, Arg::token_to_req, call) == Use::read;
  l.ring = call.state.layout == StateLayout::ring;
  if (use_of(op, Arg::state_pages, call) != Use::no) {
    l.pages = pages.shape[0];
    l.page_rows = pages.shape[1];
    l.state_rows = l.pages * l.page_rows;
  }
  if (use_of(op, Arg::block_table, call) == Use::read) {
    l.requests = table.shape[0];
    l.blocks = table.shape[1];
    l.block_table = static_cast<const std::int32_t*>(table.data);
    l.table_stride = table.stride[0];
    l.reads_window = true;
    l.slot_from_table = op == Op::step;
  }
  l.slot_in_ring = op == Op::save_state && l.ring;  // step's table says more
  if (stores_rows(op)) {
    l.kv_rows = call.cache.shape[0] * call.cache.shape[1];
    l.rope_positions = call.weights.rope.shape[0];
  }
  return l;
}

Status explain(const IndexLimits& limits, std::int64_t token, const TokenIndices& indices,
               const IndexFinding& f) {
  const auto range = [&](const char* of) {
    return fmt::format("from 0 to {} ({})", f.limit - 1, of);
  };
  switch (f.fault) {
    case IndexFault::none:
      return {};
    case IndexFault::position:
      return out_of_range(Arg::positions, token, range("a position"), fmt::to_string(f.got));
    case IndexFault::request:
      return out_of_range(
          Arg::token_to_req, token,
          range(limits.requests != IndexLimits::kUnbounded ? "rows of state.block_table"
                                                           : "a request"),
          fmt::to_string(f.got));
    case IndexFault::state_slot:
      return out_of_range(Arg::state_slots, token,
                          fmt::format("less than {} ({} pages of {} rows)", f.limit, limits.pages,
                                      limits.page_rows),
                          fmt::to_string(f.got));
    case IndexFault::table_column:
      return out_of_range(
          Arg::positions, token,
          fmt::format("a position whose window lies in the {} blocks of "
                      "state.block_table",
                      f.limit),
          fmt::format("{}, which needs block {} for position {}", indices.position, f.got, f.at));
    case IndexFault::table_page:
      return refusal(StatusCode::out_of_range,
                     fmt::format("state.block_table[{}][{}]", indices.request,
                                 limits.ring ? 0 : f.at / limits.page_rows),
                     range("pages"),
                     fmt::format("{}, needed by token {} for position {}", f.got, token, f.at));
    case IndexFault::slot_of_table:
      return out_of_range(Arg::state_slots, token,
                          fmt::format("{} (what state.block_table says of request {}, position {})",
                                      f.limit, indices.request, f.at),
                          fmt::to_string(f.got));
    case IndexFault::ring_row:
      return out_of_range(Arg::state_slots, token,
                          fmt::format("one in row {} of a ring of {} rows, as its position is {}",
                                      f.limit, limits.page_rows, f.at),
                          fmt::format("{} in row {}", f.got, f.got % limits.page_rows));
    case IndexFault::kv_slot:
      return out_of_range(Arg::kv_slots, token,
                          fmt::format("less than {} (rows of the cache)", f.limit),
                          fmt::to_string(f.got));
    case IndexFault::rope_row:
      return refusal(
          StatusCode::out_of_range, "weights.rope",
          fmt::format("a row for position {}, where the window of token {} begins", f.limit, token),
          fmt::format("{} rows", f.got));
  }
  return {StatusCode::internal, "unknown finding"};
}

Status check_indices(Op op, const Call& call) {
  const IndexLimits limits = limits_of(op, call);
  const auto check_each = [&](const auto& check) {
    Status fault;
    for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& indices) {
      if (!fault.ok()) return;
      const IndexFinding found = check(t, indices);
      if (found.fault != IndexFault::none) fault = explain(limits, t, indices, found);
    });
    return fault;
  };
  if (Status s = check_each([&](std::int64_t /*t*/, const TokenIndices& indices) {
        return check_identity(limits, indices);
      });
      !s.ok()) {
    return s;
  }
  if (Status s = check_runs(op, call); !s.ok()) return s;
  const std::vector<TokenUse> uses = token_uses(op, call);
  if (Status s = check_each([&](std::int64_t t, const TokenIndices& indices) {
        return check_rows(limits, indices, uses[static_cast<std::size_t>(t)]);
      });
      !s.ok()) {
    return s;
  }
  if (Status s = check_batch(op, call, limits, uses); !s.ok()) return s;
  if (Status s = check_scale(call.weights.fp8_scale); !s.ok()) return s;
  return check_plan_contents(op, call);
}

}  // namespace pleat::api
