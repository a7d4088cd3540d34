// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/case.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <utility>

#include "tools/error.hpp"
#include "tools/file.hpp"
#include "tools/names.hpp"

namespace pleat::tools {
namespace {

using Metadata = std::map<std::string, std::string>;

/// Page rows beyond this are no layout but a broken file; keeps every product below 2^63.
constexpr std::int64_t kMaxPageRows = std::int64_t{1} << 20;

/// A metadata entry, or nothing when an optional one is missing.
class Keys {
 public:
  Keys(const Metadata& metadata, std::string_view label) : metadata_(metadata), label_(label) {}

  [[nodiscard]] const std::string* find(const char* key) const {
    const auto it = metadata_.find(key);
    return it == metadata_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const std::string& get(const char* key) const {
    const std::string* text = find(key);
    if (text == nullptr) throw fail("{}: metadata {}: missing", label_, key);
    return *text;
  }
  [[nodiscard]] Error wrong(const char* key, std::string_view expected) const {
    return fail("{}: metadata {}: expected {}, got {}", label_, key, expected, in_quotes(get(key)));
  }

  template <typename T, std::size_t N>
  [[nodiscard]] T one_of(const char* key, const std::array<T, N>& values) const {
    const auto value = named(values, get(key));
    if (!value) throw wrong(key, names_of(values));
    return *value;
  }
  template <typename T>
  [[nodiscard]] T number(const char* key, T low, T high, const char* expected = nullptr) const {
    const std::string& text = get(key);
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value >= low) ||
        !(value <= high)) {
      throw wrong(key, expected != nullptr ? std::string(expected)
                                           : fmt::format("a number from {} to {}", low, high));
    }
    return value;
  }

 private:
  const Metadata& metadata_;
  std::string_view label_;
};

DType dtype_of(Element e) {
  switch (e) {
    case Element::f64:
      return DType::none;
    case Element::f32:
      return DType::f32;
    case Element::bf16:
      return DType::bf16;
    case Element::i64:
      return DType::i64;
    case Element::i32:
      return DType::i32;
    case Element::u8:
      return DType::u8;
  }
  return DType::none;
}

constexpr std::int64_t kAny = -1;

/// "F32 or BF16 [45, any]"
std::string wanted_text(std::initializer_list<Element> elements,
                        const std::vector<std::int64_t>& shape) {
  std::vector<std::string> types;
  for (const Element e : elements)
    types.emplace_back(name(e));
  std::vector<std::string> sizes;
  for (const std::int64_t n : shape)
    sizes.push_back(n == kAny ? "any" : std::to_string(n));
  return fmt::format("{} [{}]", fmt::join(types, " or "), fmt::join(sizes, ", "));
}

void check_tensor(const Tensor& t, std::initializer_list<Element> elements,
                  const std::vector<std::int64_t>& shape, std::string_view label) {
  const bool element_ok = std::find(elements.begin(), elements.end(), t.element) != elements.end();
  const bool shape_ok =
      std::equal(t.shape.begin(), t.shape.end(), shape.begin(), shape.end(),
                 [](std::int64_t got, std::int64_t want) { return want == kAny || got == want; });
  if (!element_ok || !shape_ok) {
    throw fail("{}: tensor {}: expected {}, got {}", label, t.name, wanted_text(elements, shape),
               describe(t));
  }
}

/// Hands out the views of a case's tensors.
class Views {
 public:
  Views(TensorFile& file, std::string_view label) : file_(file), label_(label) {}

  Tensor& tensor(const char* tensor_name) {
    Tensor* t = file_.find(tensor_name);
    if (t == nullptr) throw fail("{}: tensor {}: missing", label_, tensor_name);
    return *t;
  }
  TensorView packed(const char* tensor_name, std::initializer_list<Element> elements,
                    const std::vector<std::int64_t>& shape) {
    Tensor& t = tensor(tensor_name);
    check_tensor(t, elements, shape, label_);
    const DType dtype = dtype_of(t.element);
    return t.shape.size() == 1 ? TensorView::packed(t.bytes.data(), dtype, t.shape[0])
                               : TensorView::packed(t.bytes.data(), dtype, t.shape[0], t.shape[1]);
  }

 private:
  TensorFile& file_;
  std::string_view label_;
};

TensorView paged_view(Tensor& t, std::int64_t rows, std::int64_t row_elements,
                      std::string_view label) {
  const std::int64_t stride = t.shape[1];
  if (stride < rows * row_elements) {
    throw fail("{}: tensor {}: expected pages of at least {} elements ({} rows of {}), got {}",
               label, t.name, rows * row_elements, rows, row_elements, stride);
  }
  return TensorView::paged(t.bytes.data(), dtype_of(t.element), t.shape[0], rows, row_elements,
                           stride);
}

}  // namespace

