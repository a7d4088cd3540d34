// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/index_check.hpp"

#include <pleat/pleat.hpp>

#include <cstdint>
#include <vector>

namespace pleat::api {

/// What tokens may not do to each other, each token being good by itself: a request whose tokens do
/// not stand together in order, two rows for one slot, state and cache rows in one page of a pool.
Status check_batch(Op op, const Call& call, const IndexLimits& limits);

/// Pages of the state that the step reads or writes, and of the cache that it writes; sorted.
std::vector<std::int64_t> state_pages_of(const Call& call, const IndexLimits& limits);
std::vector<std::int64_t> cache_pages_of(const Call& call, const IndexLimits& limits);

}  // namespace pleat::api
