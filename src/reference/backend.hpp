// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <string>

namespace pleat::reference {

/// Anywhere.
Status usable(const Exec& exec);
/// A validated call; see pleat::run.
Status run(Op op, const Call& call, const Exec& exec);
std::string describe(Op op, const Call& call, const Exec& exec);
/// A validated pair; see pleat::csa_step.
Status run_pair(const Call& main, const Call& indexer, const Exec& exec);
std::string describe_pair(const Call& main, const Call& indexer, const Exec& exec);

}  // namespace pleat::reference
