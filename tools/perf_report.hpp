// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/perf_rows.hpp"
#include "tools/quantiles.hpp"

/// What the suites that measure a GPU have in common.
namespace pleat::tools {

nlohmann::ordered_json quantiles_json(const Quantiles& q);

/// The current CUDA device. Throws Error where it does not answer.
nlohmann::ordered_json device_json();

/// Those of \p rows whose name holds one of \p parts, or all where there is none. Throws Error of a
/// part that no row's name holds: it is a mistake, not a wish for an empty report.
std::vector<PerfRow> rows_asked_for(const std::vector<std::string>& parts,
                                    const std::vector<PerfRow>& rows);

}  // namespace pleat::tools
