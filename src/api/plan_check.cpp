// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/plan_check.hpp"

#include "api/arguments.hpp"
#include "api/plan_layout.hpp"
#include "api/refuse.hpp"
#include "api/tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace pleat::api {
namespace {

/// What to do about a plan that was never made, or for another batch or padding.
constexpr auto* kMakeItAnew = "; call plan() with this batch first";

template <class T>
Status differs(std::string_view field, const T& expected, const T& got) {
  return invalid(fmt::format("plan ({})", field), fmt::format("made for {}", expected),
                 fmt::format("{}{}", got, kMakeItAnew));
}

/// The name of what a plan's memory says, which may be any number.
template <class Enum>
std::string name_in_plan(std::int32_t value, Enum last) {
  const bool known = value >= 0 && value <= static_cast<std::int32_t>(last);
  return known ? name(static_cast<Enum>(value)) : fmt::to_string(value);
}

/// The lists, made anew. A request's tokens stand together, so its run says all.
struct Lists {
  std::vector<PlanEntry> closing;
  std::vector<std::int32_t> saves;
};

void add_run(const Call& call, std::int64_t begin, std::int64_t end, Lists* lists) {
  const Geometry& g = call.compressor.geometry;
  const std::int64_t written = first_written(call, indices_of(call.batch, end - 1).position + 1);
  for (std::int64_t t = begin; t < end; ++t) {
    const TokenIndices i = indices_of(call.batch, t);
    if (i.position >= written) lists->saves.push_back(static_cast<std::int32_t>(t));
    if ((i.position + 1) % g.ratio != 0) continue;
    const std::int64_t fresh = std::min<std::int64_t>(g.window(), t - begin + 1);
    lists->closing.push_back({static_cast<std::int32_t>(t), i.request,
                              static_cast<std::int32_t>(i.position / g.ratio),
                              static_cast<std::int32_t>(fresh)});
  }
}

Lists lists_of(const Call& call) {
  Lists lists;
  for_each_run(call.batch,
               [&](std::int64_t begin, std::int64_t end) { add_run(call, begin, end, &lists); });
  return lists;
}

/// norm_rope_store knows no requests, so it holds a plan to tokens and rows only.
bool same(const PlanEntry& want, const PlanEntry& got, bool requests) {
  if (want.token != got.token || want.row != got.row) return false;
  return !requests || (want.request == got.request && want.fresh == got.fresh);
}

Status check_closing(const Call& call, const PlanHeader& header, const PlanEntry* entries,
                     const std::vector<PlanEntry>& want) {
  const auto count = static_cast<std::int64_t>(want.size());
  if (header.closing != count) {
    return refusal(StatusCode::out_of_range, "plan",
                   fmt::format("{} closing tokens, as the batch has", count),
                   fmt::format("{}{}", header.closing, kMakeItAnew));
  }
  const bool requests = call.batch.token_to_req.given();
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (same(want[i], entries[i], requests)) continue;
    const auto text = [](const PlanEntry& e) {
      return fmt::format("token {} of request {}, row {}, {} window rows of this step", e.token,
                         e.request, e.row, e.fresh);
    };
    return refusal(StatusCode::out_of_range, fmt::format("plan entry {}", i), text(want[i]),
                   text(entries[i]) + kMakeItAnew);
  }
  return {};
}

Status check_saves(const PlanHeader& header, const std::int32_t* saves,
                   const std::vector<std::int32_t>& want) {
  const auto count = static_cast<std::int64_t>(want.size());
  if (header.saves != count) {
    return refusal(StatusCode::out_of_range, "plan",
                   fmt::format("{} tokens whose state is written", count),
                   fmt::format("{}{}", header.saves, kMakeItAnew));
  }
  const auto at = std::mismatch(want.begin(), want.end(), saves);
  if (at.first == want.end()) return {};
  return refusal(StatusCode::out_of_range, fmt::format("plan save {}", at.first - want.begin()),
                 fmt::format("token {}", *at.first),
                 fmt::format("token {}{}", *at.second, kMakeItAnew));
}

}  // namespace

Status check_plan_header(Op op, const Call& call) {
  if (op == Op::plan || call.plan.data == nullptr) return {};
  const PlanHeader& h = *plan_pointers(call.plan.data, call.plan.capacity).header;
  const Geometry& g = call.compressor.geometry;
  const std::int64_t tokens = call.batch.positions.shape[0];
  if (h.tokens != tokens) return differs("tokens", tokens, std::int64_t{h.tokens});
  if (h.ratio != g.ratio) return differs("ratio", g.ratio, h.ratio);
  if (h.window != g.window()) return differs("window", g.window(), h.window);
  if (!selects_state(op)) return {};
  if (h.policy != static_cast<std::int32_t>(call.write.policy)) {
    return differs("state policy", std::string(name(call.write.policy)),
                   name_in_plan(h.policy, StatePolicy::tail));
  }
  if (h.layout != static_cast<std::int32_t>(call.state.layout)) {
    return differs("state layout", std::string(name(call.state.layout)),
                   name_in_plan(h.layout, StateLayout::ring));
  }
  if (call.write.policy == StatePolicy::tail && h.rollback != call.write.rollback) {
    return differs("rollback", call.write.rollback, h.rollback);
  }
  if (h.capacity != call.plan.capacity) return differs("capacity", call.plan.capacity, h.capacity);
  return {};
}

Status check_plan_contents(Op op, const Call& call) {
  if (op == Op::plan || call.plan.data == nullptr) return {};
  const PlanPointers plan = plan_pointers(call.plan.data, call.plan.capacity);
  const Lists want = lists_of(call);
  if (Status s = check_closing(call, *plan.header, plan.entries, want.closing); !s.ok()) return s;
  if (!selects_state(op)) return {};
  if (lists_saves(call)) return check_saves(*plan.header, plan.saves, want.saves);
  if (plan.header->saves == kEveryLiveToken) return {};
  return refusal(StatusCode::out_of_range, "plan", "no list of tokens whose state is written",
                 fmt::format("{}{}", plan.header->saves, kMakeItAnew));
}

}  // namespace pleat::api
