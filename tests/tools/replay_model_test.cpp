// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_model.hpp"

#include <gtest/gtest.h>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

TEST(ReplayModel, KnowsTheModelsAndReadsLists) {
  EXPECT_EQ(layers_of_model("flash"), (LayerCounts{20, 21, 21}));
  EXPECT_EQ(layers_of_model("pro"), (LayerCounts{31, 30, 30}));
  EXPECT_EQ(parse_layers("indexer=2,hca=1"), (LayerCounts{1, 0, 2}));
  for (const char* bad : {"", "hca", "hca=", "hca=x", "hca=-1", "hca=1,", "hca=1,hca=2", "mla=1",
                          "hca=1001", "hca=0", "hca=99999999999999999999"}) {
    EXPECT_THROW(parse_layers(bad), Error) << bad;
  }
  const RowFormats usual = default_row_formats(Recipe::vllm);
  EXPECT_EQ(parse_row_formats("csa=bf16", usual)[1], RowFormat::bf16);
  EXPECT_EQ(default_row_formats(Recipe::deepseek)[2], RowFormat::index_mxfp4);
  EXPECT_THROW(parse_row_formats("indexer=fp8_mla", usual), Error);
  EXPECT_THROW(parse_row_formats("hca=fp7", usual), Error);
  const Model m = make_model({2, 0, 1}, Recipe::vllm, usual);
  EXPECT_EQ(m.kinds.size(), 2U);
  EXPECT_EQ(m.layers.size(), 3U);
}

TEST(ReplayModel, RefusesFormatsOfKindsWithoutLayers) {
  const RowFormats usual = default_row_formats(Recipe::vllm);
  EXPECT_THROW(parse_row_formats("hca=bf16", usual, {0, 1, 1}), Error);
  EXPECT_EQ(parse_row_formats("csa=bf16", usual, {0, 1, 1})[1], RowFormat::bf16);
}

TEST(ReplayModel, WritesListsAsItReadsThem) {
  EXPECT_EQ(text_of(LayerCounts{20, 21, 0}), "hca=20,csa=21");
  EXPECT_EQ(parse_layers(text_of(LayerCounts{0, 3, 1})), (LayerCounts{0, 3, 1}));
  const RowFormats formats{RowFormat::bf16, RowFormat::fp8_mla, RowFormat::index_mxfp4};
  EXPECT_EQ(text_of(formats, {1, 0, 1}), "hca=bf16,indexer=index_mxfp4");
  EXPECT_EQ(parse_row_formats(text_of(formats, {1, 1, 1}), default_row_formats(Recipe::vllm)),
            formats);
  EXPECT_EQ(formats_of(Kind::indexer), "index_fp8, index_mxfp4");
}

}  // namespace
}  // namespace pleat::tools
