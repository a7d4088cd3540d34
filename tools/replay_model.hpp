// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <pleat/pleat.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tools/schedule.hpp"

namespace pleat::tools {

enum class Kind : std::uint8_t { hca, csa, indexer };
inline constexpr std::array kKinds{Kind::hca, Kind::csa, Kind::indexer};
const char* name(Kind k);

/// What all layers of a kind have in common: what they compute, and the layout of their pages.
struct KindSpec {
  Kind kind = Kind::hca;
  Compressor compressor;
  std::int64_t layers = 0;
  std::int64_t state_page_rows = 0;
  std::int64_t state_page_stride = 0;  ///< elements
  std::int64_t kv_page_rows = 0;
  std::int64_t kv_page_stride = 0;  ///< bytes

  [[nodiscard]] RowLayout row() const;
  /// Its pages as the scheduler counts them, without a limit.
  [[nodiscard]] PageRules rules() const;
};

/// One compressor layer of the model.
struct Layer {
  std::size_t kind;    ///< index into Model::kinds
  std::int64_t index;  ///< among the layers of its kind

  /// Goes into the generator and into digests: the same layer of the same kind, in any model.
  [[nodiscard]] std::uint64_t identity(Kind k) const;
};

struct Model {
  std::vector<KindSpec> kinds;  ///< those that have layers, HCA first
  std::vector<Layer> layers;

  [[nodiscard]] const KindSpec& kind_of(const Layer& l) const { return kinds[l.kind]; }
  [[nodiscard]] std::uint64_t identity(const Layer& l) const {
    return l.identity(kinds[l.kind].kind);
  }
};

/// Layers per kind, in the order of kKinds.
using LayerCounts = std::array<std::int64_t, 3>;

/// "flash" (20, 21, 21) or "pro" (31, 30, 30). Throws Error for another name.
LayerCounts layers_of_model(std::string_view model);
/// "hca=1,csa=2": kinds that are not named have none. Throws Error when it is not of that form.
LayerCounts parse_layers(std::string_view text);

using RowFormats = std::array<RowFormat, 3>;
/// For instance "index_fp8, index_mxfp4": what a kind's rows may be stored as.
std::string formats_of(Kind k);
/// What the recipe's engine stores: fp8_mla, fp8_mla and index_fp8 (deepseek: index_mxfp4).
RowFormats default_row_formats(Recipe recipe);
/// "hca=bf16,indexer=index_mxfp4" on top of `formats`. Throws Error for what does not fit, and for
/// a kind that has none of the `layers`.
RowFormats parse_row_formats(std::string_view text, RowFormats formats,
                             const LayerCounts& layers = {1, 1, 1});

/// What parse_layers() and parse_row_formats() read; kinds without layers are left out.
std::string text_of(const LayerCounts& layers);
std::string text_of(const RowFormats& formats, const LayerCounts& layers);

/// The layers with vLLM's page sizes and strides.
Model make_model(const LayerCounts& layers, Recipe recipe, const RowFormats& formats);

/// A layer's weights, from the generator: a position bias, and a norm weight around 1 in bf16.
struct LayerWeights {
  std::vector<float> ape;           ///< [R, S]
  std::vector<std::uint16_t> norm;  ///< [D]
};
LayerWeights make_weights(const Model& model, const Layer& layer, std::uint64_t seed);

/// The scale of row format fp8_tensor: rows stay within +-7 of it times 448.
inline constexpr float kFp8TensorScale = 1.0F / 64.0F;

}  // namespace pleat::tools
