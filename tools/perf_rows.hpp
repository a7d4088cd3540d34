// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <pleat/pleat.hpp>
#include <vector>

namespace pleat::tools {

/// One row of the GPU benchmark: what an engine asks of a layer in a step. Peers' figures and
/// targets are microseconds on an H200, from the workload table of ../shared/perf.md unless
/// own_target; 0: none.
struct PerfRow {
  const char* name;
  Geometry geometry;
  Op op;
  RowFormat format;
  StatePolicy policy;
  std::int64_t requests;
  std::int64_t tokens;   ///< of the step, over all requests
  std::int64_t closing;  ///< decode: how many of the requests close a window
  bool prefill;          ///< every request starts at position 0; else one token each
  const char* peer;      ///< whose figure `peer_us` is
  double peer_us;
  double target_us;
  /// csa_step: the row's geometry is CSA's, and its indexer (rows index_fp8) comes along.
  bool with_indexer = false;
  /// compress, and after it norm_rope_store, chained to it: the two launches of an engine that
  /// keeps pooled rows in between.
  bool with_store = false;
  bool own_target = false;    ///< the target is Pleat's, for want of a published one
  bool without_plan = false;  ///< the op looks for closing tokens itself
};

/// The rows, in the order of the table.
const std::vector<PerfRow>& perf_rows();

}  // namespace pleat::tools
