// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>

#include "tools/bench_suite.hpp"
#include "tools/error.hpp"

#include "tools/perf_behind.hpp"
#include "tools/perf_gpu.hpp"
#include "tools/perf_report.hpp"

namespace pleat::tools {
namespace {

/// Small steps, where what is hidden behind a product counts; the others' products take as long as
/// many steps.
std::vector<PerfRow> small_steps() {
  std::vector<PerfRow> out;
  for (const PerfRow& row : perf_rows()) {
    if (row.op == Op::step && row.tokens <= 1024) out.push_back(row);
  }
  return out;
}

nlohmann::ordered_json measure_row(const PerfRow& row) {
  const Quantiles alone = measure_gpu(row, Variant::exact).us;
  nlohmann::ordered_json out = {{"name", row.name}, {"alone_us", quantiles_json(alone)}};
  for (const BehindMeasurement& m : measure_behind(row)) {
    const auto added = [&](const Quantiles& q) { return q.p50 - m.product_us.p50; };
    out["behind"].push_back({{"product", m.product},
                             {"product_us", quantiles_json(m.product_us)},
                             {"unchained_us", quantiles_json(m.unchained_us)},
                             {"late_us", quantiles_json(m.late_us)},
                             {"early_us", quantiles_json(m.early_us)},
                             {"added_us",
                              {{"unchained", added(m.unchained_us)},
                               {"late", added(m.late_us)},
                               {"early", added(m.early_us)}}}});
    fmt::print("{:33} {:33} {:8.2f} {:8.2f} {:8.2f} {:8.2f} {:8.2f}\n", row.name, m.product,
               alone.p50, m.product_us.p50, added(m.unchained_us), added(m.late_us),
               added(m.early_us));
    std::fflush(stdout);
  }
  return out;
}

}  // namespace

nlohmann::ordered_json run_behind_suite(const BenchOptions& options) {
  const std::vector<PerfRow> rows = rows_asked_for(options.rows, small_steps());
  if (!available(Backend::cuda)) throw fail("--suite behind: there is no usable CUDA device");
  nlohmann::ordered_json report = {{"device", device_json()}, {"hidden_width", kHiddenWidth}};
  fmt::print("{}, products of a hidden width of {}\n\n", report["device"]["gpu"].get<std::string>(),
             kHiddenWidth);
  fmt::print("{:33} {:33} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "step", "product", "alone", "product",
             "adds", "late", "early");
  for (const PerfRow& row : rows)
    report["rows"].push_back(measure_row(row));
  return report;
}

}  // namespace pleat::tools
