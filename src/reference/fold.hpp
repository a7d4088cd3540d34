// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>
#include <span>

#include "numerics/order.hpp"

/// The definition: docs/numerics.md as plain scalar code. Every backend is proven against it.
namespace pleat::reference {

/// One channel of one window: rows oldest first, `absent` of them before position 0. \p odd: the
/// recipe rounds it to bf16, so it is rounded to odd.
float pool_channel(std::span<const float> kv, std::span<const numerics::Score> score,
                   std::int32_t absent, bool odd = false);

/// Pooled row to the row that is quantised: norm and RoPE, with the recipe's roundings. In place.
void norm_rope(const Compressor& c, const TensorView& weight, const float* rope_row, float* row);

/// Row to bytes. values and scales have the sizes of row_layout().
void encode(const Compressor& c, float* row, float fp8_scale, std::uint8_t* values,
            std::uint8_t* scales);

}  // namespace pleat::reference
