// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

// What fold.hpp does with a pooled row: norm, RoPE and the codes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "numerics/codes.hpp"
#include "reference/fold.hpp"
#include "support/random.hpp"

namespace pleat::reference {
namespace {

Compressor compressor(const Geometry& g, Recipe recipe, RowFormat format) {
  return {g, recipe, format, 1e-6F};
}

TEST(NormRope, UnitWeightAndNoTurnGiveRowsOfMeanSquareOne) {
  const Compressor c = compressor(Csa::value, Recipe::vllm, RowFormat::bf16);
  test::Random random(4);
  std::vector<float> row(512);
  for (float& x : row)
    x = 7 * random.normal();
  std::vector<float> weight(512, 1.0F);
  std::vector<float> rope(64, 0.0F);
  std::fill_n(rope.begin(), 32, 1.0F);  // cos
  norm_rope(c, TensorView::packed(weight.data(), DType::f32, 512), rope.data(), row.data());
  double squares = 0;
  for (const float x : row)
    squares += static_cast<double>(x) * static_cast<double>(x);
  EXPECT_NEAR(squares / 512, 1.0, 1e-5);
}

TEST(NormRope, RotatesOnlyTheLastChannelsInPairs) {
  for (const Recipe recipe : {Recipe::vllm, Recipe::sglang}) {
    const Compressor c = compressor(Csa::value, recipe, RowFormat::bf16);
    std::vector<float> row(512);
    for (std::size_t i = 0; i < 512; ++i)
      row[i] = static_cast<float>(i % 2 == 0 ? 1 : -1);
    std::vector<float> weight(512, 1.0F);
    std::vector<float> rope(64);
    for (std::size_t i = 0; i < 32; ++i) {  // a quarter turn for odd pairs, none for the others
      const bool pairs = recipe == Recipe::sglang;
      rope[pairs ? 2 * i : i] = i % 2 == 0 ? 1.0F : 0.0F;
      rope[pairs ? 2 * i + 1 : 32 + i] = i % 2 == 0 ? 0.0F : 1.0F;
    }
    norm_rope(c, TensorView::packed(weight.data(), DType::f32, 512), rope.data(), row.data());
    for (std::size_t i = 0; i < 512; i += 2) {
      const bool turned = i >= 448 && (i - 448) / 2 % 2 == 1;
      EXPECT_GT(row[i], 0.99F) << i;
      EXPECT_NEAR(row[i + 1], turned ? 1.0F : -1.0F, 1e-5F) << i;
    }
  }
}

/// Rows of one fp8_mla block whose largest magnitude is amax, through encode.
struct EncodedBlock {
  int byte;
  int code;
};

EncodedBlock encode_fp8(float amax, Recipe recipe) {
  std::vector<float> row(512, 0.0F);
  row[3] = amax;
  std::vector<std::uint8_t> values(576, 0xEE);
  std::vector<std::uint8_t> scales(8, 0xEE);
  encode(compressor(Hca::value, recipe, RowFormat::fp8_mla), row.data(), 1.0F, values.data(),
         scales.data());
  EXPECT_EQ(scales[7], 0);
  return {scales[0], values[3]};
}

// bf16(1e-4) is a little above 1e-4, so the spec's row for 1e-4 belongs to the codes' own test.
TEST(Encode, Fp8BlocksOfTheSpec) {
  const struct {
    float amax;
    int byte;
    int code;
  } blocks[] = {{0.0F, 105, 0x00},       {0.5F, 118, 0x78},   {1.75F, 119, 0x7E},
                {1.7578125F, 120, 0x76}, {448.0F, 127, 0x7E}, {450.0F, 128, 0x76},
                {1000.0F, 129, 0x78}};
  for (const auto& b : blocks) {
    const EncodedBlock got = encode_fp8(b.amax, Recipe::deepseek);
    EXPECT_EQ(got.byte, b.byte) << b.amax;
    EXPECT_EQ(got.code, b.code) << b.amax;
  }
  EXPECT_EQ(encode_fp8(0.0F, Recipe::vllm).byte, 114);  // the floor is the scale's: 2^-13
  EXPECT_EQ(encode_fp8(0.0F, Recipe::vllm_triton).byte, 105);
  EXPECT_EQ(encode_fp8(0.0F, Recipe::sglang).byte, 105);
}

TEST(Encode, Fp4BlocksOfTheSpec) {
  const struct {
    float amax;
    int byte;
    int code;
  } blocks[] = {{0.0F, 1, 0},         {0.5F, 124, 6}, {0.75F, 124, 7},
                {0.7578125F, 125, 5}, {6.0F, 127, 7}, {6.0625F, 128, 5}};
  for (const auto& b : blocks) {
    std::vector<float> row(128, 0.0F);
    row[33] = -b.amax;
    std::vector<std::uint8_t> values(64, 0xEE);
    std::vector<std::uint8_t> scales(4, 0xEE);
    encode(compressor(Indexer::value, Recipe::vllm, RowFormat::index_mxfp4), row.data(), 1.0F,
           values.data(), scales.data());
    EXPECT_EQ(scales[0], 1);
    EXPECT_EQ(scales[1], b.byte) << b.amax;
    EXPECT_EQ(values[16] >> 4, 8 | b.code)
        << b.amax;  // odd channel: high nibble; negative, also -0
    EXPECT_EQ(values[16] & 15, 0);
  }
}

TEST(Encode, SglangFp4HasNoNegativeZeroAndAFloorOf1e4) {
  // A row of one channel, spread by the Hadamard transform: all magnitudes are equal.
  std::vector<float> row(128, 0.0F);
  row[0] = -1e-6F;
  std::vector<std::uint8_t> values(64, 0xEE);
  std::vector<std::uint8_t> scales(4, 0xEE);
  encode(compressor(Indexer::value, Recipe::sglang, RowFormat::index_mxfp4), row.data(), 1.0F,
         values.data(), scales.data());
  for (const std::uint8_t v : values)
    EXPECT_EQ(v, 0);
  for (const std::uint8_t s : scales)
    EXPECT_EQ(s, 127 - 15);
}

TEST(Encode, IndexScalesOfTheRecipes) {
  std::vector<float> values_in(128, 0.0F);
  for (std::size_t i = 0; i < 128; ++i)
    values_in[i] = i % 2 == 0 ? 3.0F : -1.5F;
  std::vector<std::uint8_t> values(128);
  float scale = 0;
  std::vector<float> row = values_in;
  encode(compressor(Indexer::value, Recipe::vllm, RowFormat::index_fp8), row.data(), 1.0F,
         values.data(), reinterpret_cast<std::uint8_t*>(&scale));
  EXPECT_EQ(scale, 0x1p-7F);  // 3 / 448 <= 2^-7
  EXPECT_EQ(numerics::e4m3_value(values[0]) * scale, 3.0F);
  EXPECT_EQ(numerics::e4m3_value(values[1]) * scale, -1.5F);
  // sglang: through the transform only channels 0 and 1 are left, (3 - 1.5)/2 * sqrt(128) and ..
  row = values_in;
  encode(compressor(Indexer::value, Recipe::sglang, RowFormat::index_fp8), row.data(), 1.0F,
         values.data(), reinterpret_cast<std::uint8_t*>(&scale));
  EXPECT_NEAR(scale, 2.25 * std::sqrt(128.0) / 448, 1e-7);
  EXPECT_EQ(values[1], 0x7E);
  EXPECT_EQ(values[2] & 0x7F, 0);
}

TEST(Encode, Fp8TensorDividesByTheGivenScale) {
  std::vector<float> row(512, 1.001F);
  std::vector<std::uint8_t> values(512);
  encode(compressor(Hca::value, Recipe::vllm, RowFormat::fp8_tensor), row.data(), 0.5F,
         values.data(), nullptr);
  for (const std::uint8_t v : values)
    EXPECT_EQ(v, 0x40);  // bf16(1.001) is 1; 1 / 0.5 = 2
}

TEST(Encode, Bf16IsLittleEndianAndRounded) {
  std::vector<float> row(512, 1.00390625F);  // a tie between 1 and the next bf16: even is 1
  std::vector<std::uint8_t> values(1024);
  encode(compressor(Hca::value, Recipe::vllm, RowFormat::bf16), row.data(), 1.0F, values.data(),
         nullptr);
  EXPECT_EQ(values[0], 0x80);
  EXPECT_EQ(values[1], 0x3F);
}

}  // namespace
}  // namespace pleat::reference
