// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

/// The two calls of csa_step. Each is held against what a step asks for, its refusals carrying
/// "main." or "indexer." in front; then the two against each other.
namespace pleat::api {

/// As validate(): O(1), reads no memory that a view points to.
Status validate_pair(const Call& main, const Call& indexer, const Exec& exec);

/// As check_plan_header(), for both. Host memory.
Status check_pair_plan(const Call& main, const Call& indexer);

/// Checked mode, as check_indices(): each call's arrays, then whether both take the same tokens for
/// padding and keep to pages of their own where they share a block pool. Host memory; only a plan
/// may be left out, and the two need not share their batch any more.
Status check_pair_indices(const Call& main, const Call& indexer);

}  // namespace pleat::api
