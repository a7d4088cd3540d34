// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/recipe.hpp>

#include <gtest/gtest.h>

#include <array>

namespace pleat {
namespace {

// The table of spec section 5, one row of it per line: deepseek, vllm, vllm_triton, sglang.
struct Row {
  const char* name;
  bool RecipeTraits::*trait;
  std::array<bool, 4> of_recipe;
};

const Row kRows[] = {
    {"APE is added when pooled", &RecipeTraits::ape_when_pooled, {false, false, false, true}},
    {"pooled is rounded to bf16", &RecipeTraits::pooled_bf16, {true, false, false, false}},
    {"norm is rounded to bf16", &RecipeTraits::norm_bf16, {true, false, false, false}},
    {"the fp8 floor is the scale's", &RecipeTraits::floor_on_scale, {false, true, false, false}},
    {"Hadamard", &RecipeTraits::hadamard, {true, false, false, true}},
    {"indexer rounds to bf16", &RecipeTraits::index_bf16, {true, true, true, false}},
    {"index_fp8 scale as is", &RecipeTraits::index_scale_raw, {false, false, false, true}},
    {"FP4 ties toward zero", &RecipeTraits::fp4_ties_to_zero, {false, false, false, true}},
    {"RoPE table in pairs", &RecipeTraits::rope_table_in_pairs, {false, false, false, true}},
};

TEST(Recipe, TraitsAreTheSpecsTable) {
  const Recipe recipes[] = {Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang};
  for (const Row& row : kRows) {
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_EQ(traits_of(recipes[i]).*row.trait, row.of_recipe[i]) << row.name << ", recipe " << i;
  }
}

TEST(Recipe, ValuesAreTheAbi) {
  EXPECT_EQ(static_cast<int>(Recipe::deepseek), 0);
  EXPECT_EQ(static_cast<int>(Recipe::vllm), 1);
  EXPECT_EQ(static_cast<int>(Recipe::vllm_triton), 2);
  EXPECT_EQ(static_cast<int>(Recipe::sglang), 3);
}

}  // namespace
}  // namespace pleat
