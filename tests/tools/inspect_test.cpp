// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/inspect.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

using testing::HasSubstr;

CaseHeader header_of(const char* geometry, const Geometry& g, RowFormat format) {
  CaseHeader h;
  h.geometry = geometry;
  h.compressor.geometry = g;
  h.compressor.row_format = format;
  h.state_page_rows = 2;
  h.cache_page_rows = 4;
  return h;
}

/// A page of four FP4 rows: row 1 holds 0x2F (-6, 1) in each byte at scale 2^-2, the others 0xA5.
struct Fp4Page {
  CaseHeader header = header_of("indexer", Indexer::value, RowFormat::index_mxfp4);
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(4 * 68 + 16, 0xA5);
  TensorView view = TensorView::paged(bytes.data(), DType::u8, 1, 4, 68, 4 * 68 + 16);

  Fp4Page() {
    std::fill_n(bytes.begin() + 64, 64, 0x2F);
    std::fill_n(bytes.begin() + 4 * 64 + 4, 4, 125);
  }
};

TEST(Inspect, CachePage) {
  Fp4Page page;
  EXPECT_EQ(show_cache_page(page.header, page.view, 0, Paint()),
            "cache page 0 of 1: 4 rows of 68 bytes, then 16 bytes of padding\n"
            "  row     largest      length  scales\n"
            "    0  untouched, all 0xa5: row 0\n"
            "    1         1.5       12.17  2^-2 2^-2 2^-2 2^-2\n"
            "    2  untouched, all 0xa5: rows 2 to 3\n");
}

TEST(Inspect, ByteMap) {
  Fp4Page page;
  EXPECT_EQ(show_cache_map(page.header, page.view, 0, Paint()),
            "cache page 0 of 1: 4 rows of 68 bytes, then 16 bytes of padding\n"
            "one character is 4 bytes of values, or one row's scales: v codes, b bf16, s scales, - "
            "untouched\n"
            "       0  ----------------  row 0, untouched\n"
            "      64  vvvvvvvvvvvvvvvv  row 1\n"
            "     128  ----------------  rows 2 to 3, untouched\n"
            "     256  -s--  scales, 4 bytes a row\n"
            "     272  16 bytes of padding\n");
}

TEST(Inspect, CacheRow) {
  Fp4Page page;
  const std::string text = show_cache_row(page.header, page.view, 0, 1, Paint());
  EXPECT_THAT(text, HasSubstr("cache page 0, row 1 (slot 1): values at byte 64, scales at 260 of "
                              "the page\nchannels 0 to 31, e2m1, scale 2^-2 (0x7d)\n     0   f "));
  EXPECT_THAT(text, HasSubstr("f     -1.5  2     0.25"));
  EXPECT_THAT(text, HasSubstr("channels 96 to 127, e2m1"));
}

TEST(Inspect, MlaRowsShowTheRotatedPart) {
  CaseHeader header = header_of("csa", Csa::value, RowFormat::fp8_mla);
  header.cache_page_rows = 1;
  std::vector<std::uint8_t> bytes(584);
  bytes[448] = 0x80;  // channel 448: bf16 1.0
  bytes[449] = 0x3F;
  bytes[576] = 127;
  const TensorView view = TensorView::paged(bytes.data(), DType::u8, 1, 1, 584, 584);
  const std::string row = show_cache_row(header, view, 0, 0, Paint());
  EXPECT_THAT(row, HasSubstr("channels 0 to 63, e4m3, scale 2^0 (0x7f)"));
  EXPECT_THAT(row, HasSubstr("channels 448 to 511, bf16\n   448   3f80        1  0000        0"));
  EXPECT_THAT(show_cache_map(header, view, 0, Paint()),
              HasSubstr("       0  vvvvvvvvvvvvvvvvvvvvvvvvvvvvbbbbbbbb  row 0\n     576  s"));
}

TEST(Inspect, StatePagesNameTheirParts) {
  const CaseHeader header = header_of("indexer", Indexer::value, RowFormat::index_fp8);
  std::vector<float> state(2 * 512 + 8, 7.5e8F);
  for (int i = 0; i < 512; ++i)
    state[static_cast<std::size_t>(i)] = static_cast<float>(i / 128);
  state[0] = -1;
  const TensorView view = TensorView::paged(state.data(), DType::f32, 1, 2, 512, 2 * 512 + 8);
  const std::string page = show_state_page(header, view, 0, Paint());
  EXPECT_THAT(page, HasSubstr("state page 0 of 1: 2 rows of 2048 bytes, then 32 bytes of padding"));
  EXPECT_THAT(page, HasSubstr("kv, next window       kv, own window        score, next window"));
  EXPECT_THAT(page, HasSubstr("    0  -1 .. 0               1 .. 1                2 .. 2"));
  EXPECT_THAT(page, HasSubstr("    1  untouched: all 7.5e+08"));
  EXPECT_THAT(show_state_row(header, view, 0, 0, Paint()),
              HasSubstr("state page 0, row 0 (slot 0)\nkv, next window\n       0          -1"));
}

TEST(Inspect, OtherTensorsRowByRow) {
  Tensor t = make_tensor("token_to_req", Element::i32, {2, 3});
  for (int i = 0; i < 3; ++i)
    t.as<std::int32_t>()[3 + i] = i;
  EXPECT_EQ(show_numbers(t, std::nullopt, Paint()),
            "token_to_req  I32 [2, 3]\n     0  all 0\n     1  0 .. 2\n");
  EXPECT_EQ(show_numbers(t, 1, Paint()),
            "token_to_req  I32 [2, 3]\n       0           0          1          2\n");
  EXPECT_THROW((void)show_numbers(t, 2, Paint()), Error);
  EXPECT_THROW((void)show_numbers(t, -1, Paint()), Error);
}

TEST(Inspect, SummaryListsTensorsAndMetadata) {
  TensorFile f;
  f.metadata = {{"op", "step"}, {"odd", "\x1b[31m"}};
  f.tensors.push_back(make_tensor("kv_cache", Element::u8, {2, 288}));
  const CaseHeader header = header_of("csa", Csa::value, RowFormat::fp8_mla);
  const std::string text = show_file(f, header, Paint());
  EXPECT_THAT(text, HasSubstr("step, csa: 4 tokens a row from a window of 8, 512 channels"));
  EXPECT_THAT(text, HasSubstr("fp8_mla: 576 bytes of values and 8 of scales a row"));
  EXPECT_THAT(text, HasSubstr("kv_cache  U8     [2, 288]           576\n"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "control characters reach the terminal";
}

TEST(Inspect, ColourChangesNothingButColour) {
  Fp4Page page;
  std::string coloured = show_cache_map(page.header, page.view, 0, Paint(true));
  EXPECT_THAT(coloured, HasSubstr("\x1b[33m"));
  for (std::size_t at = 0; (at = coloured.find('\x1b')) != std::string::npos;) {
    coloured.erase(at, coloured.find('m', at) - at + 1);
  }
  EXPECT_EQ(coloured, show_cache_map(page.header, page.view, 0, Paint()));
}

}  // namespace
}  // namespace pleat::tools
