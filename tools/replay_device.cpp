// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_device.hpp"

#include <algorithm>

namespace pleat::tools {

std::vector<std::size_t> ReplaySetup::plan_of_kinds() const {
  std::vector<std::pair<std::int32_t, bool>> folds;
  std::vector<std::size_t> plans;
  for (const KindSpec& k : model.kinds) {
    const std::pair<std::int32_t, bool> fold{k.compressor.geometry.ratio,
                                             k.compressor.geometry.overlap};
    const auto at = std::find(folds.begin(), folds.end(), fold);
    plans.push_back(static_cast<std::size_t>(at - folds.begin()));
    if (at == folds.end()) folds.push_back(fold);
  }
  return plans;
}

}  // namespace pleat::tools
