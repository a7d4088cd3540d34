// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/params.cuh"

namespace pleat::cuda {

/// Whether the op adds the position bias to scores. With the bias already in the state, pooling
/// from it adds none.
bool adds_bias(Op op, const Call& call);

/// The call as the kernels take it: everything but the launch's shape.
FoldParams make_params(Op op, const Call& call);

}  // namespace pleat::cuda
