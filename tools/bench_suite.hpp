// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/exec_options.hpp"

namespace pleat::tools {

/// Windows of the calls by which suite cpu measures what a second thread brings.
inline constexpr std::int64_t kScalingWindows = 256;

/// What the user asks of a suite; empty lists mean all that it has. The suites of a GPU look at
/// `rows` alone, suite cpu at all else.
struct BenchOptions {
  std::string suite = "auto";
  std::string backend = "auto";
  std::vector<std::string> geometries;
  std::vector<std::string> ops;
  std::vector<std::int64_t> windows;
  std::vector<std::string> rows;  ///< of the workload table: those whose names hold one of these
  std::string recipe = "vllm";
  ExecOptions exec;
  bool scaling = true;   ///< suite cpu: measure what a second thread brings as well
  double seconds = 0.4;  ///< of measuring, for each row
  std::string json;      ///< file to write; empty: none
  std::string commit;    ///< of the sources; empty: ask git
};

/// A set of measurements. It prints its table as it goes and returns the report: `rows`, and what
/// else it has to say; the caller adds the header.
struct BenchSuite {
  const char* name;
  const char* about;
  nlohmann::ordered_json (*run)(const BenchOptions& options);
};

/// CPU: each op and geometry against the read limit of the same run.
nlohmann::ordered_json run_cpu_suite(const BenchOptions& options);
/// CUDA: the workload table, each row beside a pure read of as many bytes and, for windows from
/// state, a copy of their pages. Throws Error where there is no device.
nlohmann::ordered_json run_perf_suite(const BenchOptions& options);
/// CUDA: what small steps add to the product that makes their projection. Throws Error where there
/// is no device.
nlohmann::ordered_json run_behind_suite(const BenchOptions& options);

}  // namespace pleat::tools
