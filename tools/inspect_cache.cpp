// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "tools/inspect.hpp"
#include "tools/row_blocks.hpp"

namespace pleat::tools {
namespace {

constexpr std::int32_t kAcross = 8;       ///< codes on a line
constexpr std::int64_t kRowsAcross = 64;  ///< rows whose scales share a line of the map

/// The one byte that a row consists of, if it does: most likely nobody wrote it.
std::optional<std::uint8_t> only_byte(const RowLayout& layout, const RowBytes& row) {
  const std::uint8_t byte = row.values[0];
  const auto same = [byte](std::uint8_t b) { return b == byte; };
  const bool all = std::all_of(row.values, row.values + layout.value_bytes, same) &&
                   std::all_of(row.scales, row.scales + layout.scale_bytes, same);
  return all ? std::optional(byte) : std::nullopt;
}

/// Rows [begin, end) that consist of one byte, or one row that was written.
struct Run {
  std::int64_t begin;
  std::int64_t end;
  std::optional<std::uint8_t> byte;

  [[nodiscard]] std::string name() const {
    return end - begin == 1 ? fmt::format("row {}", begin)
                            : fmt::format("rows {} to {}", begin, end - 1);
  }
};

std::vector<Run> runs_of(const TensorView& cache, const RowLayout& layout, std::int64_t page) {
  std::vector<Run> runs;
  for (std::int64_t row = 0; row < cache.shape[1]; ++row) {
    const auto byte = only_byte(layout, row_bytes(cache, layout, page, row));
    if (byte && !runs.empty() && runs.back().byte == byte) {
      runs.back().end = row + 1;
    } else {
      runs.push_back({row, row + 1, byte});
    }
  }
  return runs;
}

std::string scale_text(const Block& b, const std::uint8_t* scales) {
  if (b.scale == ScaleCode::ue8m0) {
    const std::uint8_t byte = scales[b.scale_offset];
    return byte == 255 ? "NaN" : fmt::format("2^{}", byte - 127);
  }
  return fmt::format("{:.6g}", scale_of(b, scales));
}

float value_at(const Block& b, const RowBytes& row, std::int32_t i) {
  return value_of(b.code, code_at(b, row.values, i)) * scale_of(b, row.scales);
}

Ink ink_of(const Block& b) {
  return b.code == Code::bf16 ? Ink::rotated : Ink::value;
}

std::string title(const TensorView& cache, std::int64_t page, const Paint& paint) {
  const std::int64_t used = cache.shape[1] * cache.shape[2];
  return paint(Ink::title, fmt::format("cache page {} of {}", page, cache.shape[0])) +
         fmt::format(": {} rows of {} bytes, then {} bytes of padding\n", cache.shape[1],
                     cache.shape[2], cache.stride[0] - used);
}

/// A row's values in the map, one character for `unit` bytes.
std::string map_row(const std::vector<Block>& blocks, const RowLayout& layout, std::int32_t unit,
                    const Paint& paint) {
  std::string out;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::int32_t end =
        i + 1 < blocks.size() ? blocks[i + 1].value_offset : layout.value_bytes;
    const auto characters = static_cast<std::size_t>((end - blocks[i].value_offset) / unit);
    out +=
        paint(ink_of(blocks[i]), std::string(characters, blocks[i].code == Code::bf16 ? 'b' : 'v'));
  }
  return out;
}

/// A row of a page in one line: its largest magnitude, its length, its scales.
std::string row_summary(const std::vector<Block>& blocks, const RowBytes& row, const Paint& paint) {
  float largest = 0;
  double squares = 0;
  std::string scales;
  for (const Block& b : blocks) {
    for (std::int32_t i = 0; i < b.channels; ++i) {
      const float x = value_at(b, row, i);
      largest = std::max(largest, std::fabs(x));
      squares += static_cast<double>(x) * x;
    }
    if (b.scale != ScaleCode::none) scales += fmt::format(" {}", scale_text(b, row.scales));
  }
  return fmt::format("{:>10.4g}  {:>10.4g} {}", largest, std::sqrt(squares),
                     paint(Ink::scale, scales.empty() ? " none" : scales));
}

}  // namespace

