// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <pleat/pleat.hpp>
#include <string>

#include "tools/perf_batch.hpp"
#include "tools/perf_rows.hpp"
#include "tools/quantiles.hpp"

namespace pleat::tools {

struct PerfMeasurement {
  Quantiles us;       ///< of one call, over graph replays
  Quantiles read_us;  ///< of one pure read of as many bytes as the call reads, same rotation
  /// Of one copy of the call's state pages to shared memory, same rotation: of calls that read HCA
  /// windows from state and nothing else, where can_copy_pages().
  std::optional<Quantiles> pages_us;
  PerfBytes bytes;
  std::string code;  ///< what ran, as describe() names it; of two launches, each after its op
};

/// Measures one row on the current device: the calls of a graph go round buffers that together
/// are several times the L2. Throws Error when CUDA or Pleat refuses.
/// \p chained: each call is launched dependent on the one before it (Chain::early), which stands in
/// for the matrix product of an engine; it has other buffers.
PerfMeasurement measure_gpu(const PerfRow& row, Variant variant, bool chained = false);

/// Time of a graph's kernel that does nothing, in microseconds.
Quantiles measure_empty_launch();
/// Bandwidth of a pure read of so many bytes, in TB/s; several times the L2, or it means nothing.
double measure_read_bandwidth(std::size_t bytes = std::size_t{4} << 30);
/// The current device as CUDA names it, for instance "NVIDIA H200". Throws Error where none
/// answers.
std::string device_name();

}  // namespace pleat::tools
