// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/inspect.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "numerics/rounding.hpp"
#include "tools/error.hpp"
#include "tools/file.hpp"
#include "tools/names.hpp"

namespace pleat::tools {
namespace {

constexpr std::int32_t kAcross = 8;  ///< numbers on a line

using Numbers = std::function<double(std::int64_t)>;

/// [begin, end) of a row, eight a line, each line with the index of its first.
std::string number_lines(const Numbers& at, std::int64_t begin, std::int64_t end) {
  std::string out;
  for (std::int64_t i = begin; i < end; i += kAcross) {
    out += fmt::format("  {:>6} ", i);
    for (std::int64_t j = i; j < std::min(i + kAcross, end); ++j) {
      out += fmt::format(" {:>10.4g}", at(j));
    }
    out += '\n';
  }
  return out;
}

/// "-2.31 .. 1.9"
std::string range_text(const Numbers& at, std::int64_t begin, std::int64_t end) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (std::int64_t i = begin; i < end; ++i) {
    const double x = at(i);
    if (std::isnan(x)) return "NaN";
    low = std::min(low, x);
    high = std::max(high, x);
  }
  return fmt::format("{:.4g} .. {:.4g}", low, high);
}

std::optional<double> only_value(const Numbers& at, std::int64_t count) {
  for (std::int64_t i = 1; i < count; ++i) {
    if (at(i) != at(0)) return std::nullopt;
  }
  return count > 0 ? std::optional(at(0)) : std::nullopt;
}

Numbers numbers_of(const Tensor& t, std::int64_t first) {
  const Tensor* tensor = &t;
  return [tensor, first](std::int64_t i) -> double {
    const std::int64_t at = first + i;
    switch (tensor->element) {
      case Element::f64:
        return tensor->as<double>()[at];
      case Element::f32:
        return tensor->as<float>()[at];
      case Element::bf16:
        return numerics::bf16_value(tensor->as<std::uint16_t>()[at]);
      case Element::i64:
        return static_cast<double>(tensor->as<std::int64_t>()[at]);
      case Element::i32:
        return tensor->as<std::int32_t>()[at];
      case Element::u8:
        return tensor->as<std::uint8_t>()[at];
    }
    return 0;
  };
}

Numbers state_row(const TensorView& state, std::int64_t page, std::int64_t row) {
  const std::int64_t first = page * state.stride[0] + row * state.stride[1];
  if (state.dtype == DType::bf16) {
    const auto* p = static_cast<const std::uint16_t*>(state.data) + first;
    return [p](std::int64_t i) -> double { return numerics::bf16_value(p[i]); };
  }
  const auto* p = static_cast<const float*>(state.data) + first;
  return [p](std::int64_t i) -> double { return p[i]; };
}

/// A run of a state row's elements that is used as one.
struct StatePart {
  const char* name;
  std::int64_t begin;
  std::int64_t end;
};

std::vector<StatePart> state_parts(const Geometry& g) {
  const std::int64_t d = g.head_dim;
  if (!g.overlap) return {{"kv", 0, d}, {"score", d, 2 * d}};
  return {{"kv, next window", 0, d},
          {"kv, own window", d, 2 * d},
          {"score, next window", 2 * d, 3 * d},
          {"score, own window", 3 * d, 4 * d}};
}

std::string page_title(const char* tensor, const TensorView& view, std::int64_t page,
                       const Paint& paint) {
  const std::int64_t padding =
      (view.stride[0] - view.shape[1] * view.shape[2]) * size_of(view.dtype);
  return paint(Ink::title, fmt::format("{} page {} of {}", tensor, page, view.shape[0])) +
         fmt::format(": {} rows of {} bytes, then {} bytes of padding\n", view.shape[1],
                     view.shape[2] * size_of(view.dtype), padding);
}

}  // namespace

