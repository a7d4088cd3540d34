// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "cpu/thread_pool.hpp"
#include "tools/error.hpp"
#include "tools/provenance.hpp"
#include "tools/read_limit.hpp"
#if PLEAT_HAVE_CUDA
#include "tools/perf_gpu.hpp"
#include "tools/replay_cuda.hpp"
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

std::vector<LayerGroup> groups_of(const ReplaySetup& setup) {
  const Model& model = setup.model;
  const auto is = [&](const Layer& l, Kind k) { return model.kind_of(l).kind == k; };
  const auto count = [&](Kind k) {
    return std::count_if(model.layers.begin(), model.layers.end(),
                         [&](const Layer& l) { return is(l, k); });
  };
  const std::int64_t pairs =
      setup.op == ReplayOp::step ? std::min(count(Kind::csa), count(Kind::indexer)) : 0;
  const auto first_indexer = std::find_if(model.layers.begin(), model.layers.end(),
                                          [&](const Layer& l) { return is(l, Kind::indexer); }) -
                             model.layers.begin();
  std::vector<LayerGroup> groups;
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const Layer& layer = model.layers[l];
    const bool paired = layer.index < pairs;
    if (paired && is(layer, Kind::indexer)) continue;
    LayerGroup group{l};
    if (paired && is(layer, Kind::csa)) {
      group.indexer = static_cast<std::size_t>(first_indexer + layer.index);
    }
    groups.push_back(group);
  }
  return groups;
}

std::unique_ptr<ReplayDevice> make_replay_device(const ReplaySetup& setup) {
  const Backend backend = setup.exec.backend;
  if (!available(backend)) {
    throw fail("--backend: expected one that this build and machine can run, got {}",
               name(backend));
  }
#if PLEAT_HAVE_CUDA
  if (backend == Backend::cuda) return make_cuda_device(setup);
#endif
  return make_host_device(setup);
}

std::string machine_of([[maybe_unused]] const Exec& exec) {
#if PLEAT_HAVE_CUDA
  if (exec.backend == Backend::cuda) return device_name();
#endif
  return fmt::format("{}, {} cores", cpu_model(), std::thread::hardware_concurrency());
}

double measure_read_limit_of(const Exec& exec) {
#if PLEAT_HAVE_CUDA
  if (exec.backend == Backend::cuda) return measure_read_bandwidth(std::size_t{1} << 30) * 1e3;
#endif
  return measure_read_limit(cpu::thread_count(exec.threads));
}

}  // namespace pleat::tools
