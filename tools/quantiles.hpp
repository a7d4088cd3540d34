// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace pleat::tools {

/// What a set of timings is reported as.
struct Quantiles {
  double p20 = 0;
  double p50 = 0;
  double p80 = 0;
};

/// By nearest rank; zeros for no samples.
inline Quantiles quantiles_of(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double q) {
    const double rank = std::ceil(q * static_cast<double>(samples.size()));
    return samples[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
  };
  return {at(0.2), at(0.5), at(0.8)};
}

}  // namespace pleat::tools
