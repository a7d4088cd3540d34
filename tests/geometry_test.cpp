// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/geometry.hpp>

#include <gtest/gtest.h>

namespace pleat {
namespace {

// The table of spec section 1.
TEST(Geometry, OfTheModel) {
  const struct {
    Geometry g;
    int ratio, window, head_dim, state_width, row_width;
  } rows[] = {{Hca::value, 128, 128, 512, 512, 1024},
              {Csa::value, 4, 8, 512, 1024, 2048},
              {Indexer::value, 4, 8, 128, 256, 512}};
  for (const auto& r : rows) {
    EXPECT_EQ(r.g.ratio, r.ratio);
    EXPECT_EQ(r.g.window(), r.window);
    EXPECT_EQ(r.g.head_dim, r.head_dim);
    EXPECT_EQ(r.g.state_width(), r.state_width);
    EXPECT_EQ(r.g.row_width(), r.row_width);
    EXPECT_EQ(r.g.rope_dim, 64);
    EXPECT_TRUE(r.g.ape);
    EXPECT_TRUE(is_valid(r.g));
  }
}

template <class G>
void expect_type_agrees_with_value() {
  EXPECT_EQ(G::ratio, G::value.ratio);
  EXPECT_EQ(G::window, G::value.window());
  EXPECT_EQ(G::state_width, G::value.state_width());
  EXPECT_EQ(G::row_width, G::value.row_width());
  EXPECT_EQ(G::groups * G::group_rows, G::window);
  EXPECT_LE(G::group_rows, kGroupRows);
  EXPECT_EQ(G::tiles * kTileChannels, G::head_dim);
  EXPECT_EQ(G::nope_dim + G::rope_dim, G::head_dim);
  EXPECT_TRUE(is_valid(G::value));
}

TEST(Geometry, TypeAndValueAgree) {
  expect_type_agrees_with_value<Hca>();
  expect_type_agrees_with_value<Csa>();
  expect_type_agrees_with_value<Indexer>();
  expect_type_agrees_with_value<GeometryOf<2, true, 512, 64, false>>();
  expect_type_agrees_with_value<GeometryOf<1, false, 512, 64, false>>();
  expect_type_agrees_with_value<GeometryOf<1024, true, 4096, 2, true>>();
}

TEST(Geometry, RefusesWhatTheOrderIsNotDefinedFor) {
  const Geometry good = Csa::value;
  const auto with = [&](auto change) {
    Geometry g = good;
    change(g);
    return is_valid(g);
  };
  EXPECT_TRUE(with([](Geometry&) {}));
  for (const int ratio : {0, -4, 3, 6, 1025, 2048})
    EXPECT_FALSE(with([&](Geometry& g) { g.ratio = ratio; })) << ratio;
  for (const int dim : {0, -512, 2, 32, 96, 500, 576, 8192})
    EXPECT_FALSE(with([&](Geometry& g) { g.head_dim = dim; })) << dim;
  for (const int dim : {0, -2, 1, 63, 66, 128})
    EXPECT_FALSE(with([&](Geometry& g) { g.rope_dim = dim; })) << dim;
  for (const int ratio : {1, 2, 64, 1024})
    EXPECT_TRUE(with([&](Geometry& g) { g.ratio = ratio; })) << ratio;
  EXPECT_FALSE(is_valid(Geometry{}));
}

TEST(Geometry, EqualityLooksAtEveryField) {
  const Geometry g = Csa::value;
  EXPECT_EQ(g, Csa::value);
  EXPECT_FALSE(g == Indexer::value);
  Geometry other = g;
  other.ape = false;
  EXPECT_FALSE(g == other);
  other = g;
  other.overlap = false;
  EXPECT_FALSE(g == other);
  other = g;
  other.rope_dim = 32;
  EXPECT_FALSE(g == other);
}

}  // namespace
}  // namespace pleat
