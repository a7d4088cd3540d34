// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/pair.hpp"

#include "api/arguments.hpp"
#include "api/batch_check.hpp"
#include "api/checked.hpp"
#include "api/names.hpp"
#include "api/overlap.hpp"
#include "api/plan_check.hpp"
#include "api/refuse.hpp"
#include "api/tokens.hpp"
#include "api/validate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace pleat::api {
namespace {

Status in(std::string_view call, const Status& s) {
  if (s.ok()) return {};
  return {s.code(), fmt::format("{}.{}", call, s.message())};
}

Status check_is(std::string_view call, const Geometry& expected, const Geometry& got) {
  if (got == expected) return {};
  return invalid(fmt::format("{}.compressor.geometry", call), geometry_name(expected),
                 std::string_view(geometry_name(got)));
}

/// The indexer's is refused; `expected` is what main's call says. `what`: of the argument, as in
/// "length ".
template <class Value>
Status as_main(std::string_view argument, const Value& expected, const Value& got,
               std::string_view what = "") {
  if (got == expected) return {};
  return invalid(fmt::format("indexer.{}", argument),
                 fmt::format("{}{}, as main's", what, expected),
                 std::string_view(fmt::format("{}", got)));
}

Status check_pointer(std::string_view argument, const void* expected, const void* got) {
  if (got == expected) return {};  // text is made for a refusal only
  return as_main(argument, fmt::format("{}", fmt::ptr(expected)), fmt::format("{}", fmt::ptr(got)),
                 "what lies at ");
}

/// One launch reads these once, for both.
Status check_shared_array(Arg arg, const Call& main, const Call& indexer) {
  const TensorView& a = view_of(main, arg);
  const TensorView& b = view_of(indexer, arg);
  if (Status s = as_main(rule_of(arg).name, a.shape[0], b.shape[0], "length "); !s.ok()) return s;
  return a.shape[0] == 0 ? Status{} : check_pointer(rule_of(arg).name, a.data, b.data);
}

/// What a plan is made for, and the plan.
Status check_same_step(const Call& main, const Call& indexer) {
  if (Status s = check_shared_array(Arg::positions, main, indexer); !s.ok()) return s;
  if (Status s = check_shared_array(Arg::token_to_req, main, indexer); !s.ok()) return s;
  if (Status s = as_main<std::string_view>("write.policy", name(main.write.policy),
                                           name(indexer.write.policy));
      !s.ok()) {
    return s;
  }
  if (Status s = as_main("write.rollback", main.write.rollback, indexer.write.rollback); !s.ok()) {
    return s;
  }
  if (Status s = as_main<std::string_view>("state.layout", name(main.state.layout),
                                           name(indexer.state.layout));
      !s.ok()) {
    return s;
  }
  if (main.state.layout == StateLayout::ring) {
    if (Status s = as_main("state.pages", main.state.pages.shape[1], indexer.state.pages.shape[1],
                           "a ring of ");
        !s.ok()) {
      return s;
    }
  }
  if (Status s = check_pointer("plan", main.plan.data, indexer.plan.data); !s.ok()) return s;
  if (main.plan.data == nullptr) return {};
  return as_main("plan.capacity", main.plan.capacity, indexer.plan.capacity);
}

Status check_padding(const Call& main, const Call& indexer) {
  for (std::int64_t t = 0; t < main.batch.positions.shape[0]; ++t) {
    const bool live = indices_of(main.batch, t).state_slot >= 0;
    const std::int64_t slot = indices_of(indexer.batch, t).state_slot;
    if (live == (slot >= 0)) continue;
    return refusal(
        StatusCode::out_of_range, fmt::format("indexer.{}[{}]", rule_of(Arg::state_slots).name, t),
        live ? "at least 0, as main's" : "less than 0 (padding), as main's", fmt::to_string(slot));
  }
  return {};
}

/// A paged output of one of the two calls, and its pages that the step touches.
struct Touched {
  const char* name;
  const TensorView* view;
  std::vector<std::int64_t> pages;
};

std::vector<Touched> outputs_of(const char* state, const char* cache, const Call& call) {
  const IndexLimits limits = limits_of(Op::step, call);
  return {{state, &call.state.pages, state_pages_of(call, limits, token_uses(Op::step, call))},
          {cache, &call.cache, cache_pages_of(call, limits)}};
}

/// Outputs of the two in one block pool, which the views alone do not keep apart.
Status check_pools(const Call& main, const Call& indexer) {
  for (const Touched& a : outputs_of("main.state.pages", "main.cache", main)) {
    for (const Touched& b : outputs_of("indexer.state.pages", "indexer.cache", indexer)) {
      if (!may_overlap(*a.view, *b.view) || !share_block_pool(*a.view, *b.view)) continue;
      const std::int64_t stride = b.view->stride[0] * size_of(b.view->dtype);
      const std::int64_t shift =
          (static_cast<char*>(b.view->data) - static_cast<char*>(a.view->data)) / stride;
      for (const std::int64_t page : b.pages) {
        if (!std::binary_search(a.pages.begin(), a.pages.end(), page + shift)) continue;
        return refusal(StatusCode::out_of_range, b.name,
                       fmt::format("no page of the pool that {} has in this step", a.name),
                       fmt::format("page {}, page {} there", page, page + shift));
      }
    }
  }
  return {};
}

}  // namespace

Status validate_pair(const Call& main, const Call& indexer, const Exec& exec) {
  if (Status s = validate_exec(exec); !s.ok()) return s;
  if (Status s = check_is("main", Csa::value, main.compressor.geometry); !s.ok()) return s;
  if (Status s = check_is("indexer", Indexer::value, indexer.compressor.geometry); !s.ok())
    return s;
  if (Status s = in("main", validate_call(Op::step, main)); !s.ok()) return s;
  if (Status s = in("indexer", validate_call(Op::step, indexer)); !s.ok()) return s;
  if (Status s = check_same_step(main, indexer); !s.ok()) return s;
  return check_overlap_between(Op::step, main, indexer);
}

Status check_pair_plan(const Call& main, const Call& indexer) {
  if (Status s = in("main", check_plan_header(Op::step, main)); !s.ok()) return s;
  return in("indexer", check_plan_header(Op::step, indexer));
}

Status check_pair_indices(const Call& main, const Call& indexer) {
  if (Status s = in("main", check_indices(Op::step, main)); !s.ok()) return s;
  if (Status s = check_padding(main, indexer); !s.ok()) return s;
  if (Status s = in("indexer", check_indices(Op::step, indexer)); !s.ok()) return s;
  return check_pools(main, indexer);
}

}  // namespace pleat::api
