// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/arguments.hpp"

#include <pleat/pleat.hpp>

namespace pleat::api {

/// Holds one view of a call against its rule: given, dtype, rank, shape, strides, alignment, extent
/// within 64 bits and, unless the step has no tokens or the use is Use::shape, a pointer.
/// batch.positions must have been checked before any other, as it defines T.
Status check_view(Arg arg, Use use, const Call& call);

}  // namespace pleat::api
