// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/run_case.hpp"

#include "api/checked.hpp"
#include "api/validate.hpp"
#include "tools/buffer.hpp"
#include "tools/device_call.hpp"
#include "tools/error.hpp"

namespace pleat::tools {
namespace {

void must(const Status& status, const char* what) {
  if (!status.ok()) throw fail("{}: {}: {}", what, name(status.code()), status.message());
}

/// What a file says of slots and pages may be anything, and without a look at it a backend reads
/// and writes there. On the host, where the case lies: checked mode would make a GPU wait.
void check_indices(Op op, const Call& call) {
  must(api::validate(op, call, {}), name(op));
  must(api::check_indices(op, api::only_used(op, call)), name(op));
}

/// `call` with its pointers where `exec.backend` computes.
std::string run_call(Op op, Call call, const Exec& exec, const PlanView& plan) {
  if (plan.data != nullptr) {
    call.plan = plan;
    must(pleat::plan(call, exec), "plan");
  }
  std::string text;
  must(describe(op, call, exec, &text), name(op));
  must(run(op, call, exec), name(op));
  return text;
}

}  // namespace

std::string run_case(Case& c, const Exec& exec, bool with_plan) {
  check_indices(c.header.op, c.call);
  PlanView plan;
  if (with_plan) plan.capacity = c.call.batch.positions.shape[0];
  if (exec.backend == Backend::cuda) {
    DeviceCall device(c.call, plan.capacity);
    if (with_plan) plan.data = device.plan_memory();
    std::string text = run_call(c.header.op, device.call(), exec, plan);
    device.fetch(c.header.op, c.call);
    return text;
  }
  Buffer memory(static_cast<std::size_t>(plan_bytes(plan.capacity)));
  if (with_plan) plan.data = memory.data();
  return run_call(c.header.op, c.call, exec, plan);
}

}  // namespace pleat::tools
