// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/index_check.hpp"

#include <pleat/pleat.hpp>

#include <cstdint>
#include <string>

/// Checked mode: what lies in the index arrays, for backends whose memory the host can read. Calls
/// are valid and hold only what their op uses (validate.hpp).
namespace pleat::api {

/// The bounds that a call's views set for its index arrays. Reads no memory.
IndexLimits limits_of(Op op, const Call& call);

/// "batch.state_slots[3]: expected less than 64, got 99", for a finding in token `token`.
Status explain(const IndexLimits& limits, std::int64_t token, const TokenIndices& indices,
               const IndexFinding& finding);

/// Who each live token is, then how a request's tokens stand, then each token's rows, and these
/// against each other: slots written twice, pages of a shared pool; the plan's contents. What an op
/// neither reads nor writes is not looked at. out_of_range names the first bad token. O(T log T),
/// allocates.
Status check_indices(Op op, const Call& call);

}  // namespace pleat::api
