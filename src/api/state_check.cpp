// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/state_check.hpp"

#include "api/arguments.hpp"
#include "api/claims.hpp"
#include "api/refuse.hpp"
#include "api/tokens.hpp"

#include <fmt/format.h>

#include <vector>

namespace pleat::api {
namespace {

/// Of every token whose row is written: its slot is its own, its ring that of its request.
std::vector<Claim> written_rows(const Call& call, const IndexLimits& limits,
                                const std::vector<TokenUse>& uses) {
  std::vector<Claim> rows;
  for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& i) {
    if (!uses[static_cast<std::size_t>(t)].row_written) return;
    if (limits.ring) {
      rows.push_back({i.state_slot / limits.page_rows, i.request, t});
    } else {
      rows.push_back({i.state_slot, t, t});
    }
  });
  sort_claims(&rows);
  return rows;
}

Status check_writers(const IndexLimits& limits, const std::vector<Claim>& written) {
  const auto conflict = first_conflict(written);
  if (conflict.empty()) return {};
  return refusal(StatusCode::out_of_range, token_of(Arg::state_slots, conflict[1].token),
                 limits.ring ? "a ring of its own for each request" : "a slot of its own",
                 fmt::format("{} {}, which token {} has", limits.ring ? "ring" : "slot",
                             conflict[1].place, conflict[0].token));
}

}  // namespace

Status check_state_rows(Op op, const Call& call, const IndexLimits& limits,
                        const std::vector<TokenUse>& uses) {
  if (!is_output(use_of(op, Arg::state_pages, call))) return {};
  return check_writers(limits, written_rows(call, limits, uses));
}

}  // namespace pleat::api