std::string show_file(const TensorFile& file, const std::optional<CaseHeader>& header,
                      const Paint& paint) {
  std::string out;
  if (header) {
    const Compressor& c = header->compressor;
    const Geometry& g = c.geometry;
    const RowLayout layout = header->row_layout();
    out += fmt::format("{}  {}, {}: {} tokens a row{}, {} channels, recipe {}\n",
                       paint(Ink::title, "call  "), name(header->op), header->geometry, g.ratio,
                       g.overlap ? fmt::format(" from a window of {}", g.window()) : "", g.head_dim,
                       name(c.recipe));
    out += fmt::format("{}  {}: {} bytes of values and {} of scales a row, {} rows a page\n",
                       paint(Ink::title, "cache "), name(c.row_format), layout.value_bytes,
                       layout.scale_bytes, header->cache_page_rows);
    out +=
        fmt::format("{}  [kv {} | score {}] a row, {} rows a page\n\n", paint(Ink::title, "state "),
                    g.state_width(), g.state_width(), header->state_page_rows);
  }
  for (const auto& [key, value] : file.metadata) {
    out += fmt::format("{}  {}\n", paint(Ink::dim, fmt::format("{:<18}", printable(key))),
                       in_quotes(value));
  }
  if (!file.metadata.empty()) out += '\n';
  std::size_t name_width = 6;
  std::size_t shape_width = 5;
  for (const Tensor& t : file.tensors) {
    name_width = std::max(name_width, printable(t.name).size());
    shape_width = std::max(shape_width, fmt::format("{}", t.shape).size());
  }
  out += paint(Ink::title, fmt::format("{:<{}}  {:<5}  {:<{}}  {:>12}", "tensor", name_width,
                                       "dtype", "shape", shape_width, "bytes")) +
         '\n';
  for (const Tensor& t : file.tensors) {
    out += fmt::format("{:<{}}  {:<5}  {:<{}}  {:>12}\n", printable(t.name), name_width,
                       name(t.element), fmt::format("{}", t.shape), shape_width, t.bytes.size());
  }
  return out;
}

std::string show_state_page(const CaseHeader& header, const TensorView& state, std::int64_t page,
                            const Paint& paint) {
  const std::vector<StatePart> parts = state_parts(header.compressor.geometry);
  std::string out = page_title("state", state, page, paint);
  std::string head = fmt::format("{:>5}", "row");
  for (const StatePart& part : parts)
    head += fmt::format("  {:<20}", part.name);
  out += paint(Ink::title, head) + '\n';
  for (std::int64_t row = 0; row < state.shape[1]; ++row) {
    const Numbers at = state_row(state, page, row);
    std::string line = fmt::format("{:>5}", row);
    if (const auto same = only_value(at, state.shape[2])) {
      out += paint(Ink::dim, line + fmt::format("  untouched: all {:g}", *same)) + '\n';
      continue;
    }
    for (const StatePart& part : parts) {
      line += fmt::format("  {:<20}", range_text(at, part.begin, part.end));
    }
    out += line + '\n';
  }
  return out;
}

std::string show_state_row(const CaseHeader& header, const TensorView& state, std::int64_t page,
                           std::int64_t row, const Paint& paint) {
  const Numbers at = state_row(state, page, row);
  std::string out = paint(Ink::title, fmt::format("state page {}, row {} (slot {})", page, row,
                                                  page * state.shape[1] + row)) +
                    '\n';
  for (const StatePart& part : state_parts(header.compressor.geometry)) {
    out += paint(Ink::value, part.name) + '\n';
    out +=
        number_lines([&](std::int64_t i) { return at(part.begin + i); }, 0, part.end - part.begin);
  }
  return out;
}

std::string show_numbers(const Tensor& tensor, const std::optional<std::int64_t>& row,
                         const Paint& paint) {
  const std::size_t rank = tensor.shape.size();
  const std::int64_t width = rank == 0 ? 1 : tensor.shape.back();
  const std::int64_t elements =
      static_cast<std::int64_t>(tensor.bytes.size()) / size_of(tensor.element);
  const std::int64_t rows = width == 0 ? 0 : elements / width;
  if (row && (*row < 0 || *row >= rows)) {
    throw fail("--row: expected 0 to {} (tensor {} is {}), got {}", rows - 1, tensor.name,
               describe(tensor), *row);
  }
  std::string out = paint(Ink::title, printable(tensor.name)) + "  " + describe(tensor) + '\n';
  if (row || rows == 1) {
    return out + number_lines(numbers_of(tensor, row.value_or(0) * width), 0, width);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const Numbers at = numbers_of(tensor, r * width);
    const auto same = only_value(at, width);
    out += same ? paint(Ink::dim, fmt::format("{:>6}  all {:g}", r, *same)) + '\n'
                : fmt::format("{:>6}  {}\n", r, range_text(at, 0, width));
  }
  return out;
}

}  // namespace pleat::tools
