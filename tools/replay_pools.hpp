// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tools/replay_model.hpp"
#include "tools/schedule.hpp"

namespace pleat::tools {

/// How large the pools are, and what the schedule will be with them.
struct PoolPlan {
  std::vector<PageRules> rules;  ///< with the pools' pages, one for each kind of the model
  ScheduleTotals totals;         ///< of the whole run
};

/// Runs the schedule dry, without a limit, and sizes the pools to what it needs at most; when that
/// is more than `max_bytes` for state and cache of all layers, the pools shrink together and
/// requests will wait. Throws Error when the longest request alone would not fit. Now and then it
/// calls \p going_on, which may throw to end it.
PoolPlan plan_pools(const std::vector<TraceRequest>& requests, const ScheduleOptions& options,
                    const Model& model, std::int64_t state_element_bytes, std::int64_t max_bytes,
                    const std::function<void()>& going_on);

}  // namespace pleat::tools
