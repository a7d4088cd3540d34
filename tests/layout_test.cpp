// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/layout.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace pleat {
namespace {

const std::vector<RowFormat> kFormats{RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor,
                                      RowFormat::index_fp8, RowFormat::index_mxfp4};

// The table of spec section 4, its formulas as written there.
TEST(Layout, OfTheSpec) {
  constexpr std::int64_t rows = 64;
  const std::int64_t r = 37;
  const RowLayout mla = row_layout(RowFormat::fp8_mla, Hca::value);
  EXPECT_EQ(mla.row_bytes(), 584);
  EXPECT_EQ(mla.value_offset(r), 576 * r);
  EXPECT_EQ(mla.scale_offset(rows, r), 576 * rows + 8 * r);
  const RowLayout bf16 = row_layout(RowFormat::bf16, Csa::value);
  EXPECT_EQ(bf16.value_offset(r), 1024 * r);
  EXPECT_EQ(bf16.page_bytes(rows), 1024 * rows);
  const RowLayout tensor = row_layout(RowFormat::fp8_tensor, Csa::value);
  EXPECT_EQ(tensor.value_offset(r), 512 * r);
  EXPECT_EQ(tensor.page_bytes(rows), 512 * rows);
  const RowLayout index = row_layout(RowFormat::index_fp8, Indexer::value);
  EXPECT_EQ(index.row_bytes(), 132);
  EXPECT_EQ(index.value_offset(r), 128 * r);
  EXPECT_EQ(index.scale_offset(rows, r), 128 * rows + 4 * r);
  const RowLayout fp4 = row_layout(RowFormat::index_mxfp4, Indexer::value);
  EXPECT_EQ(fp4.row_bytes(), 68);
  EXPECT_EQ(fp4.value_offset(r), 64 * r);
  EXPECT_EQ(fp4.scale_offset(rows, r), 64 * rows + 4 * r);
}

TEST(Layout, RowsCoverAPageExactlyOnce) {
  for (const Geometry& g : {Hca::value, Csa::value, Indexer::value}) {
    for (const RowFormat f : kFormats) {
      if (!row_format_fits(f, g)) continue;
      const RowLayout layout = row_layout(f, g);
      for (const std::int64_t rows : {1, 2, 3, 64}) {
        std::vector<int> owners(static_cast<std::size_t>(layout.page_bytes(rows)));
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t b = 0; b < layout.value_bytes; ++b)
            ++owners.at(static_cast<std::size_t>(layout.value_offset(r) + b));
          for (std::int64_t b = 0; b < layout.scale_bytes; ++b)
            ++owners.at(static_cast<std::size_t>(layout.scale_offset(rows, r) + b));
        }
        EXPECT_EQ(owners, std::vector<int>(owners.size(), 1));
      }
    }
  }
}

TEST(Layout, OffsetsAre64Bits) {
  const RowLayout layout = row_layout(RowFormat::fp8_mla, Hca::value);
  const std::int64_t rows = std::int64_t{1} << 33;
  EXPECT_EQ(layout.scale_offset(rows, rows - 1), 576 * rows + 8 * (rows - 1));
}

TEST(Layout, FitsOnlyItsGeometries) {
  for (const RowFormat f : {RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor}) {
    EXPECT_TRUE(row_format_fits(f, Hca::value));
    EXPECT_TRUE(row_format_fits(f, Csa::value));
    EXPECT_FALSE(row_format_fits(f, Indexer::value));
  }
  for (const RowFormat f : {RowFormat::index_fp8, RowFormat::index_mxfp4}) {
    EXPECT_FALSE(row_format_fits(f, Hca::value));
    EXPECT_TRUE(row_format_fits(f, Indexer::value));
  }
  Geometry half_rope = Hca::value;
  half_rope.rope_dim = 32;  // 480 channels are no whole number of blocks
  EXPECT_FALSE(row_format_fits(RowFormat::fp8_mla, half_rope));
  EXPECT_FALSE(row_format_fits(static_cast<RowFormat>(99), Hca::value));
  EXPECT_EQ(row_layout(static_cast<RowFormat>(99), Hca::value).row_bytes(), 0);
}

}  // namespace
}  // namespace pleat
