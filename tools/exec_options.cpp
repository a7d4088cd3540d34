// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/exec_options.hpp"

#include <CLI/CLI.hpp>

#include "cpu/thread_pool.hpp"
#include "tools/error.hpp"
#include "tools/file.hpp"
#include "tools/names.hpp"
#include "tools/option_checks.hpp"

namespace pleat::tools {

void add_exec_options(CLI::App& command, ExecOptions& options, const std::string& threads_are) {
  command
      .add_option("--backend", options.backend,
                  "Who computes: cpu (SIMD, threads), reference (the definition: scalar, one "
                  "thread), cuda, or auto (cuda where there is a GPU, else cpu)")
      ->check(CLI::IsMember({"auto", "cpu", "reference", "cuda"}))
      ->capture_default_str();
  command
      .add_option("--simd", options.simd,
                  "SIMD target of the cpu backend; best is the widest that the machine has")
      ->check(CLI::IsMember({"best", "scalar", "neon", "avx2", "avx512"}))
      ->capture_default_str();
  command.add_option("--threads", options.threads, threads_are)
      ->check(CLI::Range(0, cpu::kMaxThreads))
      ->capture_default_str();
  command
      .add_option("--variant", options.variant,
                  "fast, on cuda alone: the hardware's approximate exp2. Other bytes than exact's, "
                  "which are the same on every backend")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  command.add_flag("--checked", options.checked,
                   "Validate positions, slots and block table first and name the first bad token");
}

void refuse_unused(const CLI::App& command, const ExecOptions& options,
                   const std::vector<const char*>& names) {
  if (options.backend == "auto" || options.backend == name(Backend::cpu)) return;
  refuse_given(command, names, "--backend cpu or auto", "--backend " + options.backend);
}

Exec exec_of(const ExecOptions& options) {
  Exec exec;
  exec.threads = options.threads;
  exec.checked = options.checked;
  const auto simd = named(kSimdTargets, options.simd);
  if (!simd) {
    throw fail("--simd: expected one of {}, got {}", names_of(kSimdTargets),
               in_quotes(options.simd));
  }
  exec.simd = *simd;
  exec.variant = options.variant == "fast" ? Variant::fast : Variant::exact;
  if (options.backend == "auto") {
    exec.backend = available(Backend::cuda) ? Backend::cuda : Backend::cpu;
    return exec;
  }
  const auto backend = named(kBackends, options.backend);
  if (!backend) {
    throw fail("--backend: expected auto or one of {}, got {}", names_of(kBackends),
               in_quotes(options.backend));
  }
  exec.backend = *backend;
  if (!available(exec.backend)) {
    throw fail("--backend {}: this build or this machine cannot run it", options.backend);
  }
  return exec;
}

}  // namespace pleat::tools
