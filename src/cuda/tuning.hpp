// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>
#include <string>

#include "cuda/launch.cuh"

namespace pleat::cuda {

/// What of a device decides how work is spread.
struct DeviceTraits {
  int multiprocessors = 0;
  bool clusters = false;  ///< sm_90 up: blocks that share their memories
};

/// How a call is spread over a device. Depends on shapes only, never on contents, so that a
/// captured graph replays with other contents; loops in the kernels take what the grid has no block
/// for.
FoldTuning tune(Op op, const Call& call, const Exec& exec, const DeviceTraits& device);

/// Clusters that fold, of those that a device runs at once. Clusters that wait for others to end
/// would double the time, so they take turns; and \p saving of them are left to blocks that save
/// rows, as far as three in four. At least one: small devices run no more.
int clusters_that_fold(int at_once, int saving);

/// Empty when the call has the special layout, else the first thing that is not special about it,
/// what came and what is wanted. Allocates: for describe(). The geometry is_compiled().
std::string why_not_special(Op op, const Call& call);

/// Most windows that can close in a step.
std::int64_t most_closing(const Call& call);

}  // namespace pleat::cuda
