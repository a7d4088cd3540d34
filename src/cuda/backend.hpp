// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <string>

namespace pleat::cuda {

/// A CUDA device of compute capability 8.0 or more is there.
bool available();
/// A validated call; see pleat::run. Asynchronous on exec.stream, on the current device.
Status run(Op op, const Call& call, const Exec& exec);
/// For instance "cuda/hca-special-cluster8 exact"; why, when the special kernel was not chosen.
std::string describe(Op op, const Call& call, const Exec& exec);

}  // namespace pleat::cuda
