// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

namespace pleat::api {

/// Whether a plan that is given was made for a step like this one: tokens, ratio, window and, where
/// the op writes state, policy, rollback and layout. O(1). Host memory.
Status check_plan_header(Op op, const Call& call);

/// Whether the plan's lists are the ones that plan() would make of this batch. The batch must have
/// passed check_batch(). Host memory.
Status check_plan_contents(Op op, const Call& call);

}  // namespace pleat::api
