// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>

#include "tools/quantiles.hpp"

namespace pleat::tools {

/// Has \p launch capture its launches 0 to count - 1 into a graph, and times the graph's replays:
/// in microseconds, per launch. Throws Error when CUDA refuses.
Quantiles time_graph(cudaStream_t stream, std::int64_t count,
                     const std::function<void(std::int64_t)>& launch);

/// The same for launches 0 to count - 1 that come in turn, each at least once, as many as make a
/// graph worth timing.
Quantiles time_in_turn(cudaStream_t stream, std::int64_t count,
                       const std::function<void(std::int64_t)>& launch);

}  // namespace pleat::tools
