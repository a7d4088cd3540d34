// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/backend.hpp"

#include <fmt/format.h>

#include <exception>

#include "cpu/float_environment.hpp"
#include "cpu/fold.hpp"
#include "cpu/kernels.hpp"
#include "cpu/plan.hpp"
#include "cpu/thread_pool.hpp"

namespace pleat::cpu {
namespace {

Status fault(const std::exception& e) {
  return {StatusCode::internal, fmt::format("cpu: {}; nothing was written", e.what())};
}

}  // namespace

Status usable(const Exec& exec) {
  if (kernels_of(exec.simd) != nullptr) return {};
  return {StatusCode::unsupported,
          fmt::format("exec.simd: expected best, {} (what this build has and this machine runs), "
                      "got {}",
                      available_targets(), name(exec.simd))};
}

Status run(Op op, const Call& call, const Exec& exec) {
  try {
    const Kernels* kernels = kernels_of(exec.simd);
    if (kernels == nullptr) return usable(exec);
    if (op == Op::plan) {
      build_plan(call, plan_pointers(call.plan.data, call.plan.capacity));
      return {};
    }
    if (call.batch.positions.shape[0] == 0) return {};
    const DefaultFloatEnvironment environment;
    fold(op, call, *kernels, plan_of(op, call), thread_count(exec.threads));
    return {};
  } catch (const std::exception& e) {
    return fault(e);
  }
}

Status run_pair(const Call& main, const Call& indexer, const Exec& exec) {
  try {
    const Kernels* kernels = kernels_of(exec.simd);
    if (kernels == nullptr) return usable(exec);
    const DefaultFloatEnvironment environment;
    fold_both({main, plan_of(Op::step, main, 0)}, {indexer, plan_of(Op::step, indexer, 1)},
              *kernels, thread_count(exec.threads));
    return {};
  } catch (const std::exception& e) {
    return fault(e);
  }
}

std::string describe_pair(const Call& main, const Call& /*indexer*/, const Exec& exec) {
  return cpu::describe(Op::step, main, exec);
}

std::string describe(Op op, const Call& /*call*/, const Exec& exec) {
  const Kernels* kernels = kernels_of(exec.simd);
  const char* target = name(kernels != nullptr ? kernels->target : exec.simd);
  if (op == Op::plan) return "cpu/scalar 1 thread";
  const int threads = thread_count(exec.threads);
  return fmt::format("cpu/{} {} thread{}", target, threads, threads == 1 ? "" : "s");
}

}  // namespace pleat::cpu
