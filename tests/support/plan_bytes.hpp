// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "api/plan_layout.hpp"
#include "support/memory.hpp"

namespace pleat::test {

/// Only what means something in a plan's memory: the header, and as many entries and saves as it
/// says. A header that says more than there is room for is returned alone.
inline Bytes meaning_of_plan(Bytes plan, std::int64_t capacity) {
  const PlanPointers p = plan_pointers(plan.data(), capacity);
  Bytes out;
  const auto add = [&](const void* from, std::size_t bytes) {
    const auto* b = static_cast<const std::uint8_t*>(from);
    out.insert(out.end(), b, b + bytes);
  };
  add(p.header, offsetof(PlanHeader, reserved));
  const std::int64_t closing = p.header->closing;
  const std::int64_t saves = p.header->saves;
  if (closing < 0 || closing > capacity || saves > capacity) return out;
  add(p.entries, static_cast<std::size_t>(closing) * sizeof(PlanEntry));
  if (saves > 0) add(p.saves, static_cast<std::size_t>(saves) * sizeof(std::int32_t));
  return out;
}

}  // namespace pleat::test
