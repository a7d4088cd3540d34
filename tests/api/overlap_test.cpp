// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/overlap.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "api/extent.hpp"
#include "support/api_call.hpp"
#include "support/refusal.hpp"

namespace pleat {
namespace {

using namespace test;

/// Nothing is read through these addresses.
void* address(std::uintptr_t a) {
  return reinterpret_cast<void*>(a);
}

TEST(Extent, EndsWithTheLastElementNotWithThePadding) {
  const TensorView v = TensorView::paged(nullptr, DType::f32, 3, 4, 8, 100);
  EXPECT_EQ(api::element_extent(v, 0), 2 * 100 + 3 * 8 + 8);
  EXPECT_EQ(api::byte_extent(v), 4 * (2 * 100 + 3 * 8 + 8));
  EXPECT_EQ(api::page_extent(v), 4 * 4 * 8);
}

TEST(Extent, OfNothingIsNothingAndOverflowIsSeen) {
  TensorView v = TensorView::paged(nullptr, DType::f32, 0, 4, 8, kHuge);
  EXPECT_EQ(api::byte_extent(v), 0);
  v.shape = {2, 0, 8};
  EXPECT_EQ(api::byte_extent(v), 0);
  v.shape = {2, 4, 8};
  EXPECT_FALSE(api::byte_extent(v).has_value());  // kHuge + 32
  v = TensorView::packed(nullptr, DType::i64, kHuge / 8 + 1);
  EXPECT_TRUE(api::element_extent(v, 0).has_value());
  EXPECT_FALSE(api::byte_extent(v).has_value());  // in bytes
}

TEST(MayOverlap, IntervalsOfBytes) {
  const auto view = [](std::uintptr_t at, std::int64_t n) {
    return TensorView::packed(address(at), DType::f32, n);
  };
  EXPECT_FALSE(api::may_overlap(view(0x1000, 4), view(0x1010, 4)));
  EXPECT_FALSE(api::may_overlap(view(0x1010, 4), view(0x1000, 4)));
  EXPECT_TRUE(api::may_overlap(view(0x1000, 5), view(0x1010, 4)));
  EXPECT_TRUE(api::may_overlap(view(0x1000, 100), view(0x1010, 4)));
  EXPECT_TRUE(api::may_overlap(view(0x1010, 4), view(0x1000, 100)));
  EXPECT_FALSE(api::may_overlap(view(0x1000, 0), view(0x1000, 4)));
}

TEST(MayOverlap, PartsOfTheSamePagesMayInterleave) {
  // Pages of 256 bytes: 128 bytes of state, then 64 of cache, then padding.
  const TensorView state = TensorView::paged(address(0x1000), DType::f32, 8, 2, 16, 64);
  const auto cache = [](std::uintptr_t at, std::int64_t stride) {
    return TensorView::paged(address(at), DType::u8, 8, 2, 32, stride);
  };
  EXPECT_FALSE(api::may_overlap(state, cache(0x1080, 256)));
  EXPECT_FALSE(api::may_overlap(cache(0x1080, 256), state));
  EXPECT_FALSE(api::may_overlap(state, cache(0x1380, 256)));  // two pages on
  EXPECT_FALSE(api::may_overlap(state, cache(0x0F80, 256)));  // a page back
  EXPECT_TRUE(api::may_overlap(state, cache(0x1070, 256)));   // 16 bytes into the state
  EXPECT_TRUE(api::may_overlap(state, cache(0x10D0, 256)));   // 16 bytes into the next page's
  EXPECT_TRUE(api::may_overlap(state, cache(0x1080, 272)));   // another page stride
}

TEST(ShareBlockPool, NeedsEqualPageStridesAndWholePagesBetween) {
  const TensorView state = TensorView::paged(address(0x10000), DType::f32, 8, 4, 16, 80);
  const auto cache = [](std::uintptr_t at, std::int64_t stride) {
    return TensorView::paged(address(at), DType::u8, 8, 4, 32, stride);
  };
  EXPECT_TRUE(api::share_block_pool(state, cache(0x10000, 320)));
  EXPECT_TRUE(api::share_block_pool(state, cache(0x10000 + 3 * 320, 320)));
  EXPECT_TRUE(api::share_block_pool(state, cache(0x10000 - 3 * 320, 320)));
  EXPECT_FALSE(api::share_block_pool(state, cache(0x10000 + 16, 320)));
  EXPECT_FALSE(api::share_block_pool(state, cache(0x10000, 336)));
  EXPECT_FALSE(api::share_block_pool(state, TensorView::packed(address(0x10000), DType::f32, 80)));
}

class RefusedOverlap : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedOverlap, ByNameAndNothingIsWritten) {
  expect_refused(GetParam(), false);
}

const Refusal kOverlaps[] = {
    {"compressed_on_the_state",
     Op::compress,
     SPOIL(c.compressed.data = c.state.pages.data),
     {"compressed: expected memory apart from state.pages, got bytes"}},
    {"state_on_the_projection",
     Op::save_state,
     SPOIL(c.projection.data = c.state.pages.data),
     {"state.pages: expected memory apart from projection, got bytes"}},
    {"state_on_the_projection_in_step",
     Op::step,
     SPOIL(c.projection.data = shifted(c.state.pages.data, 64)),
     {"state.pages: expected memory apart from projection, got bytes"}},
    {"cache_on_compressed",
     Op::norm_rope_store,
     SPOIL(c.cache.data = shifted(c.compressed.data, 512)),
     {"cache: expected memory apart from compressed, got bytes"}},
    {"cache_on_the_state",
     Op::step,
     SPOIL(c.cache.data = shifted(c.state.pages.data, 1024)),
     {"state.pages: expected memory apart from cache, got bytes",
      "(one block pool has equal page strides: these are "}},
    {"cache_on_the_slots",
     Op::compress_store,
     SPOIL(c.batch.kv_slots.data = c.cache.data),
     {"cache: expected memory apart from batch.kv_slots, got bytes"}},
    {"cache_on_the_norm",
     Op::step,
     SPOIL(c.weights.norm.data = c.cache.data),
     {"cache: expected memory apart from weights.norm, got bytes"}},
    {"plan_on_the_positions",
     Op::plan,
     SPOIL(c.batch.positions.data = shifted(c.plan.data, 64)),
     {"plan: expected memory apart from batch.positions, got bytes"}},
    {"state_on_the_plan",
     Op::save_state,
     SPOIL(c.plan.data = shifted(c.state.pages.data, 128)),
     {"state.pages: expected memory apart from plan, got bytes"}},
};
INSTANTIATE_TEST_SUITE_P(All, RefusedOverlap, testing::ValuesIn(kOverlaps), title_of);

TEST(Overlap, InputsMayShareMemory) {
  ApiCall good;
  good.call.compressed.data = good.call.projection.data;  // not used by step
  good.call.weights.rope.data = good.call.weights.ape.data;
  EXPECT_EQ(api::check_overlap(Op::step, good.call).message(), "");
}

}  // namespace
}  // namespace pleat
