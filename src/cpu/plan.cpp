// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/plan.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "cpu/scratch.hpp"

namespace pleat::cpu {

namespace {

/// The three arrays that a plan is made from. Their elements are contiguous: validated.
struct Tokens {
  const std::int64_t* positions;
  const std::int32_t* requests;  ///< null where the op has none: then no token continues another
  const std::int64_t* slots;
  std::int32_t count;

  explicit Tokens(const Batch& b)
      : positions(static_cast<const std::int64_t*>(b.positions.data)),
        requests(static_cast<const std::int32_t*>(b.token_to_req.data)),
        slots(static_cast<const std::int64_t*>(b.state_slots.data)),
        count(static_cast<std::int32_t>(b.positions.shape[0])) {}

  [[nodiscard]] bool live(std::int32_t t) const { return slots[t] >= 0; }
  /// Whether live token t continues the live token before it.
  [[nodiscard]] bool continues(std::int32_t t) const {
    return requests != nullptr && requests[t] == requests[t - 1] &&
           positions[t] == positions[t - 1] + 1;
  }
};

std::int32_t list_closing(const Tokens& tokens, const Geometry& g, PlanEntry* entries) {
  const std::int64_t last_phase = g.ratio - 1;  // the ratio is a power of two
  std::int32_t closing = 0;
  std::int32_t run = 0;  // tokens up to and with t that continue each other
  for (std::int32_t t = 0; t < tokens.count; ++t) {
    if (!tokens.live(t)) {
      run = 0;
      continue;
    }
    run = run > 0 && tokens.continues(t) ? run + 1 : 1;
    if ((tokens.positions[t] & last_phase) != last_phase) continue;
    entries[closing++] = {t, tokens.requests != nullptr ? tokens.requests[t] : 0,
                          static_cast<std::int32_t>(tokens.positions[t] / g.ratio),
                          std::min(run, g.window())};
  }
  return closing;
}

/// Tokens whose state row is written: those from `first` on, which depends on the length that the
/// token's request has after the step.
std::int32_t list_saves(const Tokens& tokens, const Call& call, std::int32_t* saves) {
  const Geometry& g = call.compressor.geometry;
  std::int32_t n = 0;
  for (std::int32_t t = 0; t < tokens.count;) {
    if (!tokens.live(t)) {
      ++t;
      continue;
    }
    std::int32_t end = t + 1;
    while (end < tokens.count && tokens.live(end) && tokens.requests[end] == tokens.requests[t])
      ++end;
    const std::int64_t length = tokens.positions[end - 1] + 1;
    std::int64_t first = std::numeric_limits<std::int64_t>::min();
    if (call.state.layout == StateLayout::ring) first = length - call.state.pages.shape[1];
    if (call.write.policy == StatePolicy::tail) {
      first = std::max(first, tail_start(length, call.write.rollback, g.ratio, g.overlap));
    }
    for (; t < end; ++t) {
      if (tokens.positions[t] >= first) saves[n++] = t;
    }
  }
  return n;
}

}  // namespace

void build_plan(const Call& call, const PlanPointers& out) {
  const Tokens tokens(call.batch);
  PlanHeader h = plan_header(call);
  h.closing = list_closing(tokens, call.compressor.geometry, out.entries);
  h.saves = lists_saves(call) ? list_saves(tokens, call, out.saves) : kEveryLiveToken;
  *out.header = h;
}

PlanPointers plan_of(Op op, const Call& call, std::size_t place) {
  if (call.plan.data != nullptr) return plan_pointers(call.plan.data, call.plan.capacity);
  static thread_local std::array<Buffer, 2> memories;
  Buffer& memory = memories[place];
  const Tokens tokens(call.batch);
  const std::int64_t capacity = tokens.count;
  const std::int64_t bytes =
      static_cast<std::int64_t>(sizeof(PlanHeader)) + plan_entries_bytes(capacity) + 4 * capacity;
  const PlanPointers out = plan_pointers(memory.reserve(static_cast<std::size_t>(bytes)), capacity);
  PlanHeader h{};
  h.tokens = tokens.count;
  h.saves = kEveryLiveToken;
  if (op != Op::save_state) h.closing = list_closing(tokens, call.compressor.geometry, out.entries);
  if ((op == Op::save_state || op == Op::step) && lists_saves(call)) {
    h.saves = list_saves(tokens, call, out.saves);
  }
  *out.header = h;
  return out;
}

bool is_unbroken(const Batch& batch) {
  const Tokens tokens(batch);
  std::int32_t before = -1;  // the last live token
  for (std::int32_t t = 0; t < tokens.count; ++t) {
    if (!tokens.live(t)) continue;
    if (before >= 0 && tokens.requests[before] == tokens.requests[t] &&
        (before != t - 1 || !tokens.continues(t))) {
      return false;
    }
    before = t;
  }
  return true;
}

}  // namespace pleat::cpu
