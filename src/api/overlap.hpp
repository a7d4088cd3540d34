// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>

namespace pleat::api {

/// Whether two views may touch the same byte, judged from their extents alone. Padding counts as
/// touched, with one exception: three-dimensional views with equal page strides in bytes do not
/// overlap when they keep to different parts of each page.
bool may_overlap(const TensorView& a, const TensorView& b);

/// Whether two paged views are the same block pool: equal page strides in bytes, bases a whole
/// number of pages apart. Engines carve state and cache out of one pool and hand each its own page
/// numbers. That those are disjoint lies in the index arrays, so it is the caller's promise;
/// checked mode verifies it.
bool share_block_pool(const TensorView& a, const TensorView& b);

/// Refuses a call in which an output may touch an input or another output.
Status check_overlap(Op op, const Call& call);
/// Refuses two calls of one launch in which an output of one may touch anything of the other.
Status check_overlap_between(Op op, const Call& main, const Call& indexer);

}  // namespace pleat::api
