// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <pleat/pleat.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace pleat {
namespace {

constexpr std::int64_t kWidth = 64;

std::uint32_t bits_of(float x) {
  std::uint32_t u = 0;
  std::memcpy(&u, &x, sizeof u);
  return u;
}

std::vector<float> table_of(Recipe recipe, std::int64_t positions) {
  std::vector<float> table(static_cast<std::size_t>(positions * kWidth));
  const auto view = TensorView::packed(table.data(), DType::f32, positions, kWidth);
  EXPECT_EQ(build_rope_table(recipe, view).message(), "");
  return table;
}

/// Bits that shared/oracle/oracle.py's rope_table() gives: {position, column, bits}.
TEST(RopeTable, OraclesBits) {
  const std::vector<float> table = table_of(Recipe::vllm, 100000);
  struct Golden {
    std::int64_t position;
    std::int64_t column;
    std::uint32_t bits;
  };
  const Golden golden[] = {
      {0, 0, 0x3f800000},      {0, 32, 0x00000000},     {1, 0, 0x3f0a5140},
      {1, 1, 0x3f45d205},      {1, 15, 0x3f7fff91},     {1, 32, 0x3f576aa4},
      {1, 47, 0x3b6e4215},     {1, 63, 0x35187c4c},     {7, 1, 0x3dcee93a},
      {7, 16, 0x3f7ff7c2},     {7, 63, 0x36856cc2},     {65535, 0, 0x3e44f5d5},
      {65535, 14, 0x3f1f58c7}, {65535, 20, 0x3f516801}, {65535, 47, 0xbef82ac2},
      {99999, 1, 0xbe2670e7},  {99999, 25, 0x3f5bf00d}, {99999, 63, 0x3d688c0a},
  };
  for (const Golden& g : golden) {
    const float x = table[static_cast<std::size_t>(g.position * kWidth + g.column)];
    EXPECT_EQ(bits_of(x), g.bits) << g.position << ", " << g.column;
  }
}

TEST(RopeTable, PairsAreTheHalvesInterleaved) {
  const std::vector<float> halves = table_of(Recipe::deepseek, 300);
  const std::vector<float> pairs = table_of(Recipe::sglang, 300);
  for (std::size_t p = 0; p < 300; ++p) {
    for (std::size_t i = 0; i < 32; ++i) {
      EXPECT_EQ(bits_of(pairs[p * 64 + 2 * i]), bits_of(halves[p * 64 + i]));
      EXPECT_EQ(bits_of(pairs[p * 64 + 2 * i + 1]), bits_of(halves[p * 64 + 32 + i]));
    }
  }
}

TEST(RopeTable, EachPairIsAPointOfTheUnitCircle) {
  const std::vector<float> table = table_of(Recipe::vllm, 5000);
  for (std::size_t p = 0; p < 5000; ++p) {
    for (std::size_t i = 0; i < 32; ++i) {
      const double c = table[p * 64 + i];
      const double s = table[p * 64 + 32 + i];
      ASSERT_NEAR(c * c + s * s, 1.0, 3e-7);
    }
  }
}

TEST(RopeTable, StrideLeavesThePaddingAlone) {
  std::vector<float> table(3 * 80, 7.5e8F);
  TensorView view = TensorView::packed(table.data(), DType::f32, 3, kWidth);
  view.stride[0] = 80;
  ASSERT_EQ(build_rope_table(Recipe::vllm, view).message(), "");
  const std::vector<float> packed = table_of(Recipe::vllm, 3);
  for (std::size_t p = 0; p < 3; ++p) {
    EXPECT_EQ(std::memcmp(&table[p * 80], &packed[p * 64], 64 * sizeof(float)), 0);
    for (std::size_t i = 64; i < 80; ++i)
      EXPECT_EQ(table[p * 80 + i], 7.5e8F);
  }
}

TEST(RopeTable, RefusesByName) {
  std::vector<float> table(4 * 64, 1.0F);
  const auto good = TensorView::packed(table.data(), DType::f32, 4, kWidth);
  const auto expect = [&](Recipe recipe, const TensorView& v, const char* words) {
    const Status s = build_rope_table(recipe, v);
    EXPECT_EQ(s.code(), StatusCode::invalid_argument);
    EXPECT_EQ(s.message(), words);
    EXPECT_EQ(table, std::vector<float>(table.size(), 1.0F));
  };
  expect(static_cast<Recipe>(4), good,
         "recipe: expected deepseek, vllm, vllm_triton or sglang (0 to 3), got 4");
  TensorView v = good;
  v.dtype = DType::bf16;
  expect(Recipe::vllm, v, "table: expected dtype f32, got bf16");
  v = good;
  v.rank = 1;
  expect(Recipe::vllm, v, "table: expected rank 2 [positions, rope_dim], got 1");
  v = good;
  v.shape[1] = 63;
  expect(Recipe::vllm, v, "table: expected last dimension even and from 2 to 64, got 63");
  v.shape[1] = 66;
  expect(Recipe::vllm, v, "table: expected last dimension even and from 2 to 64, got 66");
  v = good;
  v.shape[0] = -1;
  expect(Recipe::vllm, v, "table: expected first dimension at least 0, got -1");
  v = good;
  v.stride[1] = 2;
  expect(Recipe::vllm, v, "table: expected last stride 1, got 2");
  v = good;
  v.stride[0] = 63;
  expect(Recipe::vllm, v, "table: expected row stride at least 64, got 63");
  v = good;
  v.shape[0] = std::numeric_limits<std::int64_t>::max();
  expect(Recipe::vllm, v,
         "table: expected a size in bytes that fits in 64 bits, got 9223372036854775807");
  v = good;
  v.data = nullptr;
  expect(Recipe::vllm, v, "table: expected a pointer to f32 [positions, rope_dim], got null");
  v.shape[0] = 0;
  EXPECT_TRUE(build_rope_table(Recipe::vllm, v).ok());
  v = good;
  v.data = reinterpret_cast<char*>(table.data()) + 2;
  EXPECT_EQ(build_rope_table(Recipe::vllm, v).code(), StatusCode::invalid_argument);
}

}  // namespace
}  // namespace pleat
