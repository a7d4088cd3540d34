// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/index_check.hpp"

#include <pleat/pleat.hpp>

namespace pleat::api {

/// State rows of tokens against each other: no two tokens write one.
Status check_state_rows(Op op, const Call& call, const IndexLimits& limits);

}  // namespace pleat::api
