// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tools/bench_suite.hpp"
#include "tools/error.hpp"

#include "tools/perf_gpu.hpp"
#include "tools/perf_report.hpp"

namespace pleat::tools {
namespace {

/// plan and norm_rope_store weigh no scores: there is nothing that fast could change.
bool weighs_scores(const PerfRow& row) {
  return row.op != Op::plan && row.op != Op::norm_rope_store && row.op != Op::save_state;
}

/// Policy all may take as long as the same step with policy tail, which was measured `before`, and
/// 1.1 times as long as its further bytes take at the read limit. 0: it was not measured.
double target_of_all(const PerfRow& row, const PerfBytes& bytes,
                     const nlohmann::ordered_json& before, double tb_per_s) {
  const std::string name = row.name;
  for (const nlohmann::ordered_json& tail : before) {
    if (tail["name"].get<std::string>() + ", all" != name) continue;
    const auto moved =
        tail["bytes_read"].get<std::int64_t>() + tail["bytes_written"].get<std::int64_t>();
    const auto further = static_cast<double>(bytes.read + bytes.written - moved);
    return tail["us"]["p50"].get<double>() + 1.1 * further / tb_per_s * 1e-6;
  }
  return 0;
}

/// \p before: the rows measured so far.
nlohmann::ordered_json measure_row(const PerfRow& row, const nlohmann::ordered_json& before,
                                   double tb_per_s) {
  const PerfMeasurement m = measure_gpu(row, Variant::exact);
  const bool all = row.op == Op::step && row.policy == StatePolicy::all;
  const double target = all ? target_of_all(row, m.bytes, before, tb_per_s) : row.target_us;
  const auto moved = static_cast<double>(m.bytes.read + m.bytes.written);
  const double limit = m.read_us.p50 / m.us.p50 * 100;
  const Quantiles chained = measure_gpu(row, Variant::exact, true).us;
  // Targets are an H200's, and of calls that are not chained.
  const bool counts = target > 0 && device_name().find("H200") != std::string::npos;
  const auto verdict = [&](const Quantiles& us) {
    return !counts ? "-" : us.p50 <= target ? "met" : "missed";
  };
  nlohmann::ordered_json out = {{"name", row.name},
                                {"op", row.with_indexer ? "csa_step"
                                       : row.with_store ? "compress, norm_rope_store"
                                                        : name(row.op)},
                                {"us", quantiles_json(m.us)},
                                {"chained_us", quantiles_json(chained)},
                                {"read_us", quantiles_json(m.read_us)},
                                {"bytes_read", m.bytes.read},
                                {"bytes_written", m.bytes.written},
                                {"tb_per_s", moved / m.us.p50 * 1e-6},
                                {"percent_of_limit", limit},
                                {"target_us", target},
                                {"own_target", all || row.own_target},
                                {"met", verdict(m.us)},
                                {"met_chained", verdict(chained)},
                                {"peer", row.peer},
                                {"peer_us", row.peer_us},
                                {"code", m.code}};
  std::string pages = "-";
  if (m.pages_us) {
    out["pages_us"] = quantiles_json(*m.pages_us);
    pages = fmt::format("{:.2f}", m.pages_us->p50);
  }
  std::string fast = "-";
  if (weighs_scores(row)) {
    const PerfMeasurement f = measure_gpu(row, Variant::fast);
    out["fast_us"] = quantiles_json(f.us);
    fast = fmt::format("{:.2f}", f.us.p50);
  }
  fmt::print(
      "{:33} {:8.2f} {:8.2f} {:8.2f} {:8.2f} {:9.2f} {:6.2f} {:5.1f}% {:>8} {:>8} {:8.1f}  {}\n",
      row.name, m.us.p20, m.us.p50, m.us.p80, chained.p50, moved * 1e-6, moved / m.us.p50 * 1e-6,
      limit, pages, fast, target, verdict(m.us));
  std::fflush(stdout);
  return out;
}

}  // namespace

nlohmann::ordered_json run_perf_suite(const BenchOptions& options) {
  const std::vector<PerfRow> asked = rows_asked_for(options.rows, perf_rows());
  if (!available(Backend::cuda)) throw fail("--suite perf: there is no usable CUDA device");
  nlohmann::ordered_json report = {{"device", device_json()},
                                   {"read_tb_per_s", measure_read_bandwidth()},
                                   {"empty_launch_us", measure_empty_launch().p50}};
  fmt::print("{}: reads {:.2f} TB/s from 4 GiB, an empty launch of a graph takes {:.2f} us\n\n",
             report["device"]["gpu"].get<std::string>(), report["read_tb_per_s"].get<double>(),
             report["empty_launch_us"].get<double>());
  fmt::print("{:33} {:>8} {:>8} {:>8} {:>8} {:>9} {:>6} {:>6} {:>8} {:>8} {:>8}\n", "workload",
             "us p20", "p50", "p80", "chained", "MB", "TB/s", "limit", "pages us", "fast us",
             "target");
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const PerfRow& row : asked)
    rows.push_back(measure_row(row, rows, report["read_tb_per_s"].get<double>()));
  report["rows"] = rows;
  return report;
}

}  // namespace pleat::tools
