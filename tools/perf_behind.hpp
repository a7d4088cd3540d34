// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>
#include <vector>

#include "tools/perf_rows.hpp"
#include "tools/quantiles.hpp"

namespace pleat::tools {

/// What a step costs behind a product that makes its projection.
struct BehindMeasurement {
  const char* product;
  Quantiles product_us;    ///< alone, one after the other
  Quantiles unchained_us;  ///< product and step, by Chain::none; then by late and by early
  Quantiles late_us;
  Quantiles early_us;
};

/// The width of the hidden state that products multiply with weights: a model's.
inline constexpr std::int64_t kHiddenWidth = 4096;

/// Measures a row of op step on the current device behind each product that can be had: cuBLAS,
/// if this machine has it, and a kernel with a product's traffic that triggers its dependents
/// never, late or at once. Each of them reads weights that are not in the L2, and waits for the
/// step before it. Throws Error when CUDA, cuBLAS or Pleat refuses.
std::vector<BehindMeasurement> measure_behind(const PerfRow& row);

}  // namespace pleat::tools
