// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/index_check.hpp"

#include <pleat/pleat.hpp>

#include <cstdint>
#include <vector>

namespace pleat::api {

/// That a request's tokens stand together in order, where the op finds them by that. Positions and
/// requests are in range.
Status check_runs(Op op, const Call& call);

/// What tokens may not do to each other, each token being good by itself: two rows for one slot,
/// state and cache rows in one page of a pool. Uses: token_uses().
Status check_batch(Op op, const Call& call, const IndexLimits& limits,
                   const std::vector<TokenUse>& uses);

/// Pages of the state that the step reads or writes, and of the cache that it writes; sorted.
std::vector<std::int64_t> state_pages_of(const Call& call, const IndexLimits& limits,
                                         const std::vector<TokenUse>& uses);
std::vector<std::int64_t> cache_pages_of(const Call& call, const IndexLimits& limits);

}  // namespace pleat::api
