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

Status check_writers(const Call& call, const IndexLimits& limits) {
  std::vector<Claim> claims;
  for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& i) {
    if (limits.ring) {
      claims.push_back({i.state_slot / limits.page_rows, i.request, t});
    } else {
      claims.push_back({i.state_slot, t, t});
    }
  });
  sort_claims(&claims);
  const auto conflict = first_conflict(claims);
  if (conflict.empty()) return {};
  return refusal(StatusCode::out_of_range, token_of(Arg::state_slots, conflict[1].token),
                 limits.ring ? "a ring of its own for each request" : "a slot of its own",
                 fmt::format("{} {}, which token {} has", limits.ring ? "ring" : "slot",
                             conflict[1].place, conflict[0].token));
}

}  // namespace

Status check_state_rows(Op op, const Call& call, const IndexLimits& limits) {
  if (!is_output(use_of(op, Arg::state_pages, call))) return {};
  return check_writers(call, limits);
}

}  // namespace pleat::api
