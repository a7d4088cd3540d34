// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_model.hpp"

#include <algorithm>
#include <charconv>

#include "tools/error.hpp"
#include "tools/file.hpp"
#include "tools/generator.hpp"
#include "tools/names.hpp"

namespace pleat::tools {
namespace {

/// vLLM's pages, see spec.md section 1.
struct PageShape {
  std::int64_t state_rows;
  std::int64_t state_stride;
  std::int64_t kv_rows;
};
constexpr std::array<PageShape, 3> kPages{{{8, 9360, 2}, {4, 9360, 64}, {4, 2160, 64}}};
static_assert(kPages[0].state_stride >= kPages[0].state_rows * Hca::row_width);
static_assert(kPages[1].state_stride >= kPages[1].state_rows * Csa::row_width);
static_assert(kPages[2].state_stride >= kPages[2].state_rows * Indexer::row_width);
constexpr std::int64_t kKvPageMultiple = 576;  ///< bytes; vLLM aligns cache pages to it

constexpr std::int64_t kMaxLayers = 1000;
/// Rows of weights are drawn from requests that no trace has.
constexpr std::int64_t kApeRequest = -1;
constexpr std::int64_t kNormRequest = -2;

std::size_t index_of(Kind k) {
  return static_cast<std::size_t>(k);
}

/// Calls use(kind, value) for each "kind=value" of a list with commas.
template <typename Use>
void for_each_kind(std::string_view option, std::string_view text, Use use) {
  std::array<bool, 3> seen{};
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const std::size_t equals = item.find('=');
    const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](Kind k) {
      return equals != std::string_view::npos && item.substr(0, equals) == name(k);
    });
    if (kind == kKinds.end()) {
      throw fail("{}: expected a list of hca=..., csa=..., indexer=..., got {}", option,
                 in_quotes(item));
    }
    if (seen[index_of(*kind)]) {
      throw fail("{}: expected {} once, got it twice", option, name(*kind));
    }
    seen[index_of(*kind)] = true;
    use(*kind, item.substr(equals + 1));
    if (comma == std::string_view::npos) return;
    text.remove_prefix(comma + 1);
  }
}

/// "kind=value" for each kind that has layers, with commas.
template <typename ValueOf>
std::string list_of(const LayerCounts& layers, ValueOf value_of) {
  std::string text;
  for (const Kind k : kKinds) {
    if (layers[index_of(k)] == 0) continue;
    if (!text.empty()) text += ',';
    text += std::string(name(k)) + '=' + value_of(k);
  }
  return text;
}

}  // namespace

const char* name(Kind k) {
  return kGeometries[index_of(k)].name;
}

RowLayout KindSpec::row() const {
  return row_layout(compressor.row_format, compressor.geometry);
}

PageRules KindSpec::rules() const {
  PageRules r;
  r.ratio = compressor.geometry.ratio;
  r.overlap = compressor.geometry.overlap;
  r.state_page_rows = state_page_rows;
  r.kv_page_rows = kv_page_rows;
  return r;
}

std::uint64_t Layer::identity(Kind k) const {
  return static_cast<std::uint64_t>(k) << 32 | static_cast<std::uint64_t>(index);
}

LayerCounts layers_of_model(std::string_view model) {
  if (model == "flash") return {20, 21, 21};
  if (model == "pro") return {31, 30, 30};
  throw fail("--model: expected flash or pro, got {}", in_quotes(model));
}

LayerCounts parse_layers(std::string_view text) {
  LayerCounts counts{};
  for_each_kind("--layers", text, [&](Kind k, std::string_view value) {
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
    if (error != std::errc() || end != value.data() + value.size() || n < 0 || n > kMaxLayers) {
      throw fail("--layers: {}: expected a number of layers from 0 to {}, got {}", name(k),
                 kMaxLayers, in_quotes(value));
    }
    counts[index_of(k)] = n;
  });
  if (counts == LayerCounts{}) throw fail("--layers: expected at least one layer, got none");
  return counts;
}

RowFormats default_row_formats(Recipe recipe) {
  return {RowFormat::fp8_mla, RowFormat::fp8_mla,
          recipe == Recipe::deepseek ? RowFormat::index_mxfp4 : RowFormat::index_fp8};
}

std::string formats_of(Kind k) {
  std::string fitting;
  for (const RowFormat f : kRowFormats) {
    if (!row_format_fits(f, kGeometries[index_of(k)].geometry)) continue;
    fitting += (fitting.empty() ? "" : ", ") + std::string(pleat::name(f));
  }
  return fitting;
}

std::string text_of(const LayerCounts& layers) {
  return list_of(layers, [&](Kind k) { return std::to_string(layers[index_of(k)]); });
}

std::string text_of(const RowFormats& formats, const LayerCounts& layers) {
  return list_of(layers, [&](Kind k) { return pleat::name(formats[index_of(k)]); });
}

RowFormats parse_row_formats(std::string_view text, RowFormats formats, const LayerCounts& layers) {
  for_each_kind("--row-format", text, [&](Kind k, std::string_view value) {
    if (layers[index_of(k)] == 0) {
      throw fail("--row-format: expected kinds that have layers, got {}, which has none", name(k));
    }
    const auto format = named(kRowFormats, value);
    if (!format || !row_format_fits(*format, kGeometries[index_of(k)].geometry)) {
      throw fail("--row-format: {}: expected one of {}, got {}", name(k), formats_of(k),
                 in_quotes(value));
    }
    formats[index_of(k)] = *format;
  });
  return formats;
}

Model make_model(const LayerCounts& layers, Recipe recipe, const RowFormats& formats) {
  Model model;
  for (const Kind k : kKinds) {
    const std::size_t i = index_of(k);
    if (layers[i] == 0) continue;
    KindSpec spec;
    spec.kind = k;
    spec.compressor.geometry = kGeometries[i].geometry;
    spec.compressor.recipe = recipe;
    spec.compressor.row_format = formats[i];
    spec.layers = layers[i];
    spec.state_page_rows = kPages[i].state_rows;
    spec.state_page_stride = kPages[i].state_stride;
    spec.kv_page_rows = kPages[i].kv_rows;
    const std::int64_t bytes = spec.row().page_bytes(spec.kv_page_rows);
    spec.kv_page_stride = (bytes + kKvPageMultiple - 1) / kKvPageMultiple * kKvPageMultiple;
    for (std::int64_t l = 0; l < layers[i]; ++l)
      model.layers.push_back({model.kinds.size(), l});
    model.kinds.push_back(spec);
  }
  return model;
}

LayerWeights make_weights(const Model& model, const Layer& layer, std::uint64_t seed) {
  const Geometry& g = model.kind_of(layer).compressor.geometry;
  const std::uint64_t key = layer_key(seed, model.identity(layer));
  LayerWeights w;
  w.ape.resize(static_cast<std::size_t>(g.ratio) * g.state_width());
  for (std::int32_t r = 0; r < g.ratio; ++r) {
    generate_row(row_key(key, {kApeRequest, r, 0}), g.state_width(),
                 w.ape.data() + static_cast<std::int64_t>(r) * g.state_width());
  }
  const RowKey norm = row_key(key, {kNormRequest, 0, 0});
  w.norm.resize(static_cast<std::size_t>(g.head_dim));
  for (std::int32_t c = 0; c < g.head_dim; ++c) {
    const float value = channel_value(norm, static_cast<std::uint32_t>(c));
    w.norm[static_cast<std::size_t>(c)] = numerics::bf16_bits(1.0F + 0.25F * value);
  }
  return w;
}

}  // namespace pleat::tools
