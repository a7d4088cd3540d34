// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tools/names.hpp"
#include "tools/replay_model.hpp"

/// The numbers and the code in docs/ are computed and compiled: they cannot go stale unseen.
namespace pleat {
namespace {

using ::testing::HasSubstr;

std::string text_of(const char* path) {
  const std::ifstream in(std::string(PLEAT_SOURCE_DIR "/") + path);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_TRUE(in) << path;
  return text.str();
}

constexpr std::array<const char*, 3> kShown{"HCA", "CSA", "indexer"};
constexpr std::array<StateLayout, 2> kLayouts{StateLayout::paged, StateLayout::ring};

tools::Model one_layer_each() {
  return tools::make_model({1, 1, 1}, Recipe::vllm, tools::default_row_formats(Recipe::vllm));
}

/// Most pages that hold what a request of any length needs, its next token included.
std::int64_t pages_held(const tools::KindSpec& spec) {
  const tools::PageRules rules = spec.rules();
  std::int64_t most = 0;
  for (std::int64_t n = 0; n < 1024; ++n) {
    const std::int64_t first = rules.keep_from(n) / spec.state_page_rows;
    most = std::max(most, n / spec.state_page_rows + 1 - first);
  }
  return most;
}

std::int64_t state_bytes(const tools::KindSpec& spec, StateLayout layout, DType dtype) {
  const Geometry& g = spec.compressor.geometry;
  const std::int64_t elements = layout == StateLayout::paged
                                    ? pages_held(spec) * spec.state_page_stride
                                    : std::int64_t{g.window()} * g.row_width();
  return elements * size_of(dtype);
}

/// " 585.00 | 292.50 | ..." of so many layers of each kind.
std::string columns(const tools::LayerCounts& layers, double unit) {
  const tools::Model model = one_layer_each();
  std::string text;
  for (const StateLayout layout : kLayouts) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      std::int64_t bytes = 0;
      for (std::size_t k = 0; k < layers.size(); ++k)
        bytes += layers[k] * state_bytes(model.kinds[k], layout, dtype);
      text += fmt::format(" {:.2f} |", static_cast<double>(bytes) / unit);
    }
  }
  return text;
}

TEST(Docs, LayoutsGiveTheGeometries) {
  const std::string page = text_of("docs/layouts.md");
  const tools::Model model = one_layer_each();
  for (std::size_t k = 0; k < kShown.size(); ++k) {
    const Geometry& g = model.kinds[k].compressor.geometry;
    EXPECT_THAT(
        page, HasSubstr(fmt::format("| {} | {} | {} | {} | {} | {} | [{}, {}] |\n", kShown[k],
                                    g.ratio, g.window(), g.head_dim, g.state_width(), g.row_width(),
                                    g.ratio, g.state_width())));
  }
}

TEST(Docs, LayoutsGiveTheStateOfARequest) {
  const std::string page = text_of("docs/layouts.md");
  const tools::Model model = one_layer_each();
  for (std::size_t k = 0; k < kShown.size(); ++k) {
    tools::LayerCounts one{};
    one[k] = 1;
    EXPECT_THAT(page,
                HasSubstr(fmt::format(
                    "| {}, a layer | 1 | {} | {} |{}\n", kShown[k], pages_held(model.kinds[k]),
                    model.kinds[k].compressor.geometry.window(), columns(one, 1024))));
  }
  for (const auto& [shown, name] : {std::pair{"V4-Flash", "flash"}, {"V4-Pro", "pro"}}) {
    const tools::LayerCounts n = tools::layers_of_model(name);
    EXPECT_THAT(page, HasSubstr(fmt::format("| {} | {} HCA, {} CSA, {} indexer | | |{}\n", shown,
                                            n[0], n[1], n[2], columns(n, 1024 * 1024))));
  }
}

TEST(Docs, LayoutsGiveTheRowFormats) {
  const std::string page = text_of("docs/layouts.md");
  for (const RowFormat f : tools::kRowFormats) {
    const Geometry g = row_format_fits(f, Hca::value) ? Hca::value : Indexer::value;
    const RowLayout row = row_layout(f, g);
    const std::string scales =
        row.scale_bytes > 0 ? fmt::format("{}K + {}r", row.value_bytes, row.scale_bytes) : "-";
    EXPECT_THAT(page,
                HasSubstr(fmt::format("| `{}` | {} | {} | {} | {}r | {} |\n", name(f),
                                      g == Hca::value ? "HCA, CSA" : "indexer", row.value_bytes,
                                      row.scale_bytes, row.value_bytes, scales)));
  }
}

/// What stands between "[name]" and "[/name]" of a source, without the lines of the marks.
std::string snippet_of(const std::string& source, const std::string& name) {
  const std::size_t begin = source.find('\n', source.find("[" + name + "]"));
  const std::size_t end = source.rfind('\n', source.find("[/" + name + "]"));
  if (begin == std::string::npos || end == std::string::npos) return "no such snippet: " + name;
  return source.substr(begin + 1, end - begin);
}

TEST(Docs, IntegrationShowsCodeThatIsCompiled) {
  const std::string page = text_of("docs/integration.md");
  const std::string engine = text_of("tests/consumer/engine.c");
  for (const char* name : {"layer", "batch", "step", "model"}) {
    EXPECT_THAT(page, HasSubstr("```c\n" + snippet_of(engine, name) + "```\n")) << name;
  }
}

}  // namespace
}  // namespace pleat
