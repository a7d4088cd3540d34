// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <string>

/// SIMD over a thread pool; the bytes of src/reference on every target and for every number of
/// threads.
namespace pleat::cpu {

/// unsupported, with the targets there are, if this build or this machine has not exec.simd.
Status usable(const Exec& exec);
/// A validated call; see pleat::run. An exec that usable() refuses is refused.
Status run(Op op, const Call& call, const Exec& exec);
/// For instance "cpu/avx512 2 threads".
std::string describe(Op op, const Call& call, const Exec& exec);
/// A validated pair; see pleat::csa_step.
Status run_pair(const Call& main, const Call& indexer, const Exec& exec);
std::string describe_pair(const Call& main, const Call& indexer, const Exec& exec);

}  // namespace pleat::cpu
