// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpu/thread_pool.hpp"
#include "tools/bench_suite.hpp"
#include "tools/commands.hpp"
#include "tools/option_checks.hpp"
#include "tools/output_file.hpp"
#include "tools/provenance.hpp"

namespace pleat::tools {
namespace {

constexpr const char* kAbout =
    "Measures each op and geometry against the machine's memory bandwidth.\n\n"
    "The cpu suite runs calls in turn over memory several times the size of the last-level cache,\n"
    "in huge pages where the kernel gives them, and between them plain vector reads of as many\n"
    "bytes by the same threads: the read limit of the same run. It prints the median with the\n"
    "20th and 80th percentile, GB/s of rows read, the share of the limit, whether the target of\n"
    "70 % is met, and the speedup from one thread to two against its target of 1.8x: at 256\n"
    "windows, and neither with --threads nor with --windows of other sizes alone.\n\n"
    "The perf suite runs the workload table on the GPU: graph replays over buffers several times\n"
    "the L2, microseconds a call, with the pure read of as many bytes, the target, and what the\n"
    "hardware's approximate exp2 would save. Where a call reads HCA windows from state and "
    "nothing\n"
    "else, `pages us` (pages_us in the report) is a copy of the same pages to shared memory, with\n"
    "nothing done with them; it needs sm_90, and is left out elsewhere. `chained` (chained_us) is\n"
    "a call after another, launched dependent on it (Chain::early) as an engine may launch it on\n"
    "its matrix product: what of the call is left once its predecessor has ended.\n\n"
    "The behind suite runs the table's small steps behind such a product: cuBLAS, where this\n"
    "machine has it, and a kernel with a product's traffic that lets its dependents start never,\n"
    "when it has read its weights, or at its start. It prints what a step alone and the product\n"
    "alone take, and what the step adds behind the product, unchained, chained late and early.";

constexpr const char* kExample =
    "Exit status: 0 measured (targets met or not), 2 could not run.\n\n"
    "Example:\n"
    "  pleat bench --suite cpu --json results/cpu.json\n"
    "  pleat bench --geometry hca --op compress_store --windows 64 --windows 1024 --threads 1";

#if !PLEAT_HAVE_CUDA
nlohmann::ordered_json run_no_suite(const BenchOptions& options) {
  throw fail("--suite {}: this build has no CUDA", options.suite);
}
constexpr auto* run_perf_suite = run_no_suite;
constexpr auto* run_behind_suite = run_no_suite;
#endif

constexpr std::array kSuites{
    BenchSuite{"cpu", "each op and geometry on the CPU", run_cpu_suite},
    BenchSuite{"perf", "the workload table on the GPU", run_perf_suite},
    BenchSuite{"behind", "steps behind the product that makes their projection, on the GPU",
               run_behind_suite},
};

const std::vector<const char*>& options_of_cpu() {
  static const std::vector<const char*> options{"--geometry", "--op",   "--windows", "--recipe",
                                                "--threads",  "--simd", "--seconds"};
  return options;
}

bool any_given(const CLI::App& command, const std::vector<const char*>& options) {
  return std::any_of(options.begin(), options.end(),
                     [&](const char* option) { return command.count(option) > 0; });
}

/// The suite that is meant where none is named: by what else is asked for, else by whether there is
/// a GPU.
std::string suite_meant(const CLI::App& command, const std::string& backend) {
  if (backend == "cuda") return "perf";
  if (backend == "cpu" || any_given(command, options_of_cpu())) return "cpu";
  return any_given(command, {"--row"}) || available(Backend::cuda) ? "perf" : "cpu";
}

/// Options of another suite than the one asked for.
void refuse_options_of_others(const CLI::App& command, const BenchOptions& o) {
  const bool on_cpu = o.suite == "cpu";
  if (on_cpu) {
    refuse_given(command, {"--row"}, "--suite perf or behind", "--suite cpu");
  } else {
    refuse_given(command, options_of_cpu(), "--suite cpu", "--suite " + o.suite);
  }
  if (o.backend == (on_cpu ? "cuda" : "cpu")) {
    throw fail("--backend: expected {} with --suite {}, got {}", on_cpu ? "cpu" : "cuda", o.suite,
               o.backend);
  }
}

/// The table has calls of this size alone.
bool in_scaling_table(const std::vector<std::int64_t>& windows) {
  return windows.empty() ||
         std::find(windows.begin(), windows.end(), kScalingWindows) != windows.end();
}

void bench(const BenchOptions& o) {
  const std::string json_label = "--json " + o.json;
  if (!o.json.empty()) check_writable(json_label, o.json);
  for (const BenchSuite& suite : kSuites) {
    if (o.suite != suite.name) continue;
    nlohmann::ordered_json report = {
        {"format", "pleat-bench/1"}, {"suite", suite.name}, {"header", provenance(o.commit)}};
    const nlohmann::ordered_json& header = report["header"];
    fmt::print("pleat {} ({}), {}\n{}, {} cores, {}\n", header["pleat"].get<std::string>(),
               header["commit"].get<std::string>(), header["date"].get<std::string>(),
               header["cpu"].get<std::string>(), header["cores"].get<int>(),
               header["compiler"].get<std::string>());
    report.update(suite.run(o));
    if (o.json.empty()) return;
    make_folder_of(json_label, o.json);
    write_file(json_label, o.json, [&](std::ostream& out) { out << report.dump(1) << '\n'; });
    return;
  }
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BenchOptions>();
  options->exec.backend = "cpu";
  CLI::App* command = app.add_subcommand("bench", "Measure ops against the memory bandwidth");
  command->description(kAbout);
  command->footer(kExample);
  std::vector<std::string> suites{"auto"};
  for (const BenchSuite& s : kSuites)
    suites.emplace_back(s.name);
  command
      ->add_option("--suite", options->suite,
                   "What to measure; auto: perf where there is a GPU, else cpu")
      ->check(CLI::IsMember(suites))
      ->capture_default_str();
  command
      ->add_option("--backend", options->backend,
                   "Whom to measure: cuda (suites perf and behind), cpu (suite cpu), or auto (cuda "
                   "where there is a GPU)")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--geometry", options->geometries, "Only this geometry; may be repeated")
      ->check(CLI::IsMember({"hca", "csa", "indexer"}));
  command->add_option("--op", options->ops, "Only this op; may be repeated")
      ->check(
          CLI::IsMember({"save_state", "compress", "norm_rope_store", "compress_store", "step"}));
  command
      ->add_option("--windows", options->windows,
                   "Windows that close in a call, 4 to 8192; may be repeated. By default 64, 256, "
                   "1024, and 4096 for csa and indexer")
      ->check(CLI::Range(4, 8192))
      ->option_text("N");
  command
      ->add_option("--row", options->rows,
                   "Of the workload table, only rows whose name holds this; may be repeated")
      ->option_text("TEXT");
  command->add_option("--recipe", options->recipe, "Whose roundings to follow")
      ->check(CLI::IsMember({"deepseek", "vllm", "vllm_triton", "sglang"}))
      ->capture_default_str();
  command->add_option("--threads", options->exec.threads, "Threads; 0 is one per core")
      ->check(CLI::Range(0, cpu::kMaxThreads))
      ->capture_default_str();
  command->add_option("--simd", options->exec.simd, "SIMD target; best is the widest there is")
      ->check(CLI::IsMember({"best", "scalar", "neon", "avx2", "avx512"}))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "Measuring time of each row")
      ->check(number_within(0.0, 60.0))
      ->capture_default_str();
  command->add_option("--json", options->json, "Also write the report to this file")
      ->check(name_of_file())
      ->option_text("FILE");
  command
      ->add_option("--commit", options->commit,
                   "Commit to put into the report; by default what git says here")
      ->option_text("TEXT");
  command->callback([options, command, &exit_code] {
    if (options->suite == "auto") options->suite = suite_meant(*command, options->backend);
    refuse_options_of_others(*command, *options);
    options->scaling = command->count("--threads") == 0 && in_scaling_table(options->windows);
    bench(*options);
    exit_code = 0;
  });
}

}  // namespace pleat::tools
