// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <pleat/pleat.hpp>
#include <string>

#include "tools/bench_workload.hpp"
#include "tools/quantiles.hpp"

namespace pleat::tools {

/// A workload measured on the CPU beside the plain read of as many bytes.
struct CpuMeasurement {
  std::string code;          ///< what ran, as describe() names it
  std::int64_t samples = 0;  ///< of each
  Quantiles call_us;
  Quantiles read_us;  ///< the read limit: same bytes, threads, rotation, and moment

  /// Share of the read limit's bandwidth that the call reaches.
  [[nodiscard]] double of_limit() const { return call_us.p50 > 0 ? read_us.p50 / call_us.p50 : 0; }
};

/// Calls and reads take turns, each on memory that was last touched half a rotation ago, for
/// `seconds` and at least 11 times each. Throws Error when the call is refused.
CpuMeasurement measure(const Workload& workload, Op op, const Exec& exec, double seconds);

}  // namespace pleat::tools