CaseHeader read_case_header(const Metadata& metadata, std::string_view label) {
  const Keys keys(metadata, label);
  const std::string& format = keys.get("format");
  if (format != kCaseFormat && format != kResultFormat) {
    throw keys.wrong("format", fmt::format("{} or {}", kCaseFormat, kResultFormat));
  }
  CaseHeader h;
  h.op = keys.one_of("op", kCaseOps);
  h.geometry = keys.get("geometry");
  const auto geometry = std::find_if(kGeometries.begin(), kGeometries.end(),
                                     [&](const auto& g) { return h.geometry == g.name; });
  if (geometry == kGeometries.end()) throw keys.wrong("geometry", "hca, csa, indexer");
  h.compressor.geometry = geometry->geometry;
  h.compressor.recipe = keys.one_of("recipe", kRecipes);
  h.compressor.row_format = keys.one_of("row_format", kRowFormats);
  if (!row_format_fits(h.compressor.row_format, h.compressor.geometry)) {
    throw keys.wrong("row_format", "a format that fits geometry " + h.geometry);
  }
  constexpr auto* kEps = "a number greater than 0 and at most 1";
  h.compressor.eps = keys.number<float>("eps", 0, 1, kEps);
  if (h.compressor.eps == 0) throw keys.wrong("eps", kEps);
  h.state_page_rows = keys.number<std::int64_t>("state_block_rows", 1, kMaxPageRows);
  h.cache_page_rows = keys.number<std::int64_t>("kv_block_rows", 1, kMaxPageRows);
  if (const std::string* policy = keys.find("state_write")) {
    if (*policy != "all" && *policy != "tail") throw keys.wrong("state_write", "all or tail");
    h.write.policy = *policy == "tail" ? StatePolicy::tail : StatePolicy::all;
  }
  if (keys.find("rollback") != nullptr) {
    h.write.rollback = keys.number<std::int32_t>("rollback", 0, 1 << 30);
  }
  return h;
}

TensorView state_view(const CaseHeader& header, Tensor& state, std::string_view label) {
  check_tensor(state, {Element::f32, Element::bf16}, {kAny, kAny}, label);
  return paged_view(state, header.state_page_rows, header.compressor.geometry.row_width(), label);
}

TensorView cache_view(const CaseHeader& header, Tensor& cache, std::string_view label) {
  check_tensor(cache, {Element::u8}, {kAny, kAny}, label);
  return paged_view(cache, header.cache_page_rows, header.row_layout().row_bytes(), label);
}

Case make_case(TensorFile file, std::string_view label) {
  Case c;
  c.header = read_case_header(file.metadata, label);
  if (file.metadata.at("format") != kCaseFormat) {
    throw fail("{}: metadata format: expected {}, got {}", label, kCaseFormat, kResultFormat);
  }
  c.file = std::move(file);
  const CaseHeader& h = c.header;
  const Geometry& g = h.compressor.geometry;
  Views views(c.file, label);
  Call& call = c.call;
  call.compressor = h.compressor;
  call.write = h.write;

  call.batch.positions = views.packed("positions", {Element::i64}, {kAny});
  const std::int64_t tokens = call.batch.positions.shape[0];
  call.batch.token_to_req = views.packed("token_to_req", {Element::i32}, {tokens});
  call.batch.state_slots = views.packed("state_slots", {Element::i64}, {tokens});
  if (h.projects()) {
    call.projection = views.packed("proj", {Element::f32, Element::bf16}, {tokens, g.row_width()});
  }
  const bool reads_ape = traits_of(h.compressor.recipe).ape_when_pooled ? h.pools() : h.projects();
  if (reads_ape) {
    call.weights.ape = views.packed("ape", {Element::f32}, {g.ratio, g.state_width()});
  }
  if (h.op != Op::norm_rope_store) {
    call.state.pages = state_view(h, views.tensor("state"), label);
  }
  if (h.pools()) call.state.block_table = views.packed("block_table", {Element::i32}, {kAny, kAny});
  if (h.stores()) {
    call.batch.kv_slots = views.packed("kv_slots", {Element::i64}, {tokens});
    call.cache = cache_view(h, views.tensor("kv_cache"), label);
    call.weights.norm = views.packed("norm_weight", {Element::f32, Element::bf16}, {g.head_dim});
    call.weights.rope = views.packed("rope_table", {Element::f32}, {kAny, g.rope_dim});
    if (h.compressor.row_format == RowFormat::fp8_tensor) {
      call.weights.fp8_scale = views.packed("fp8_scale", {Element::f32}, {1});
    }
  }
  if (h.op == Op::norm_rope_store) {
    call.compressed = views.packed("compressed", {Element::f32}, {tokens, g.head_dim});
  } else if (h.op == Op::compress) {
    c.compressed = make_tensor("compressed", Element::f32, {tokens, g.head_dim});
    call.compressed = TensorView::packed(c.compressed.bytes.data(), DType::f32, tokens, g.head_dim);
  }
  return c;
}

Case read_case(const std::string& path) {
  return make_case(read_safetensors(path), path);
}

TensorFile take_results(Case&& c) {
  TensorFile out;
  out.metadata = c.file.metadata;
  out.metadata["format"] = kResultFormat;
  if (c.header.op == Op::compress) out.tensors.push_back(std::move(c.compressed));
  if (c.header.projects()) out.tensors.push_back(std::move(*c.file.find("state")));
  if (c.header.stores()) out.tensors.push_back(std::move(*c.file.find("kv_cache")));
  return out;
}

}  // namespace pleat::tools
