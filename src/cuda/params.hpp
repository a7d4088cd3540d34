// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "cuda/params.cuh"

namespace pleat::cuda {

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Whether the op adds the position bias to scores. With the bias already in the state, pooling
/// from it adds none.
bool adds_bias(Op op, const Call& call);

/// The call as the kernels take it: everything but the launch's shape.
FoldParams make_params(Op op, const Call& call);

}  // namespace pleat::cuda
