// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>

/// The same in float64, for measuring accuracy: pooling, norm and RoPE in double, the recipe's
/// roundings where the recipe puts them, codes chosen exactly.
namespace pleat::reference {

/// kv and score: [W][D], oldest row first; a score of -inf is a row before position 0.
void pool64(const Geometry& g, const double* kv, const double* score, double* pooled);

/// weight [D]; rope_row [rope_dim] arranged as the recipe says; row [D]: pooled in, out the row
/// before it is quantised.
void norm_rope64(const Compressor& c, const double* weight, const float* rope_row, double* row);

/// values and scales have the sizes of row_layout(). fp8_scale is used by fp8_tensor only.
void encode64(const Compressor& c, const double* row, float fp8_scale, std::uint8_t* values,
              std::uint8_t* scales);

}  // namespace pleat::reference
