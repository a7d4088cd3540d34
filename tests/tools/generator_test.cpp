// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/generator.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "support/scale.hpp"

namespace pleat::tools {
namespace {

constexpr std::int64_t kWidth = 2048;

TEST(Generator, RowsEqualChannelsOneByOne) {
  std::vector<float> row(kWidth + 1);
  std::vector<std::uint16_t> row_bf16(kWidth + 1);
  for (std::int64_t i = 0; i < test::repetitions(200); ++i) {
    const RowKey key = row_key(layer_key(7, i % 5), {i * 3, i * i, i % 3});
    generate_row(key, kWidth, row.data() + 1);  // off any vector's alignment
    generate_row(key, kWidth, row_bf16.data() + 1);
    for (std::uint32_t c = 0; c < kWidth; ++c) {
      ASSERT_EQ(row[c + 1], channel_value(key, c)) << generator_target() << " channel " << c;
      ASSERT_EQ(row_bf16[c + 1], channel_value_bf16(key, c)) << generator_target();
    }
  }
}

/// The values themselves are promised: digests of replays are compared between machines.
TEST(Generator, KeepsItsValues) {
  const RowKey key = row_key(layer_key(1, 2), {3, 4, 5});
  EXPECT_EQ(key.start, 0x3BAA0250U);
  EXPECT_EQ(key.twist, 0x86837F8AU);
  EXPECT_EQ(channel_value(key, 0), -0x1.21p-2F);
  EXPECT_EQ(channel_value(key, 1000), 0x1.95p-1F);
}

TEST(Generator, WritesNothingBesideTheRow) {
  std::vector<float> row(64, 99.0F);
  generate_row({1, 2}, 32, row.data() + 16);
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i < 16 || i >= 48) {
      ASSERT_EQ(row[i], 99.0F);
    }
  }
}

TEST(Generator, LooksNormalWithSigmaOne) {
  std::vector<float> row(kWidth);
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  std::int64_t n = 0;
  float largest = 0;
  for (std::int64_t t = 0; t < 500; ++t) {
    generate_row(row_key(layer_key(1, 0), {0, t, 0}), kWidth, row.data());
    for (const float v : row) {
      sum += v;
      squares += static_cast<double>(v) * v;
      fourth += static_cast<double>(v) * v * v * v;
      largest = std::max(largest, std::fabs(v));
      ++n;
    }
  }
  const double count = static_cast<double>(n);
  EXPECT_NEAR(sum / count, 0.0, 5e-3);
  EXPECT_NEAR(squares / count, 1.0, 5e-3);
  EXPECT_NEAR(fourth / count, 2.6, 0.03);  // of a sum of three uniform numbers
  EXPECT_LT(largest, 3.0F);
}

/// Neighbours in any coordinate give unrelated rows.
TEST(Generator, CoordinatesDoNotCorrelate) {
  const auto row_of = [](std::uint64_t seed, std::uint64_t layer, TokenId t) {
    std::vector<float> row(kWidth);
    generate_row(row_key(layer_key(seed, layer), t), kWidth, row.data());
    return row;
  };
  const std::vector<std::vector<float>> rows = {row_of(1, 0, {0, 0, 0}), row_of(2, 0, {0, 0, 0}),
                                                row_of(1, 1, {0, 0, 0}), row_of(1, 0, {1, 0, 0}),
                                                row_of(1, 0, {0, 1, 0}), row_of(1, 0, {0, 0, 1}),
                                                row_of(1, 0, {0, 2, 0}), row_of(1, 0, {-1, 0, 0})};
  for (std::size_t a = 0; a < rows.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      for (const std::size_t shift : {0U, 1U, 2U, 64U}) {
        double dot = 0;
        for (std::size_t c = 0; c + shift < kWidth; ++c)
          dot += rows[a][c] * rows[b][c + shift];
        EXPECT_LT(std::fabs(dot) / kWidth, 5.0 / std::sqrt(kWidth)) << a << " " << b;
      }
    }
  }
}

TEST(Generator, KeysOfATraceDoNotCollide) {
  std::set<std::uint64_t> keys;
  std::size_t n = 0;
  for (std::uint64_t layer = 0; layer < 3; ++layer) {
    for (std::int64_t request = 0; request < 20; ++request) {
      for (std::int64_t position = 0; position < 1000; ++position) {
        const RowKey k = row_key(layer_key(0, layer), {request, position, 0});
        keys.insert(static_cast<std::uint64_t>(k.twist) << 32 | k.start);
        ++n;
      }
    }
  }
  EXPECT_EQ(keys.size(), n);
}

}  // namespace
}  // namespace pleat::tools
