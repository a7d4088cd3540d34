// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>

#include "tools/commands.hpp"
#include "tools/compare.hpp"
#include "tools/judge.hpp"

namespace pleat::tools {
namespace {

constexpr const char* kAbout =
    "Compares two results byte by byte and explains how they differ.\n\n"
    "A and B are results of `pleat apply`, or cases that carry expected results (expect.*).\n"
    "Cache rows are compared in the units of their row format: how many codes are one quantum "
    "off,\n"
    "how many further, which scales differ, and whether any byte outside rows (padding) does.\n"
    "With --judge, A is a case and B a result: B is held against A's float64 expectations by the\n"
    "limits of the oracle, which allow rare codes one quantum off, and one scale that differs, or\n"
    "one for every 200 rows, by however much.";

constexpr const char* kExample =
    "Exit status: 0 equal (or judged ok), 1 different (or judged wrong), 2 cannot be compared.\n\n"
    "Example:\n"
    "  pleat verify cpu.safetensors reference.safetensors\n"
    "  pleat verify --judge cases/csa-step.vllm.safetensors result.safetensors";

struct VerifyOptions {
  std::string a;
  std::string b;
  bool judge = false;
  bool quiet = false;
};

int verify_bytes(const VerifyOptions& o) {
  ResultFile a = read_result(o.a);
  ResultFile b = read_result(o.b);
  const std::vector<Comparison> all = compare_results(a, b);
  const bool equal = std::all_of(all.begin(), all.end(), [](const auto& c) { return c.equal; });
  if (o.quiet) return equal ? 0 : 1;
  std::size_t width = 0;
  for (const Comparison& c : all)
    width = std::max(width, c.what.size());
  fmt::print("A  {}\nB  {}\n\n", o.a, o.b);
  for (const Comparison& c : all) {
    fmt::print("{:<11} {:<{}}  {}\n", c.tensor, c.what, width, c.equal ? "equal" : "DIFFERENT");
    for (const auto& [key, text] : c.details)
      fmt::print("  {:<9} {}\n", key, text);
  }
  fmt::print("\n{}\n", equal ? "equal" : "different");
  return equal ? 0 : 1;
}

int verify_by_judge(const VerifyOptions& o) {
  Case expected = read_case(o.a);
  TensorFile result = read_safetensors(o.b);
  const std::vector<Verdict> verdicts = judge(expected, o.a, result, o.b);
  const bool ok = std::all_of(verdicts.begin(), verdicts.end(), [](const auto& v) { return v.ok; });
  if (o.quiet) return ok ? 0 : 1;
  fmt::print("{} {}\n", ok ? "ok  " : "FAIL", o.a);
  for (const Verdict& v : verdicts) {
    fmt::print("  {:<11} {:<5} {}\n", v.tensor, v.ok ? "ok" : "WRONG", v.text);
  }
  return ok ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "Compare two results, explained in quanta");
  command->description(kAbout);
  command->footer(kExample);
  command->add_option("A", options->a, "A result, or a case with expected results")->required();
  command->add_option("B", options->b, "The result to compare with it")->required();
  command->add_flag("--judge", options->judge,
                    "Hold B against case A's float64 expectations, by the oracle's limits");
  command->add_flag("--quiet", options->quiet, "Print nothing but errors; the exit status tells");
  command->callback([options, &exit_code] {
    exit_code = options->judge ? verify_by_judge(*options) : verify_bytes(*options);
  });
}

}  // namespace pleat::tools
