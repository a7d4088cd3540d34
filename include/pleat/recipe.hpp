// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace pleat {

/// Whose roundings to follow. Values are part of the C ABI.
enum class Recipe : std::int32_t { deepseek = 0, vllm = 1, vllm_triton = 2, sglang = 3 };

/// Where a recipe rounds: spec section 5 as data, used by every backend and by the tests.
struct RecipeTraits {
  bool ape_when_pooled;   ///< state keeps the raw score; APE is added when pooling
  bool pooled_bf16;       ///< pooled is rounded to bf16 before the norm
  bool norm_bf16;         ///< the norm's output is rounded to bf16, RoPE starts from that
  bool floor_on_scale;    ///< fp8: scale = max(amax / 448, 1e-4), else max(amax, 1e-4) / 448
  bool hadamard;          ///< indexer rows pass a Hadamard-128 after RoPE
  bool index_bf16;        ///< indexer values are rounded to bf16 before quantising
  bool index_scale_raw;   ///< index_fp8: scale = amax / 448 as is, codes from value * (1 / scale)
  bool fp4_ties_to_zero;  ///< index_mxfp4: ties toward zero, no negative zero, amax >= 1e-4
  bool rope_table_in_pairs;  ///< table row is cos, sin interleaved; else all cos, then all sin
};

constexpr RecipeTraits traits_of(Recipe r) {
  switch (r) {
    case Recipe::deepseek:
      return {false, true, true, false, true, true, false, false, false};
    case Recipe::vllm:
      return {false, false, false, true, false, true, false, false, false};
    case Recipe::vllm_triton:
      return {false, false, false, false, false, true, false, false, false};
    case Recipe::sglang:
      return {true, false, false, false, true, false, true, true, true};
  }
  return {};
}

}  // namespace pleat
