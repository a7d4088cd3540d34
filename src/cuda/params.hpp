// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/params.cuh"

namespace pleat::cuda {

/// The call as the kernels take it: everything but the launch's shape.
FoldParams make_params(Op op, const Call& call);

}  // namespace pleat::cuda