std::string show_cache_page(const CaseHeader& header, const TensorView& cache, std::int64_t page,
                            const Paint& paint) {
  const RowLayout layout = header.row_layout();
  const std::vector<Block> blocks = blocks_of(header.compressor);
  std::string out = title(cache, page, paint);
  out += paint(Ink::title,
               fmt::format("{:>5}  {:>10}  {:>10}  {}", "row", "largest", "length", "scales")) +
         '\n';
  for (const Run& run : runs_of(cache, layout, page)) {
    if (run.byte) {
      out += paint(Ink::dim, fmt::format("{:>5}  untouched, all 0x{:02x}: {}", run.begin, *run.byte,
                                         run.name()));
    } else {
      out += fmt::format("{:>5}  {}", run.begin,
                         row_summary(blocks, row_bytes(cache, layout, page, run.begin), paint));
    }
    out += '\n';
  }
  return out;
}

std::string show_cache_row(const CaseHeader& header, const TensorView& cache, std::int64_t page,
                           std::int64_t row, const Paint& paint) {
  const RowLayout layout = header.row_layout();
  const RowBytes bytes = row_bytes(cache, layout, page, row);
  std::string out = paint(Ink::title, fmt::format("cache page {}, row {} (slot {})", page, row,
                                                  page * cache.shape[1] + row)) +
                    fmt::format(": values at byte {}", layout.value_offset(row));
  if (layout.scale_bytes > 0) {
    out += fmt::format(", scales at {}", layout.scale_offset(cache.shape[1], row));
  }
  out += " of the page\n";
  for (const Block& b : blocks_of(header.compressor)) {
    out += fmt::format("channels {} to {}, {}", b.first_channel, b.first_channel + b.channels - 1,
                       name(b.code));
    if (b.scale == ScaleCode::ue8m0) {
      out += paint(Ink::scale, fmt::format(", scale {} (0x{:02x})", scale_text(b, bytes.scales),
                                           bytes.scales[b.scale_offset]));
    } else if (b.scale == ScaleCode::f32) {
      out += paint(Ink::scale, fmt::format(", scale {}", scale_text(b, bytes.scales)));
    }
    out += '\n';
    const int digits = b.code == Code::bf16 ? 4 : b.code == Code::e4m3 ? 2 : 1;
    for (std::int32_t i = 0; i < b.channels; i += kAcross) {
      out += fmt::format("  {:>4} ", b.first_channel + i);
      for (std::int32_t j = i; j < i + kAcross; ++j) {
        out += fmt::format(
            "  {}{}", paint(Ink::dim, fmt::format("{:0{}x}", code_at(b, bytes.values, j), digits)),
            paint(ink_of(b), fmt::format(" {:>8.3g}", value_at(b, bytes, j))));
      }
      out += '\n';
    }
  }
  return out;
}

std::string show_cache_map(const CaseHeader& header, const TensorView& cache, std::int64_t page,
                           const Paint& paint) {
  const RowLayout layout = header.row_layout();
  const std::vector<Block> blocks = blocks_of(header.compressor);
  const std::int64_t rows = cache.shape[1];
  const std::int32_t unit = layout.value_bytes >= 512 ? 16 : 4;
  std::string out = title(cache, page, paint);
  out += fmt::format(
      "one character is {} bytes of values, or one row's scales: {} codes, {} bf16, "
      "{} scales, {} untouched\n",
      unit, paint(Ink::value, "v"), paint(Ink::rotated, "b"), paint(Ink::scale, "s"),
      paint(Ink::dim, "-"));
  std::string scales;
  for (const Run& run : runs_of(cache, layout, page)) {
    const auto bytes = static_cast<std::size_t>(layout.value_bytes / unit);
    out += fmt::format(
        "{:>8}  {}  {}{}\n", layout.value_offset(run.begin),
        run.byte ? paint(Ink::dim, std::string(bytes, '-')) : map_row(blocks, layout, unit, paint),
        run.name(), run.byte ? ", untouched" : "");
    scales.append(static_cast<std::size_t>(run.end - run.begin), run.byte ? '-' : 's');
  }
  for (std::int64_t row = 0; layout.scale_bytes > 0 && row < rows; row += kRowsAcross) {
    const std::string bar =
        scales.substr(static_cast<std::size_t>(row), static_cast<std::size_t>(kRowsAcross));
    out += fmt::format("{:>8}  {}  scales, {} bytes a row\n", layout.scale_offset(rows, row),
                       paint(Ink::scale, bar), layout.scale_bytes);
  }
  const std::int64_t used = layout.page_bytes(rows);
  if (cache.stride[0] > used) {
    out += fmt::format("{:>8}  {}\n", used,
                       paint(Ink::dim, fmt::format("{} bytes of padding", cache.stride[0] - used)));
  }
  return out;
}

}  // namespace pleat::tools
