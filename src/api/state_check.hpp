// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/index_check.hpp"

#include <pleat/pleat.hpp>

#include <vector>

namespace pleat::api {

/// State rows of tokens against each other: no two tokens write one, none writes what a window of
/// the step reads, and a ring from which windows are pooled still has their rows. Each token's rows
/// are good by themselves. Uses: token_uses().
Status check_state_rows(Op op, const Call& call, const IndexLimits& limits,
                        const std::vector<TokenUse>& uses);

}  // namespace pleat::api
