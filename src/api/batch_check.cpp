// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/batch_check.hpp"

#include "api/arguments.hpp"
#include "api/claims.hpp"
#include "api/overlap.hpp"
#include "api/plan_layout.hpp"
#include "api/refuse.hpp"
#include "api/state_check.hpp"
#include "api/tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace pleat::api {
namespace {

/// Rows of this step are found next to their closing token, so a request's tokens must touch.
bool needs_runs(Op op, const Call& call) {
  if (op == Op::plan || op == Op::step) return true;
  if (call.plan.data != nullptr && call.batch.token_to_req.given()) return true;
  return op == Op::save_state && lists_saves(call);
}

/// The token before a run that is another request's.
std::string other_before(const Batch& batch, std::int64_t run) {
  std::int64_t t = run - 1;
  while (indices_of(batch, t).state_slot < 0)
    --t;
  return fmt::format("token {} of request {} between them", t, indices_of(batch, t).request);
}

Status check_touching(const Batch& batch) {
  std::vector<Claim> runs;  // place: the request; owner: where its run begins
  Status fault;
  std::int64_t last_token = -1;
  TokenIndices last{};
  for_each_live(batch, [&](std::int64_t t, const TokenIndices& now) {
    if (!fault.ok()) return;
    if (last_token >= 0 && now.request == last.request) {
      const std::int64_t further = now.position - last.position;
      if (t != last_token + 1 && (further == 1 || further == t - last_token)) {
        fault = refusal(StatusCode::out_of_range, token_of(Arg::state_slots, last_token + 1),
                        fmt::format("no padding between two tokens of request {}", now.request),
                        fmt::to_string(indices_of(batch, last_token + 1).state_slot));
      } else if (further != 1) {
        fault = refusal(
            StatusCode::out_of_range, token_of(Arg::positions, t),
            fmt::format("{}, after token {} of the same request", last.position + 1, last_token),
            fmt::to_string(now.position));
      }
    } else {
      runs.push_back({now.request, t, t});
    }
    last_token = t;
    last = now;
  });
  if (!fault.ok()) return fault;
  sort_claims(&runs);
  const auto conflict = first_conflict(runs);
  if (conflict.empty()) return {};
  return refusal(StatusCode::out_of_range, token_of(Arg::token_to_req, conflict[1].token),
                 fmt::format("the tokens of request {} to stand together, from token {} on",
                             conflict[1].place, conflict[0].token),
                 other_before(batch, conflict[1].token));
}

bool stores(const IndexLimits& limits, const TokenIndices& i) {
  return (i.position + 1) % limits.ratio == 0 && i.kv_slot >= 0;
}

Status check_kv_claims(const Call& call, const IndexLimits& limits) {
  std::vector<Claim> claims;
  for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& i) {
    if (stores(limits, i)) claims.push_back({i.kv_slot, t, t});
  });
  sort_claims(&claims);
  const auto conflict = first_conflict(claims);
  if (conflict.empty()) return {};
  return refusal(StatusCode::out_of_range, token_of(Arg::kv_slots, conflict[1].token),
                 "a slot of its own",
                 fmt::format("slot {}, which token {} has", conflict[1].place, conflict[0].token));
}

Status check_shared_pool(const Call& call, const IndexLimits& limits,
                         const std::vector<TokenUse>& uses) {
  const TensorView& state = call.state.pages;
  const TensorView& cache = call.cache;
  if (!state.given() || !cache.given()) return {};
  if (!may_overlap(state, cache) || !share_block_pool(state, cache)) return {};
  const auto pages = state_pages_of(call, limits, uses);
  const std::int64_t bytes = static_cast<char*>(cache.data) - static_cast<char*>(state.data);
  const std::int64_t shift = bytes / cache.stride[0];
  Status fault;
  for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& i) {
    if (!fault.ok() || !stores(limits, i)) return;
    const std::int64_t page = i.kv_slot / cache.shape[1] + shift;
    if (!std::binary_search(pages.begin(), pages.end(), page)) return;
    fault = refusal(StatusCode::out_of_range, token_of(Arg::kv_slots, t),
                    "a page of the pool that holds no state of this step",
                    fmt::format("slot {} in state page {}", i.kv_slot, page));
  });
  return fault;
}

}  // namespace

std::vector<std::int64_t> state_pages_of(const Call& call, const IndexLimits& limits,
                                         const std::vector<TokenUse>& uses) {
  std::vector<std::int64_t> pages;
  for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& i) {
    const TokenUse& use = uses[static_cast<std::size_t>(t)];
    if (limits.slot_from_table && use.row_written) pages.push_back(i.state_slot / limits.page_rows);
    if ((i.position + 1) % limits.ratio != 0) return;
    std::int64_t at = std::max<std::int64_t>(0, i.position - limits.window + 1);
    for (; at <= i.position - use.fresh; at = (at / limits.page_rows + 1) * limits.page_rows) {
      std::int64_t page = 0;
      if (check_page(limits, i.request, at, &page).fault == IndexFault::none) pages.push_back(page);
    }
  });
  std::sort(pages.begin(), pages.end());
  return pages;
}

std::vector<std::int64_t> cache_pages_of(const Call& call, const IndexLimits& limits) {
  std::vector<std::int64_t> pages;
  for_each_live(call.batch, [&](std::int64_t, const TokenIndices& i) {
    if (stores(limits, i)) pages.push_back(i.kv_slot / call.cache.shape[1]);
  });
  std::sort(pages.begin(), pages.end());
  return pages;
}

Status check_runs(Op op, const Call& call) {
  return needs_runs(op, call) ? check_touching(call.batch) : Status{};
}

Status check_batch(Op op, const Call& call, const IndexLimits& limits,
                   const std::vector<TokenUse>& uses) {
  if (Status s = check_state_rows(op, call, limits, uses); !s.ok()) return s;
  if (!stores_rows(op)) return {};
  if (Status s = check_kv_claims(call, limits); !s.ok()) return s;
  return check_shared_pool(call, limits, uses);
}

}  // namespace pleat::api
