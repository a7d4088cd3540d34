// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

namespace pleat::cuda {

/// Checked mode: waits for the stream (for no other), copies the index arrays and the plan to the
/// host and holds them against what the op asks for, as on the host backends. For finding faults,
/// not for serving.
Status check_indices(Op op, const Call& call, void* stream);
/// The same for the two calls of csa_step.
Status check_pair_indices(const Call& main, const Call& indexer, void* stream);

}  // namespace pleat::cuda
