// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tools/replay.hpp"

namespace pleat::tools {

/// What was asked for, in words, for the head of the table and of the JSON.
struct ReplayTitle {
  std::string trace;   ///< path
  std::string format;  ///< of the trace
  const ReplayOptions* options = nullptr;
  std::int64_t requests = 0;      ///< that the trace was cut to; 0: not
  std::int64_t limit_tokens = 0;  ///< the same
};

/// The table that a replay ends with, lines ended. `colour` marks the verdict for a terminal.
std::string replay_table(const ReplayTitle& title, const ReplayReport& report, bool colour);
/// The same as data. Times in seconds, sizes in bytes, the digest as 16 hex digits.
nlohmann::json replay_json(const ReplayTitle& title, const ReplayReport& report);

/// The q-th part of the values in order (0.5 is the median), by nearest rank; 0 when there are
/// none.
double percentile(std::vector<double> values, double q);

}  // namespace pleat::tools
