// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace pleat::tools {

/// Where figures come from, for the head of every report: pleat's version, commit, UTC date, CPU
/// model and cores, compiler. `commit` may be given; when it is empty, git is asked in the working
/// directory, and the answer is "unknown" where there is none.
nlohmann::ordered_json provenance(const std::string& commit);

/// As the kernel names it; "unknown" where it does not.
std::string cpu_model();

}  // namespace pleat::tools
