// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tools/case.hpp"
#include "tools/commands.hpp"
#include "tools/error.hpp"
#include "tools/exec_options.hpp"
#include "tools/output_file.hpp"
#include "tools/run_case.hpp"

namespace pleat::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAbout =
    "Runs single calls kept as files (pleat-case/1) and writes what they produce.\n\n"
    "A case names an op and carries its arguments as safetensors. The result holds `state`\n"
    "(save_state, step), `compressed` (compress) or `kv_cache` (ops that store), with the case's\n"
    "metadata, and is the same for every backend, SIMD target and number of threads. What a case\n"
    "says of positions, requests and slots is looked at first, with --checked or without, which\n"
    "is for the backend's own look.";

constexpr const char* kExample =
    "Exit status: 0 all cases ran, 2 one was refused or could not be read or written.\n\n"
    "Example:\n"
    "  pleat apply cases/csa-step.vllm.safetensors --out result.safetensors --backend cpu\n"
    "  pleat apply cases/*.safetensors --out results/ --backend reference --checked";

struct ApplyOptions {
  std::vector<std::string> cases;
  std::string out;
  ExecOptions exec;
  bool with_plan = false;
  bool quiet = false;
};

/// Where each case's result goes: `out` itself, or a file of the case's name in the folder `out`.
std::vector<fs::path> result_paths(const ApplyOptions& o) {
  const fs::path out = o.out;
  if (out.empty()) throw fail("--out: expected a file or a folder, got nothing");
  std::error_code ignored;  // what cannot be looked at cannot be written either, and is told then
  const bool folder = fs::is_directory(out, ignored);
  if (o.cases.size() == 1 && !folder && out.has_filename()) return {out};
  if (fs::exists(out, ignored) && !folder) {
    throw fail("--out {}: expected a folder for {} results, got a file", o.out, o.cases.size());
  }
  std::vector<fs::path> paths;
  std::set<fs::path> seen;
  for (const std::string& c : o.cases) {
    paths.push_back(out / fs::path(c).filename());
    if (!seen.insert(paths.back()).second) {
      throw fail("--out {}: two cases would be written to {}", o.out, paths.back().string());
    }
  }
  return paths;
}

void apply_one(const std::string& path, const fs::path& out, const ApplyOptions& o,
               const Exec& exec, std::size_t width) {
  const std::string label = "--out " + out.string();
  refuse_input(label, out.string(), path, "the case");
  Case c = read_case(path);
  const CaseHeader header = c.header;
  const auto start = std::chrono::steady_clock::now();
  const std::string ran = run_case(c, exec, o.with_plan);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  make_folder_of(label, out.string());
  write_safetensors(out.string(), take_results(std::move(c)), label);
  if (o.quiet) return;
  // A result is a file to the byte: no words behind it.
  std::FILE* table = is_standard_output(out.string()) ? stderr : stdout;
  fmt::print(table, "{:<{}}  {:<15} {:<7} {:<11} {:<11} {:>9.2f} ms  {}\n",
             fs::path(path).stem().string(), width, name(header.op), header.geometry,
             name(header.compressor.recipe), name(header.compressor.row_format), took.count(), ran);
}

int apply(const ApplyOptions& o) {
  const Exec exec = exec_of(o.exec);
  const std::vector<fs::path> outs = result_paths(o);
  std::size_t width = 0;
  for (const std::string& c : o.cases)
    width = std::max(width, fs::path(c).stem().string().size());
  int exit_code = 0;
  for (std::size_t i = 0; i < o.cases.size(); ++i) {
    try {
      apply_one(o.cases[i], outs[i], o, exec, width);
    } catch (const Error& e) {
      // Messages of the library do not know the file; those of the reader begin with it.
      const bool named = std::string_view(e.what()).starts_with(o.cases[i]);
      std::fflush(stdout);
      fmt::print(stderr, "pleat apply: {}{}\n", named ? "" : o.cases[i] + ": ", e.what());
      exit_code = 2;
    }
  }
  return exit_code;
}

}  // namespace

void add_apply(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ApplyOptions>();
  CLI::App* command = app.add_subcommand("apply", "Run one call kept as a file, write its result");
  command->description(kAbout);
  command->footer(kExample);
  command->add_option("CASE", options->cases, "Case files")->required();
  command
      ->add_option(
          "--out", options->out,
          "Result file; with several cases, or when it ends in '/', a folder that gets one "
          "file per case, of the case's name")
      ->option_text("FILE")
      ->required();
  add_exec_options(*command, options->exec,
                   "Threads of the cpu backend; 0 is one per core. The bytes do not depend on it");
  command->add_flag("--with-plan", options->with_plan,
                    "Make the step's plan first and give it to the op, as an engine would");
  command->add_flag("--quiet", options->quiet, "Print nothing but errors");
  command->callback([options, command, &exit_code] {
    refuse_unused(*command, options->exec, {"--simd", "--threads"});
    exit_code = apply(*options);
  });
}

}  // namespace pleat::tools
