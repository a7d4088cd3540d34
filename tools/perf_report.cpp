// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/perf_report.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <string_view>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

bool is_part_of(const std::string& part, const PerfRow& row) {
  return std::string_view(row.name).find(part) != std::string_view::npos;
}

}  // namespace

nlohmann::ordered_json quantiles_json(const Quantiles& q) {
  return {{"p20", q.p20}, {"p50", q.p50}, {"p80", q.p80}};
}

nlohmann::ordered_json device_json() {
  cudaDeviceProp properties{};
  int device = 0;
  int driver = 0;
  int runtime = 0;
  cudaGetDevice(&device);
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) {
    throw fail("the CUDA device does not answer");
  }
  return {{"gpu", properties.name},
          {"multiprocessors", properties.multiProcessorCount},
          {"l2_bytes", properties.l2CacheSize},
          {"cuda_driver", driver},
          {"cuda_runtime", runtime}};
}

std::vector<PerfRow> rows_asked_for(const std::vector<std::string>& parts,
                                    const std::vector<PerfRow>& rows) {
  for (const std::string& part : parts) {
    if (std::none_of(rows.begin(), rows.end(),
                     [&](const auto& row) { return is_part_of(part, row); })) {
      throw fail("--row: expected part of a row's name, such as '{}', got '{}'", rows[0].name,
                 part);
    }
  }
  std::vector<PerfRow> out;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(out), [&](const PerfRow& row) {
    return parts.empty() || std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
             return is_part_of(part, row);
           });
  });
  return out;
}

}  // namespace pleat::tools
