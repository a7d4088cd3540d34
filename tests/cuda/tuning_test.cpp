// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/tuning.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "support/schedule.hpp"

// How calls are spread over devices of any size, which no GPU is needed for: whatever the call and
// the device, somebody folds, and blocks come in whole clusters.
namespace pleat::cuda {
namespace {

struct Shape {
  Geometry geometry;
  std::int64_t tokens;
  std::int64_t requests;
  bool plan;
  bool special;
};

/// Shapes and strides alone: tune() looks at nothing else.
Call call_of(const Shape& s) {
  static std::int64_t memory[2];
  const Geometry& g = s.geometry;
  const std::int64_t page_rows = s.special ? test::special_state_rows(g) : 16;
  Call c;
  c.compressor.geometry = g;
  c.compressor.row_format = g.head_dim == 128 ? RowFormat::index_fp8 : RowFormat::fp8_mla;
  c.batch.positions = TensorView::packed(memory, DType::i64, s.tokens);
  c.projection = TensorView::packed(memory, DType::f32, s.tokens, g.row_width());
  c.state.pages = TensorView::paged(memory, DType::f32, 64, page_rows, g.row_width(),
                                    page_rows * g.row_width());
  c.state.block_table = TensorView::packed(memory, DType::i32, s.requests, 4);
  const std::int64_t cache_rows = test::special_cache_rows(g);
  c.cache = TensorView::paged(memory, DType::u8, 64, cache_rows, 640, 640 * cache_rows);
  if (s.plan) c.plan = {memory, s.tokens};
  return c;
}

std::vector<Shape> shapes() {
  std::vector<Shape> out;
  for (const Geometry& g : {Hca::value, Csa::value, Indexer::value})
    for (const std::int64_t tokens : {1, 63, 512, 513, 5000, 8192, 32768, 1 << 20})
      for (const std::int64_t requests : {std::int64_t{1}, tokens})
        for (const bool plan : {false, true})
          for (const bool special : {false, true})
            out.push_back({g, tokens, requests, plan, special});
  return out;
}

std::vector<DeviceTraits> devices() {
  std::vector<DeviceTraits> out;
  for (const int multiprocessors : {1, 2, 16, 30, 60, 108, 132, 148, 200})
    for (const bool clusters : {false, true})
      out.push_back({multiprocessors, clusters});
  return out;
}

void expect_sound(const FoldTuning& t, Op op, const Shape& s, const DeviceTraits& device) {
  ASSERT_GE(t.shares.blocks, t.cluster);
  ASSERT_EQ(t.shares.blocks % t.cluster, 0);
  ASSERT_EQ(t.save_blocks % t.cluster, 0);
  ASSERT_EQ(t.save_blocks > 0, op == Op::step);
  ASSERT_TRUE(t.cluster == 1 || (device.clusters && s.geometry == Hca::value));
  ASSERT_TRUE(t.cluster != 2 || s.special) << "there is no such kernel";
  ASSERT_TRUE(!t.alone || t.cluster == 2) << "there is no such kernel";
  ASSERT_TRUE(!t.shares.split || s.geometry.overlap);
  if (s.geometry != Hca::value || !s.plan || t.cluster != 1) return;
  ASSERT_GE(t.shares.early_blocks, 1);
  ASSERT_GE(t.shares.early_windows, t.shares.early_blocks);
  // windows past the early ones have blocks, however many they turn out to be
  ASSERT_TRUE(t.shares.early_windows > s.tokens || t.shares.blocks > t.shares.early_blocks);
}

TEST(Tuning, SomebodyFoldsOnEveryDevice) {
  for (const Shape& s : shapes()) {
    const Call call = call_of(s);
    ASSERT_EQ(why_not_special(Op::step, call).empty(), s.special);
    for (const DeviceTraits& device : devices()) {
      for (const Op op : {Op::compress, Op::compress_store, Op::step}) {
        const FoldTuning t = tune(op, call, {}, device);
        SCOPED_TRACE(std::to_string(s.tokens) + " tokens, " +
                     std::to_string(device.multiprocessors) + " multiprocessors, cluster " +
                     std::to_string(t.cluster));
        ASSERT_NO_FATAL_FAILURE(expect_sound(t, op, s, device));
      }
    }
  }
}

// Whoever asks why the slower kernel runs is told what was wanted and what came.
TEST(Tuning, SaysWhatIsNotSpecial) {
  const Geometry& g = Csa::value;
  const Call special = call_of({g, 100, 10, true, true});
  const auto expect = [&](const std::string& why, Op op, const auto& spoil) {
    Call call = special;
    EXPECT_EQ(why_not_special(op, call), "");
    spoil(call);
    EXPECT_EQ(why_not_special(op, call), why);
    EXPECT_FALSE(tune(op, call, {}, {132, true}).special);
  };
  expect("the state is a ring, not paged", Op::compress,
         [](Call& c) { c.state.layout = StateLayout::ring; });
  expect("state pages have 16 rows, not 4", Op::compress,
         [](Call& c) { c.state.pages.shape[1] = 16; });
  expect("state rows are 2056 elements apart, not 2048", Op::compress_store,
         [](Call& c) { c.state.pages.stride[1] = 2056; });
  expect("state pages are 2147483648 elements apart, not 2147483647 at most", Op::step,
         [](Call& c) { c.state.pages.stride[0] = std::int64_t{1} << 31; });
  expect("projection rows are 2052 elements apart, not 2048", Op::step,
         [](Call& c) { c.projection.stride[0] = 2052; });
  expect("cache pages have 63 rows, not 64", Op::norm_rope_store,
         [](Call& c) { c.cache.shape[1] = 63; });
  EXPECT_EQ(why_not_special(Op::step, call_of({Hca::value, 100, 10, true, false})),
            "state pages have 16 rows, not 8");
}

Call closing_call(std::int64_t windows, Recipe recipe, bool special) {
  Call c = call_of({Hca::value, windows, windows, true, special});
  c.compressor.recipe = recipe;
  static float ape;
  c.weights.ape = TensorView::packed(&ape, DType::f32, Hca::value.ratio, Hca::value.state_width());
  return c;
}

// Of any other geometry: blocks for the windows of a plan, or some for each chunk of tokens, no
// more than would run at once and than a chunk can have windows.
TEST(Tuning, SomebodyFoldsAnyGeometry) {
  for (const Geometry& g :
       {Geometry{1, false, 64, 2, false}, Geometry{2, true, 512, 64, true},
        Geometry{64, true, 128, 64, true}, Geometry{1024, true, 4096, 6, true}}) {
    for (const std::int64_t tokens : {1, 127, 128, 129, 5000, 1 << 20}) {
      for (const std::int64_t requests : {std::int64_t{1}, tokens}) {
        for (const bool plan : {false, true}) {
          Call call = call_of({Hca::value, tokens, requests, plan, false});
          call.compressor.geometry = g;
          for (const DeviceTraits& device : devices()) {
            const FoldTuning t = tune(Op::step, call, {}, device);
            SCOPED_TRACE(std::to_string(g.ratio) + ", " + std::to_string(tokens) + " tokens, " +
                         std::to_string(device.multiprocessors) + " multiprocessors");
            ASSERT_EQ(t.cluster, 1);
            ASSERT_FALSE(t.special);
            ASSERT_GE(t.save_blocks, 1);
            ASSERT_GE(t.shares.blocks, 1);
            const std::int64_t resident = 6 * device.multiprocessors;
            if (plan) {
              ASSERT_LE(t.shares.blocks, resident);
              continue;
            }
            const std::int64_t chunks = (tokens + 127) / 128;
            ASSERT_EQ(t.shares.blocks % chunks, 0);
            ASSERT_LE(t.shares.blocks / chunks, 128);
            ASSERT_LE(t.shares.blocks, std::max(chunks, resident));
          }
        }
      }
    }
  }
}

// `alone` is for steps whose windows all have multiprocessors of their own: the kernel has
// registers for one block of each.
TEST(Tuning, AloneIsASmallStep) {
  const DeviceTraits h100{132, true};
  const std::int64_t ratio = Hca::value.ratio;
  EXPECT_TRUE(tune(Op::step, call_of({Hca::value, 40 * ratio, 1, true, true}), {}, h100).alone);
  EXPECT_FALSE(tune(Op::step, call_of({Hca::value, 80 * ratio, 1, true, true}), {}, h100).alone);
  for (const std::int64_t windows : {396, 1024, 8192}) {
    for (const Op op : {Op::compress, Op::compress_store}) {
      const FoldTuning t = tune(op, closing_call(windows, Recipe::sglang, true), {}, h100);
      EXPECT_EQ(t.cluster, 2) << windows;
      EXPECT_FALSE(t.alone) << windows;
    }
  }
}

// Blocks that are sure of windows all run at once: two a multiprocessor, generic ones one.
TEST(Tuning, SureBlocksRunAtOnce) {
  const DeviceTraits h100{132, true};
  for (const bool special : {true, false}) {
    const FoldTuning t =
        tune(Op::compress_store, closing_call(4096, Recipe::vllm, special), {}, h100);
    EXPECT_EQ(t.cluster, 1);
    EXPECT_EQ(t.shares.early_blocks, special ? 264 : 132);
    EXPECT_GT(t.shares.blocks, t.shares.early_blocks);
  }
}

// Without a plan blocks look for windows themselves: one for each 128 tokens, or as many as run at
// once, never one a token and tile. Each chunk has as many, and none more than windows.
TEST(Tuning, NoBlockForEachTokenWithoutAPlan) {
  for (const Shape& s : shapes()) {
    if (s.plan) continue;
    const std::int64_t chunks = (s.tokens + 127) / 128;
    for (const DeviceTraits& device : devices()) {
      for (const Op op : {Op::compress_store, Op::norm_rope_store, Op::step}) {
        const FoldTuning t = tune(op, call_of(s), {}, device);
        ASSERT_EQ(t.shares.blocks, chunks * t.shares.sharing * t.cluster);
        ASSERT_LE(t.shares.blocks,
                  std::max<std::int64_t>(chunks * t.cluster, 2 * device.multiprocessors));
        ASSERT_GE(t.shares.sharing, 1);
        ASSERT_LE(t.shares.sharing, 128);
      }
    }
  }
}

// So few tokens that all may close are not one block's.
TEST(Tuning, BlocksShareAChunkWithoutAPlan) {
  const DeviceTraits h100{132, true};
  const auto shared = [&](Op op, const Geometry& g, std::int64_t tokens) {
    return tune(op, call_of({g, tokens, tokens, false, true}), {}, h100).shares.sharing;
  };
  EXPECT_EQ(shared(Op::compress_store, Hca::value, 1), 1);
  EXPECT_EQ(shared(Op::compress_store, Hca::value, 32), 29);
  EXPECT_EQ(shared(Op::compress_store, Hca::value, 256), 128);
  EXPECT_EQ(shared(Op::step, Hca::value, 64), 4);
  EXPECT_EQ(shared(Op::norm_rope_store, Hca::value, 64), 64);
  EXPECT_EQ(shared(Op::step, Csa::value, 8192), 4);
  EXPECT_EQ(shared(Op::step, Indexer::value, 64), 20);
}

// A device with room for two clusters and rows to save would have had none to fold.
TEST(Tuning, AtLeastOneClusterFolds) {
  for (int at_once = 0; at_once < 64; ++at_once) {
    for (int saving = 0; saving < 64; ++saving) {
      const int folds = clusters_that_fold(at_once, saving);
      ASSERT_GE(folds, 1);
      ASSERT_LE(folds, std::max(at_once, 1));
      ASSERT_GE(4 * folds + 3, at_once);
    }
  }
  EXPECT_EQ(clusters_that_fold(30, 8), 22);
  EXPECT_EQ(clusters_that_fold(30, 128), 7);
  EXPECT_EQ(clusters_that_fold(3, 4), 1);
}

}  // namespace
}  // namespace pleat::cuda
