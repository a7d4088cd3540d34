// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/compare.hpp"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "tools/error.hpp"
#include "tools/quanta.hpp"
#include "tools/row_blocks.hpp"

namespace pleat::tools {
namespace {

constexpr std::array<const char*, 3> kResults{"compressed", "state", "kv_cache"};

const char* plural(std::int64_t n) {
  return n == 1 ? "" : "s";
}

/// The code and value of one channel, for instance "0x45 = 3.25 x 2^-3".
std::string channel_text(const Compressor& c, const RowBytes& row, std::int64_t channel) {
  for (const Block& b : blocks_of(c)) {
    const auto i = static_cast<std::int32_t>(channel) - b.first_channel;
    if (i >= b.channels) continue;
    const std::uint32_t code = code_at(b, row.values, i);
    std::string text = fmt::format("code 0x{:02x} = {}", code, value_of(b.code, code));
    if (b.scale != ScaleCode::none) text += fmt::format(" x {}", scale_of(b, row.scales));
    return text;
  }
  return {};
}

void explain_cache(const CaseHeader& header, Tensor& a, Tensor& b, Comparison& out) {
  const TensorView va = cache_view(header, a, "A");
  const TensorView vb = cache_view(header, b, "B");
  const Compressor& c = header.compressor;
  const CacheDifference d = compare_caches(c, va, vb, std::nullopt, 0);
  const CodeCounts& n = d.counts;
  out.what += fmt::format(", {} of {} rows a page", name(c.row_format), header.cache_page_rows);
  out.details.emplace_back("rows", fmt::format("{} of {} differ", d.rows_different, d.rows));
  if (d.first) {
    const auto [page, row, channel] = *d.first;
    const RowLayout layout = header.row_layout();
    out.details.emplace_back(
        "first", fmt::format("page {}, row {}, channel {}: {} in A, {} in B", page, row, channel,
                             channel_text(c, row_bytes(va, layout, page, row), channel),
                             channel_text(c, row_bytes(vb, layout, page, row), channel)));
  }
  out.details.emplace_back("codes", fmt::format("{} one quantum off, {} further, of {}",
                                                n.one_quantum, n.further, n.codes));
  out.details.emplace_back("scales", fmt::format("{} differ{}", n.scales,
                                                 n.scales > 0 && c.row_format == RowFormat::fp8_mla
                                                     ? " (the codes under them are not counted)"
                                                     : ""));
  out.details.emplace_back(
      "stray", d.stray_bytes == 0
                   ? std::string("no byte outside rows differs")
                   : fmt::format("{} byte{} outside rows, the first at {}", d.stray_bytes,
                                 plural(d.stray_bytes), d.first_stray));
  out.details.emplace_back("bytes", fmt::format("{} of {} differ", d.bytes, a.bytes.size()));
}

/// Where an element of state lies: page, row and channel, or the padding of its page.
std::string state_place(const CaseHeader& header, std::int64_t page_elements, std::int64_t i) {
  const std::int64_t width = header.compressor.geometry.row_width();
  const std::int64_t page = i / page_elements;
  const std::int64_t row = i % page_elements / width;
  if (row >= header.state_page_rows)
    return fmt::format("page {}, in the padding after its rows", page);
  const std::int64_t channel = i % page_elements % width;
  const bool score = channel >= width / 2;
  return fmt::format("page {}, row {}, {} channel {}", page, row, score ? "score" : "kv",
                     score ? channel - width / 2 : channel);
}

std::string number_text(const Tensor& t, std::int64_t i) {
  if (t.element == Element::f32) return fmt::format("{}", t.as<float>()[i]);
  return fmt::format("{}", value_of(Code::bf16, t.as<std::uint16_t>()[i]));
}

void explain_numbers(const std::optional<CaseHeader>& header, const Tensor& a, const Tensor& b,
                     Comparison& out) {
  const DType dtype = a.element == Element::f32 ? DType::f32 : DType::bf16;
  const std::int64_t elements = static_cast<std::int64_t>(a.bytes.size()) / size_of(dtype);
  const NumberDifference d = compare_numbers(dtype, a.bytes.data(), b.bytes.data(), elements);
  std::string place = fmt::format("element {}", d.first);
  if (header && out.tensor == "state" && a.shape.size() == 2) {
    place = state_place(*header, a.shape[1], d.first);
  } else if (a.shape.size() == 2) {
    place = fmt::format("token {}, channel {}", d.first / a.shape[1], d.first % a.shape[1]);
  }
  out.details.emplace_back("first", fmt::format("{}: {} in A, {} in B", place,
                                                number_text(a, d.first), number_text(b, d.first)));
  out.details.emplace_back(
      "numbers", fmt::format("{} of {} differ, by {} step{} of {} at most", d.different, d.elements,
                             d.largest_ulps, plural(d.largest_ulps), name(a.element)));
}

void explain_bytes(const Tensor& a, const Tensor& b, Comparison& out) {
  std::size_t first = 0;
  std::int64_t different = 0;
  for (std::size_t i = 0; i < a.bytes.size(); ++i) {
    if (a.bytes.data()[i] != b.bytes.data()[i] && different++ == 0) first = i;
  }
  out.details.emplace_back(
      "bytes", fmt::format("{} of {} differ, the first at {}", different, a.bytes.size(), first));
}

Comparison compare_tensor(const std::optional<CaseHeader>& header, const char* tensor, Tensor& a,
                          Tensor& b) {
  Comparison out{tensor, describe(a), false, {}};
  out.equal = std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
  if (out.equal) return out;
  if (header && out.tensor == "kv_cache") {
    explain_cache(*header, a, b, out);
  } else if (a.element == Element::f32 || a.element == Element::bf16) {
    explain_numbers(header, a, b, out);
  } else {
    explain_bytes(a, b, out);
  }
  return out;
}

void check_same_rows(const CaseHeader& a, const CaseHeader& b) {
  const auto check = [](const char* key, const auto& va, const auto& vb) {
    if (va != vb) throw fail("cannot compare: metadata {}: {} in A, {} in B", key, va, vb);
  };
  check("geometry", a.geometry, b.geometry);
  check("row_format", std::string(name(a.compressor.row_format)),
        std::string(name(b.compressor.row_format)));
  check("state_block_rows", a.state_page_rows, b.state_page_rows);
  check("kv_block_rows", a.cache_page_rows, b.cache_page_rows);
}

}  // namespace

Tensor* ResultFile::find(std::string_view result) {
  return file.find((expected ? "expect." : "") + std::string(result));
}

ResultFile read_result(const std::string& path) {
  ResultFile r;
  r.label = path;
  r.file = read_safetensors(path);
  const auto format = r.file.metadata.find("format");
  if (format != r.file.metadata.end()) {
    r.header = read_case_header(r.file.metadata, path);
    r.expected = format->second == kCaseFormat;
  }
  for (const char* tensor : kResults) {
    if (r.find(tensor) != nullptr) return r;
  }
  throw fail("{}: cannot compare: holds {}", path,
             r.expected ? "a case without expected results (expect.*)"
                        : "none of compressed, state, kv_cache");
}

std::vector<Comparison> compare_results(ResultFile& a, ResultFile& b) {
  if (a.header && b.header) check_same_rows(*a.header, *b.header);
  const std::optional<CaseHeader>& header = a.header ? a.header : b.header;
  std::vector<Comparison> out;
  for (const char* tensor : kResults) {
    Tensor* ta = a.find(tensor);
    Tensor* tb = b.find(tensor);
    if (ta == nullptr && tb == nullptr) continue;
    if (ta == nullptr || tb == nullptr) {
      throw fail("cannot compare: tensor {} is missing from {}", tensor,
                 ta == nullptr ? a.label : b.label);
    }
    for (const Tensor* t : {ta, tb}) {
      if (t->element == Element::f64) {
        throw fail(
            "cannot compare: tensor {} is the oracle's float64, which has no bytes to equal; "
            "use --judge",
            t->name);
      }
    }
    if (ta->element != tb->element || ta->shape != tb->shape) {
      throw fail("cannot compare: tensor {}: {} in A, {} in B", tensor, describe(*ta),
                 describe(*tb));
    }
    out.push_back(compare_tensor(header, tensor, *ta, *tb));
  }
  return out;
}

}  // namespace pleat::tools
