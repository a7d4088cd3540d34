// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstddef>
#include <cstdint>

#include "api/plan_layout.hpp"

namespace pleat::cpu {

/// Fills a plan from call.batch; the bytes are those of the reference's plan.
void build_plan(const Call& call, const PlanPointers& out);

/// The plan an op works from: the caller's, or one made in this thread's scratch memory, which
/// stays until the thread's next call with the same `place` (0 or 1); then it holds no more than
/// the op asks for. Throws std::bad_alloc.
PlanPointers plan_of(Op op, const Call& call, std::size_t place = 0);

/// Whether every live token but a request's first stands directly behind its predecessor, one
/// position on. Only then do the rows that a step writes never lie in a window that reads state.
bool is_unbroken(const Batch& batch);

}  // namespace pleat::cpu
