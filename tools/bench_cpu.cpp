// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/bench_cpu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>

#include "cpu/read_loop.hpp"
#include "tools/bench_suite.hpp"
#include "tools/error.hpp"
#include "tools/names.hpp"

namespace pleat::tools {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::ordered_json;

constexpr std::int64_t kLeastSamples = 11;
constexpr double kLimitTarget = 0.70;    ///< of the read limit, from kTargetWindows windows up
constexpr double kScalingTarget = 1.80;  ///< from one thread to two
constexpr std::int64_t kTargetWindows = 64;

constexpr std::array kBenchedOps{Op::save_state, Op::compress, Op::norm_rope_store,
                                 Op::compress_store, Op::step};

/// The ops whose time is reading: those that the target is about.
bool has_target(const WorkloadShape& shape) {
  return (shape.op == Op::compress_store || shape.op == Op::step) &&
         shape.windows >= kTargetWindows;
}

double microseconds(Clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

template <typename F>
double timed(F&& f) {
  const auto start = Clock::now();
  f();
  return microseconds(Clock::now() - start);
}

bool wanted(const std::vector<std::string>& list, std::string_view name) {
  return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
}

std::vector<std::int64_t> windows_of(const BenchOptions& o, const std::string& geometry) {
  if (!o.windows.empty()) return o.windows;
  if (geometry == "hca") return {64, 256, 1024};
  return {64, 256, 1024, 4096};
}

std::vector<WorkloadShape> shapes_of(const BenchOptions& o, Recipe recipe) {
  std::vector<WorkloadShape> shapes;
  for (const NamedGeometry& g : kGeometries) {
    for (const Op op : kBenchedOps) {
      if (!wanted(o.geometries, g.name) || !wanted(o.ops, name(op))) continue;
      for (const std::int64_t n : windows_of(o, g.name))
        shapes.push_back({g.name, op, n, recipe});
    }
  }
  return shapes;
}

ordered_json json_of(const Quantiles& q) {
  return {{"p20", q.p20}, {"p50", q.p50}, {"p80", q.p80}};
}

double gigabytes_per_second(std::int64_t bytes, double us) {
  return us > 0 ? static_cast<double>(bytes) / us / 1e3 : 0;
}

/// Both arenas, grown to what the shapes need and no more.
struct Arenas {
  Arena input;
  Arena output;
};
Arenas arenas_for(const std::vector<WorkloadShape>& shapes) {
  std::size_t input = 0;
  std::size_t output = 0;
  for (const WorkloadShape& s : shapes) {
    input = std::max(input, Workload::input_bytes(s));
    output = std::max(output, Workload::output_bytes(s));
  }
  return {Arena(input), Arena(output)};
}

ordered_json run_row(const WorkloadShape& shape, const Exec& exec, double seconds, Arenas& arenas) {
  const Workload workload(shape, arenas.input, arenas.output);
  const CpuMeasurement m = measure(workload, shape.op, exec, seconds);
  const double rate = gigabytes_per_second(workload.bytes_read(), m.call_us.p50);
  const double limit = gigabytes_per_second(workload.bytes_read(), m.read_us.p50);
  const bool target = has_target(shape);
  const bool met = m.of_limit() >= kLimitTarget;
  fmt::print(
      "{:<8} {:<15} {:>7} {:>9.2f} {:>8.2f} {:>10.1f} {:>10.1f} {:>10.1f} {:>7.1f} {:>7.1f} "
      "{:>6.1f} %  {}\n",
      shape.geometry, name(shape.op), shape.windows,
      static_cast<double>(workload.bytes_read()) / (1 << 20),
      static_cast<double>(workload.bytes_written()) / (1 << 20), m.call_us.p20, m.call_us.p50,
      m.call_us.p80, rate, limit, 100 * m.of_limit(),
      !target ? ""
      : met   ? "met"
              : "MISSED");
  std::fflush(stdout);
  ordered_json row = {{"geometry", shape.geometry},
                      {"op", name(shape.op)},
                      {"windows", shape.windows},
                      {"tokens", workload.tokens()},
                      {"code", m.code},
                      {"threads", exec.threads},
                      {"bytes_read", workload.bytes_read()},
                      {"bytes_written", workload.bytes_written()},
                      {"calls_in_rotation", workload.calls()},
                      {"samples", m.samples},
                      {"us", json_of(m.call_us)},
                      {"read_us", json_of(m.read_us)},
                      {"gb_per_s", rate},
                      {"read_limit_gb_per_s", limit},
                      {"percent_of_limit", 100 * m.of_limit()}};
  if (target) {
    row["target_percent"] = 100 * kLimitTarget;
    row["met"] = met;
  }
  return row;
}

ordered_json run_scaling(const WorkloadShape& shape, Exec exec, double seconds, Arenas& arenas) {
  const Workload workload(shape, arenas.input, arenas.output);
  exec.threads = 1;
  const CpuMeasurement one = measure(workload, shape.op, exec, seconds);
  exec.threads = 2;
  const CpuMeasurement two = measure(workload, shape.op, exec, seconds);
  const double speedup = two.call_us.p50 > 0 ? one.call_us.p50 / two.call_us.p50 : 0;
  const double read = two.read_us.p50 > 0 ? one.read_us.p50 / two.read_us.p50 : 0;
  const bool met = speedup >= kScalingTarget;
  fmt::print("{:<8} {:<15} {:>7} {:>12.1f} {:>12.1f} {:>8.2f}x {:>10.2f}x  {}\n", shape.geometry,
             name(shape.op), shape.windows, one.call_us.p50, two.call_us.p50, speedup, read,
             met ? "met" : "MISSED");
  std::fflush(stdout);
  return {{"geometry", shape.geometry},
          {"op", name(shape.op)},
          {"windows", shape.windows},
          {"one_thread_us", json_of(one.call_us)},
          {"two_threads_us", json_of(two.call_us)},
          {"speedup", speedup},
          {"read_speedup", read},
          {"target_speedup", kScalingTarget},
          {"met", met}};
}

std::vector<WorkloadShape> scaling_shapes(const BenchOptions& o, Recipe recipe) {
  std::vector<WorkloadShape> shapes;
  for (const NamedGeometry& g : kGeometries) {
    for (const Op op : {Op::compress_store, Op::step}) {
      if (wanted(o.geometries, g.name) && wanted(o.ops, name(op))) {
        shapes.push_back({g.name, op, kScalingWindows, recipe});
      }
    }
  }
  return shapes;
}

}  // namespace

CpuMeasurement measure(const Workload& workload, Op op, const Exec& exec, double seconds) {
  CpuMeasurement m;
  const Status known = describe(op, workload.call(0), exec, &m.code);
  if (!known.ok()) throw fail("{}: {}", name(op), known.message());
  const std::int64_t calls = workload.calls();
  const auto bytes = static_cast<std::size_t>(workload.bytes_read());
  std::vector<double> call_us;
  std::vector<double> read_us;
  const auto one = [&](std::int64_t i) {
    Status status;
    call_us.push_back(timed([&] { status = run(op, workload.call(i % calls), exec); }));
    if (!status.ok()) throw fail("{}: {}", name(op), status.message());
    const void* region = workload.region((i + calls / 2) % calls);
    read_us.push_back(timed([&] { cpu::read_loop(region, bytes, exec); }));
  };
  // Warm up the threads, and the pages that are only written, without keeping the times.
  const std::int64_t warm = std::min<std::int64_t>(calls, 8);
  for (std::int64_t i = 0; i < warm; ++i)
    one(i);
  call_us.clear();
  read_us.clear();
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (std::int64_t i = warm; m.samples < kLeastSamples || Clock::now() < end; ++i, ++m.samples) {
    one(i);
  }
  m.call_us = quantiles_of(std::move(call_us));
  m.read_us = quantiles_of(std::move(read_us));
  return m;
}

ordered_json run_cpu_suite(const BenchOptions& o) {
  const auto recipe = named(kRecipes, o.recipe);
  if (!recipe) throw fail("--recipe: expected one of {}, got {}", names_of(kRecipes), o.recipe);
  Exec exec = exec_of(o.exec);
  const auto cores = static_cast<std::int32_t>(std::max(1U, std::thread::hardware_concurrency()));
  if (exec.threads == 0) exec.threads = cores;
  const std::vector<WorkloadShape> shapes = shapes_of(o, *recipe);
  if (shapes.empty()) throw fail("nothing to measure: no op and geometry of that name");
  const std::vector<WorkloadShape> scaling =
      o.scaling && cores >= 2 ? scaling_shapes(o, *recipe) : std::vector<WorkloadShape>{};
  std::vector<WorkloadShape> all = shapes;
  all.insert(all.end(), scaling.begin(), scaling.end());
  Arenas arenas = arenas_for(all);

  ordered_json report = {{"recipe", name(*recipe)},
                         {"threads", exec.threads},
                         {"huge_pages", arenas.input.huge_pages()}};
  fmt::print(
      "{} thread{}, recipe {}, {} pages. limit: plain vector reads of as many bytes, in turn with "
      "the calls\n\n",
      exec.threads, exec.threads == 1 ? "" : "s", name(*recipe),
      arenas.input.huge_pages() ? "huge" : "small");
  fmt::print("{:<8} {:<15} {:>7} {:>9} {:>8} {:>10} {:>10} {:>10} {:>7} {:>7} {:>8}  {:.0f} %\n",
             "geometry", "op", "windows", "read MiB", "written", "us p20", "us p50", "us p80",
             "GB/s", "limit", "of limit", 100 * kLimitTarget);
  for (const WorkloadShape& shape : shapes) {
    report["rows"].push_back(run_row(shape, exec, o.seconds, arenas));
  }
  if (scaling.empty()) return report;
  fmt::print("\n{:<8} {:<15} {:>7} {:>12} {:>12} {:>9} {:>11}  {:.1f}x\n", "geometry", "op",
             "windows", "1 thread us", "2 threads us", "speedup", "plain read", kScalingTarget);
  for (const WorkloadShape& shape : scaling) {
    report["scaling"].push_back(run_scaling(shape, exec, o.seconds, arenas));
  }
  return report;
}

}  // namespace pleat::tools
