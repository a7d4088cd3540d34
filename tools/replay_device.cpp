// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_device.hpp"

#include <algorithm>

#include "tools/error.hpp"
#if PLEAT_HAVE_CUDA && __has_include("tools/replay_cuda.hpp")
#include "tools/replay_cuda.hpp"
#define PLEAT_REPLAY_ON_CUDA 1
#endif

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

bool replay_runs_on(Backend backend) {
#if !PLEAT_REPLAY_ON_CUDA
  if (backend == Backend::cuda) return false;
#endif
  return available(backend);
}

std::unique_ptr<ReplayDevice> make_replay_device(const ReplaySetup& setup) {
  const Backend backend = setup.exec.backend;
  if (!replay_runs_on(backend)) {
    throw fail("--backend: expected one that this build and machine can replay on, got {}",
               name(backend));
  }
#if PLEAT_REPLAY_ON_CUDA
  if (backend == Backend::cuda) return make_cuda_device(setup);
#endif
  return make_host_device(setup);
}

}  // namespace pleat::tools
