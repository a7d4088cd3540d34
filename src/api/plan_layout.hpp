// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include "numerics/portable.hpp"

namespace pleat {

/// What lies in a PlanView's memory, the same on host and device: this header, capacity entries,
/// capacity token indices to save. Only the first `closing` and `saves` of them mean anything.
struct PlanHeader {
  std::int32_t closing;  ///< windows that close in this step
  std::int32_t saves;    ///< tokens whose state row is written; kEveryLiveToken: no list was made
  std::int32_t tokens;   ///< T it was made for
  std::int32_t ratio;
  std::int32_t window;
  std::int32_t policy;
  std::int32_t rollback;
  std::int32_t layout;
  std::int64_t capacity;  ///< with which it was made: the saves lie behind so many entries
  std::int32_t reserved[6];
};
static_assert(sizeof(PlanHeader) == 64);

inline constexpr std::int32_t kEveryLiveToken = -1;

/// One closing window; 16 bytes, one load.
struct alignas(16) PlanEntry {
  std::int32_t token;
  std::int32_t request;
  std::int32_t row;    ///< p / R: the window closes at position (row + 1) * R - 1
  std::int32_t fresh;  ///< how many of its last rows are tokens of this step, 1..W
};
static_assert(sizeof(PlanEntry) == 16);

struct PlanPointers {
  PlanHeader* header;
  PlanEntry* entries;
  std::int32_t* saves;
};

PLEAT_HD constexpr std::int64_t plan_entries_bytes(std::int64_t capacity) {
  return (capacity * 16 + 63) / 64 * 64;
}

/// Whether a step writes the state rows of only some live tokens, so that a plan lists them.
inline bool lists_saves(const Call& call) {
  return call.write.policy == StatePolicy::tail || call.state.layout == StateLayout::ring;
}

/// What a plan says of the call that it is made from; nothing is counted yet.
inline PlanHeader plan_header(const Call& call) {
  PlanHeader h{};
  h.tokens = static_cast<std::int32_t>(call.batch.positions.shape[0]);
  h.ratio = call.compressor.geometry.ratio;
  h.window = call.compressor.geometry.window();
  h.policy = static_cast<std::int32_t>(call.write.policy);
  h.rollback = call.write.rollback;
  h.layout = static_cast<std::int32_t>(call.state.layout);
  h.capacity = call.plan.capacity;
  return h;
}

PLEAT_HD PlanPointers plan_pointers(void* data, std::int64_t capacity) {
  char* base = static_cast<char*>(data);
  return {
      reinterpret_cast<PlanHeader*>(base), reinterpret_cast<PlanEntry*>(base + sizeof(PlanHeader)),
      reinterpret_cast<std::int32_t*>(base + sizeof(PlanHeader) + plan_entries_bytes(capacity))};
}

/// First position that policy tail keeps for a request of length n after the step.
PLEAT_HD std::int64_t tail_start(std::int64_t n, std::int32_t rollback, std::int32_t ratio,
                                 bool overlap) {
  const std::int64_t m = n - rollback;
  const std::int64_t groups = m >= 0 ? m / ratio : -((-m + ratio - 1) / ratio);
  return groups * ratio - (overlap ? ratio : 0);
}

}  // namespace pleat
