// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include "api/plan_layout.hpp"
#include "cpu/kernels.hpp"

namespace pleat::cpu {

/// Everything but plan(): pools the closing windows, stores their rows, saves state, as the op
/// asks, in up to `threads` parts. The bytes do not depend on the number. Throws std::bad_alloc,
/// before anything is written.
void fold(Op op, const Call& call, const Kernels& kernels, const PlanPointers& plan, int threads);

struct Planned {
  const Call& call;
  PlanPointers plan;
};
/// Two steps that write nothing of each other's. As fold(): what can throw does so before either
/// writes.
void fold_both(const Planned& first, const Planned& second, const Kernels& kernels, int threads);

}  // namespace pleat::cpu
