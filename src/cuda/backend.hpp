// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <string>

namespace pleat::cuda {

/// Whether the current device is one that this build has code for: unsupported where it is not, or
/// where there is none; device_error where CUDA does not say.
Status usable(const Exec& exec);
/// A validated call; see pleat::run. Asynchronous on exec.stream, on the current device.
Status run(Op op, const Call& call, const Exec& exec);
/// For instance "cuda/hca-special, clusters of 8, exact"; why, when the kernel is not the special
/// one.
std::string describe(Op op, const Call& call, const Exec& exec);
/// A validated pair; see pleat::csa_step. One launch, or two where the calls' dtypes differ.
Status run_pair(const Call& main, const Call& indexer, const Exec& exec);
/// For instance "cuda/csa+indexer-special, exact"; why not, when it is not one special kernel.
std::string describe_pair(const Call& main, const Call& indexer, const Exec& exec);

}  // namespace pleat::cuda
