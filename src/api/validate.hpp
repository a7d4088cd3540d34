// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>

namespace pleat::api {

inline constexpr std::int64_t kMaxPlanTokens = std::int64_t{1} << 20;
inline constexpr std::int64_t kMaxTokens = (std::int64_t{1} << 31) - 1;

/// Holds a call against what its op asks for. O(1), allocates nothing unless it refuses, reads no
/// memory that a view points to. Views that the op does not use are not looked at.
Status validate(Op op, const Call& call, const Exec& exec);

/// Its two halves: how it is run, and what it is run on.
Status validate_exec(const Exec& exec);
Status validate_call(Op op, const Call& call);

/// The call with every view that the op does not use taken away, so that a backend meets only what
/// validate() has seen. The call must be valid.
Call only_used(Op op, const Call& call);

}  // namespace pleat::api
