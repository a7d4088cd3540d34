// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/quanta.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include "tools/row_digest.hpp"

#include <array>
#include <cstring>
#include <vector>

namespace pleat::tools {
namespace {

/// Two caches of two pages with two rows and 8 bytes of padding, equal to begin with.
struct Caches {
  explicit Caches(RowFormat format, const Geometry& g = Csa::value) {
    compressor.geometry = g;
    compressor.row_format = format;
    layout = row_layout(format, g);
    stride = layout.page_bytes(2) + 8;
    a.assign(static_cast<std::size_t>(2 * stride), 0x35);
    b = a;
  }
  TensorView view(std::vector<std::uint8_t>& v) const {
    return TensorView::paged(v.data(), DType::u8, 2, 2, layout.row_bytes(), stride);
  }
  CacheDifference compare(const std::optional<std::vector<std::int64_t>>& slots = std::nullopt,
                          float tolerance = 0) {
    return compare_caches(compressor, view(a), view(b), slots, tolerance);
  }
  std::uint8_t& value(std::int64_t page, std::int64_t row, std::int64_t byte) {
    return b[static_cast<std::size_t>(page * stride + layout.value_offset(row) + byte)];
  }
  std::uint8_t& scale(std::int64_t page, std::int64_t row, std::int64_t byte) {
    return b[static_cast<std::size_t>(page * stride + layout.scale_offset(2, row) + byte)];
  }

