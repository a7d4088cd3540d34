// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>
#include <string>

#include "tools/case.hpp"

namespace pleat::tools {

/// Runs the case's call where `exec` says; afterwards its state, cache or compressed rows, in host
/// memory, are the result. For cuda everything is copied to the device and what the op writes is
/// copied back. With `with_plan` the step's plan is made first and given to the op.
/// Returns the name of the code that ran, for instance "cpu/avx512". A refusal is thrown as Error
/// with the library's message; then the case is as it was.
std::string run_case(Case& c, const Exec& exec, bool with_plan);

}  // namespace pleat::tools
