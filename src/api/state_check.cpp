// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/state_check.hpp"

#include "api/arguments.hpp"
#include "api/claims.hpp"
#include "api/refuse.hpp"
#include "api/tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
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

/// A row of the state from before the step, which one of its windows reads.
struct OldRow {
  std::int64_t position;
  std::int64_t token;  ///< that closes the window
};

/// step reads old rows and writes others in any order: in pages none may be both. A ring's own
/// request takes care of that, another's does not. Names the first token that writes such a row.
Status check_old_rows(const Call& call, const IndexLimits& limits,
                      const std::vector<TokenUse>& uses, const std::vector<Claim>& written) {
  const Claim* worst = nullptr;
  OldRow read{};
  const auto look_up = [&](std::int64_t place, std::int64_t reader, const OldRow& row) {
    const auto writer = std::lower_bound(
        written.begin(), written.end(), place,
        [](const Claim& claim, std::int64_t wanted) { return claim.place < wanted; });
    if (writer == written.end() || writer->place != place || writer->owner == reader) return;
    if (worst != nullptr && worst->token <= writer->token) return;
    worst = &*writer;
    read = row;
  };
  for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& i) {
    if ((i.position + 1) % limits.ratio != 0) return;
    const std::int64_t end = i.position - uses[static_cast<std::size_t>(t)].fresh + 1;
    for (std::int64_t p = std::max<std::int64_t>(0, i.position - limits.window + 1); p < end; ++p) {
      std::int64_t page = 0;
      (void)check_page(limits, i.request, p, &page);  // has been checked
      if (limits.ring) return look_up(page, i.request, {p, t});
      look_up(page * limits.page_rows + p % limits.page_rows, -1, {p, t});
    }
  });
  if (worst == nullptr) return {};
  return refusal(
      StatusCode::out_of_range, token_of(Arg::state_slots, worst->token),
      limits.ring ? "a ring of its own for each request"
                  : "a slot that no window of this step reads as an older row",
      fmt::format("{} {}, where the window of token {} has position {}",
                  limits.ring ? "ring" : "slot", worst->place, read.token, read.position));
}

/// A window that is pooled from a ring was to be saved there, with all of its request's tokens.
Status check_kept(const Call& call, const IndexLimits& limits) {
  std::unordered_map<std::int32_t, std::int64_t> last;  // of a request, its last token
  const auto position_of = [&](std::int64_t t) { return indices_of(call.batch, t).position; };
  for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& i) {
    const auto [at, is_new] = last.try_emplace(i.request, t);
    if (!is_new && position_of(at->second) < i.position) at->second = t;
  });
  Status fault;
  for_each_live(call.batch, [&](std::int64_t t, const TokenIndices& i) {
    if (!fault.ok() || (i.position + 1) % limits.ratio != 0) return;
    const std::int64_t first = std::max<std::int64_t>(0, i.position - limits.window + 1);
    const std::int64_t end = last.at(i.request);
    if (position_of(end) - first < limits.page_rows) return;
    fault = refusal(StatusCode::out_of_range, token_of(Arg::positions, t),
                    fmt::format("a window that begins at position {} or later, as a ring of {} "
                                "rows has no older ones after token {} (position {})",
                                position_of(end) - limits.page_rows + 1, limits.page_rows, end,
                                position_of(end)),
                    fmt::format("{}, whose window begins at {}", i.position, first));
  });
  return fault;
}

}  // namespace

Status check_state_rows(Op op, const Call& call, const IndexLimits& limits,
                        const std::vector<TokenUse>& uses) {
  const Use use = use_of(op, Arg::state_pages, call);
  if (use == Use::read && limits.ring) return check_kept(call, limits);
  if (!is_output(use)) return {};
  const std::vector<Claim> written = written_rows(call, limits, uses);
  if (Status s = check_writers(limits, written); !s.ok()) return s;
  return op == Op::step ? check_old_rows(call, limits, uses, written) : Status{};
}

}  // namespace pleat::api