  Compressor compressor;
  RowLayout layout;
  std::int64_t stride = 0;
  std::vector<std::uint8_t> a, b;
};

TEST(Quanta, StepsBetweenCodes) {
  EXPECT_EQ(quanta_between(Code::e4m3, 0x45, 0x46), 1);
  EXPECT_EQ(quanta_between(Code::e4m3, 0x01, 0x81), 2);
  EXPECT_EQ(quanta_between(Code::e4m3, 0x00, 0x80), 0);
  EXPECT_EQ(quanta_between(Code::bf16, 0x3F80, 0x3F7F), 1);
  EXPECT_EQ(quanta_between(Code::bf16, 0x8001, 0x0002), 3);
  EXPECT_EQ(quanta_between(Code::e2m1, 0x1, 0x9), 2);
  EXPECT_EQ(quanta_between(Code::e2m1, 0xF, 0x7), 14);
}

TEST(Quanta, ScalesAreNearByOnePowerOfTwo) {
  std::vector<std::uint8_t> values(576);
  const auto further = [&](RowFormat format, const Geometry& g, const auto& a, const auto& b,
                           float tolerance) {
    Compressor c;
    c.geometry = g;
    c.row_format = format;
    const auto* pa = reinterpret_cast<const std::uint8_t*>(a.data());
    const auto* pb = reinterpret_cast<const std::uint8_t*>(b.data());
    return scales_further(c, {values.data(), pa}, {values.data(), pb}, tolerance);
  };
  using Bytes = std::array<std::uint8_t, 8>;
  const auto mla = [&](const Bytes& a, const Bytes& b) {
    return further(RowFormat::fp8_mla, Csa::value, a, b, 0);
  };
  const Bytes at{120, 120, 120, 120, 120, 120, 120, 0};
  EXPECT_EQ(mla(at, at), 0);
  EXPECT_EQ(mla(at, {121, 119, 120, 120, 120, 120, 120, 0}), 0);
  EXPECT_EQ(mla(at, {122, 118, 120, 120, 120, 120, 120, 0}), 2);
  EXPECT_EQ(mla(at, {120, 120, 120, 120, 120, 120, 120, 1}), 1) << "the spare byte";
  using Scale = std::array<float, 1>;
  const auto index = [&](float a, float b, float tolerance) {
    return further(RowFormat::index_fp8, Indexer::value, Scale{a}, Scale{b}, tolerance);
  };
  EXPECT_EQ(index(0.25F, 0.5F, 0), 0);
  EXPECT_EQ(index(0.25F, 1.0F, 0), 1);
  EXPECT_EQ(index(0.25F, 0.3F, 0), 1) << "no power of two";
  EXPECT_EQ(index(0.25F, 0.25F * 1.000009F, 1e-5F), 0);
  EXPECT_EQ(index(0.25F, 0.25F * 1.000012F, 1e-5F), 1);
  EXPECT_EQ(index(0.25F, 0.5F, 1e-5F), 1);
}

TEST(Quanta, EqualCachesHaveNoDifference) {
  Caches c(RowFormat::fp8_mla);
  const CacheDifference d = c.compare();
  EXPECT_EQ(d.rows, 4);
  EXPECT_EQ(d.rows_different, 0);
  EXPECT_EQ(d.counts, (CodeCounts{4 * 512, 0, 0, 0}));
  EXPECT_EQ(d.bytes, 0);
  EXPECT_FALSE(d.first);
}

TEST(Quanta, Fp8MlaCodesScalesAndPadding) {
  Caches c(RowFormat::fp8_mla);
  c.value(1, 0, 70) = 0x36;   // channel 70, one quantum
  c.value(1, 1, 3) = 0x38;    // channel 3, three quanta
  c.value(1, 1, 448) = 0x36;  // low byte of channel 448, bf16: one step
  CacheDifference d = c.compare();
  EXPECT_EQ(d.counts, (CodeCounts{4 * 512, 2, 1, 0}));
  EXPECT_EQ(d.rows_different, 2);
  EXPECT_EQ(d.first, (Place{1, 0, 70}));
  EXPECT_EQ(d.bytes, 3);
  EXPECT_EQ(d.stray_bytes, 0);

  c.scale(1, 1, 0) = 0x36;  // the block of channel 3: its codes are no longer counted
  c.scale(0, 0, 7) = 0x00;  // the spare byte
  c.b[static_cast<std::size_t>(c.stride - 1)] = 0;
  d = c.compare();
  EXPECT_EQ(d.counts, (CodeCounts{4 * 512, 2, 0, 2}));
  EXPECT_EQ(d.first, (Place{0, 0, 448}));
  EXPECT_EQ(d.stray_bytes, 1);
  EXPECT_EQ(d.first_stray, c.stride - 1);
}

TEST(Quanta, RowsThatNobodyAskedAboutAreStray) {
  Caches c(RowFormat::fp8_mla);
  c.value(0, 1, 5) = 0x36;
  EXPECT_EQ(c.compare({{0, 2}}).stray_bytes, 1);
  EXPECT_EQ(c.compare({{0, 2}}).rows_different, 0);
  EXPECT_EQ(c.compare({{1}}).stray_bytes, 0);
  EXPECT_EQ(c.compare({{1}}).counts, (CodeCounts{512, 1, 0, 0}));
}

TEST(Quanta, Bf16AndTensorScaledRows) {
  Caches bf16(RowFormat::bf16);
  bf16.value(0, 0, 2) = 0x37;  // channel 1: two steps
  EXPECT_EQ(bf16.compare().counts, (CodeCounts{4 * 512, 0, 1, 0}));
  EXPECT_EQ(bf16.compare().first, (Place{0, 0, 1}));
  Caches fp8(RowFormat::fp8_tensor);
  fp8.value(1, 1, 511) = 0x34;
  EXPECT_EQ(fp8.compare().counts, (CodeCounts{4 * 512, 1, 0, 0}));
  EXPECT_EQ(fp8.compare().first, (Place{1, 1, 511}));
}

TEST(Quanta, IndexFp8ScalesByBytesOrByValue) {
  Caches c(RowFormat::index_fp8, Indexer::value);
  float scale = 0;
  std::memcpy(&scale, &c.scale(0, 1, 0), sizeof scale);
  scale *= 1.0F + 1e-6F;
  std::memcpy(&c.scale(0, 1, 0), &scale, sizeof scale);
  EXPECT_EQ(c.compare().counts.scales, 1);
  EXPECT_EQ(c.compare({}, 4e-6F).counts.scales, 0);
  EXPECT_EQ(c.compare({}, 4e-6F).rows_different, 1);
  scale *= 1.0F + 1e-5F;
  std::memcpy(&c.scale(0, 1, 0), &scale, sizeof scale);
  EXPECT_EQ(c.compare({}, 4e-6F).counts.scales, 1);
}

TEST(Quanta, Mxfp4Nibbles) {
  Caches c(RowFormat::index_mxfp4, Indexer::value);
  c.value(0, 0, 17) = 0x46;  // 0x35 before: channel 34 5 -> 6, channel 35 3 -> 4
  c.value(0, 1, 0) = 0xB5;   // channel 1: 3 -> -3
  c.scale(1, 0, 3) = 0x36;
  const CacheDifference d = c.compare();
  EXPECT_EQ(d.counts, (CodeCounts{4 * 128, 2, 1, 1}));
  EXPECT_EQ(d.first, (Place{0, 0, 34}));
}

TEST(Quanta, NumbersInSteps) {
  const float a[] = {1.0F, -0.0F, 2.0F, 3.0F};
  const float b[] = {1.0F, 0.0F, 2.0000002F, 3.0F};
  const NumberDifference d = compare_numbers(DType::f32, a, b, 4);
  EXPECT_EQ(d.different, 2);
  EXPECT_EQ(d.first, 1);
  EXPECT_EQ(d.largest_ulps, 1);
  const std::uint16_t x[] = {0x3F80, 0x0001};
  const std::uint16_t y[] = {0x3F84, 0x8001};
  EXPECT_EQ(compare_numbers(DType::bf16, x, y, 2).largest_ulps, 4);
  EXPECT_EQ(compare_numbers(DType::bf16, x, x, 2).first, -1);
}

TEST(Quanta, DigestsSeeEveryByteAndItsPlace) {
  std::vector<std::uint8_t> row(132);
  for (std::size_t i = 0; i < row.size(); ++i)
    row[i] = static_cast<std::uint8_t>(7 * i + 1);
  const auto digest = [&] { return digest_of_row(row.data(), 128, row.data() + 128, 4, 3, 5, 7); };
  const std::uint64_t want = digest();
  for (std::uint8_t& byte : row) {
    byte ^= 0x10;
    EXPECT_NE(digest(), want) << "byte " << &byte - row.data();
    byte ^= 0x10;
  }
  std::swap_ranges(row.begin(), row.begin() + 4, row.begin() + 4);
  EXPECT_NE(digest(), want) << "words that changed places";
}

TEST(Quanta, IndexCodesUnderAWrongScaleStillCount) {
  Caches c(RowFormat::index_fp8, Indexer::value);
  c.scale(0, 1, 3) ^= 1;
  c.value(0, 1, 9) += 2;
  EXPECT_EQ(c.compare().counts, (CodeCounts{4 * 128, 0, 1, 1}));
}

}  // namespace
}  // namespace pleat::tools
