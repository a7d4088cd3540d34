// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "cpu/kernels.hpp"
#include "cpu/scalar.hpp"
#include "numerics/rounding.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

// Pooling on every SIMD target against the scalar kernel, bit for bit, over all ways to read a row,
// where some channels of some groups have scores that are beyond plain.
namespace pleat::cpu {
namespace {

using test::Random;

/// Windows of groups whose rows are read in different ways, as at the border of state and step.
struct Window {
  static constexpr std::int32_t kHeadDim = 256;

  std::vector<std::vector<std::byte>> rows;  ///< of all groups in turn
  std::vector<float> ape;
  std::vector<RowGroup> groups;

  /// absent: rows before position 0. wild: how likely a tile of a group has scores of any size.
  Window(Random& random, std::int32_t count, const Source& first, const Source& then,
         std::int32_t absent, double wild)
      : ape(kHeadDim) {
    for (float& x : ape)
      x = random.normal();
    for (std::int32_t i = 0; i < count; ++i) {
      RowGroup g{};
      g.source = i < count / 2 ? first : then;
      g.score_offset = kHeadDim * size_of(g.source.dtype);
      g.rows = std::clamp(kGroupRows * (i + 1) - absent, 0, kGroupRows);
      std::vector<float> reach(kHeadDim);
      for (std::int32_t tile = 0; tile < kHeadDim; tile += kTileChannels) {
        const bool is_wild = random.chance(wild);
        for (std::int32_t c = tile; c < tile + kTileChannels; ++c) {
          reach[static_cast<std::size_t>(c)] =
              is_wild && random.chance(0.2)
                  ? numerics::float_of(static_cast<std::uint32_t>(random.between(127 + 4, 127 + 22))
                                       << 23)
                  : 4.0F;
        }
      }
      for (std::int32_t r = 0; r < g.rows; ++r) {
        g.row[r] = add_row(random, g.source.dtype, reach);
        g.ape[r] = ape.data();
      }
      groups.push_back(g);
    }
  }

  /// Gives each group a score, all of them the same, and a value.
  void set_groups(const std::vector<float>& scores, const std::vector<float>& values) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      for (std::int32_t r = 0; r < groups[i].rows; ++r, ++at) {
        for (std::int32_t c = 0; c < kHeadDim; ++c) {
          put(rows[at], groups[i].source.dtype, c, values[i]);
          put(rows[at], groups[i].source.dtype, kHeadDim + c, scores[i]);
        }
      }
    }
  }

  /// Gives each channel of each group that has rows a level of its own: one of its scores; the
  /// others are up to 16 below, or NaN.
  void set_levels(Random& random, const std::vector<float>& levels) {
    std::size_t at = 0;
    for (const RowGroup& g : groups) {
      for (std::int32_t c = 0; c < kHeadDim && g.rows > 0; ++c) {
        const float level = random.pick(levels);
        const auto top = static_cast<std::int32_t>(random.below(g.rows));
        for (std::int32_t r = 0; r < g.rows; ++r) {
          float below = r == top ? 0.0F : 16 * static_cast<float>(random.unit());
          if (r != top && random.chance(0.005)) below = std::numeric_limits<float>::quiet_NaN();
          put(rows[at + static_cast<std::size_t>(r)], g.source.dtype, kHeadDim + c, level - below);
        }
      }
      at += static_cast<std::size_t>(g.rows);
    }
  }

 private:
  static void put(std::vector<std::byte>& row, DType dtype, std::int32_t i, float x) {
    if (dtype == DType::bf16) {
      const std::uint16_t b = numerics::bf16_bits(x);
      std::memcpy(row.data() + 2 * i, &b, 2);
    } else {
      std::memcpy(row.data() + 4 * i, &x, 4);
    }
  }

  const std::byte* add_row(Random& random, DType dtype, const std::vector<float>& reach) {
    std::vector<std::byte>& row =
        rows.emplace_back(static_cast<std::size_t>(2 * kHeadDim * size_of(dtype)));
    for (std::int32_t i = 0; i < 2 * kHeadDim; ++i) {
      const float size = i < kHeadDim ? 1.0F : reach[static_cast<std::size_t>(i - kHeadDim)];
      put(row, dtype, i, random.normal() * size);
    }
    return row.data();
  }
};

/// What Windows makes of recipes and dtypes, and what it does not.
std::vector<Source> sources() {
  std::vector<Source> out;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const bool late : {false, true}) {
      out.push_back({dtype, Rounding::none, late, late});
      out.push_back({dtype, Rounding::before_ape, late, late});
    }
    out.push_back({dtype, Rounding::none, true, false});
    out.push_back({dtype, Rounding::after_ape, false, false});
    out.push_back({dtype, Rounding::after_ape, true, false});
  }
  return out;
}

std::vector<float> pool(const Kernels& kernels, const Window& w, const PoolShape& shape) {
  const auto width = static_cast<std::size_t>(shape.last - shape.first);
  std::vector<double> partial(static_cast<std::size_t>(partial_doubles(shape.groups)) * width);
  std::vector<float> pooled(width);
  Ahead ahead;
  kernels.pool(w.groups.data(), shape, ahead, partial.data(), pooled.data());
  return pooled;
}

class Pooling : public ::testing::TestWithParam<SimdTarget> {};

TEST_P(Pooling, GivesTheScalarBytes) {
  const Kernels* kernels = kernels_of(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "not on this machine";
  Random random(41);
  const std::vector<Source> all = sources();
  for (std::int64_t round = 0; round < test::repetitions(8); ++round) {
    for (const Source& source : all) {
      for (const std::int32_t groups : {1, 2, 16}) {
        const auto absent = static_cast<std::int32_t>(
            random.chance(0.5) ? 0 : random.below(static_cast<std::int64_t>(kGroupRows) * groups));
        const double wild = round % 4 == 0 ? 0.0 : groups == 16 ? 0.02 : 0.3;
        const Window w(random, groups, random.pick(all), source, absent, wild);
        for (const std::int32_t first : {0, 64}) {
          const PoolShape shape{groups, first, first == 0 ? Window::kHeadDim : 128,
                                random.chance(0.5)};
          const std::vector<float> want = pool(scalar_kernels(), w, shape);
          const std::vector<float> got = pool(*kernels, w, shape);
          ASSERT_EQ(std::memcmp(got.data(), want.data(), 4 * want.size()), 0) << fmt::format(
              "{} groups, {} rows absent, wild {}, from channel {}", groups, absent, wild, first);
        }
      }
    }
  }
}

// Spans of a plain and a beyond group, of two beyond ones of different scales or of the same, of
// groups without rows and of such a group and one of any scale; windows of one span and of more.
TEST_P(Pooling, JoinsGroupsAndSpansOfDifferentScales) {
  const Kernels* kernels = kernels_of(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "not on this machine";
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> levels{0.0F,
                                  60.0F,
                                  100.0F,
                                  101.0F,
                                  500.0F,
                                  -70.0F,
                                  -300.0F,
                                  -5e3F,
                                  2e6F,
                                  -2e6F,
                                  -kInfinity,
                                  kInfinity,
                                  std::numeric_limits<float>::quiet_NaN()};
  const std::vector<std::vector<float>> choices{
      levels, {0.0F, 100.0F}, {100.0F, -300.0F}, {100.0F}};
  Random random(43);
  const std::vector<Source> all = sources();
  for (std::int64_t round = 0; round < test::repetitions(4); ++round) {
    for (const Source& source : all) {
      for (const std::int32_t groups : {1, 2, 4, 16}) {
        for (const std::int32_t absent : {0, 3, 8, 13, 16, 24}) {
          if (absent >= kGroupRows * groups) continue;
          Window w(random, groups, random.pick(all), source, absent, 0.0);
          w.set_levels(random, random.pick(choices));
          const PoolShape shape{groups, 0, Window::kHeadDim, random.chance(0.5)};
          const std::vector<float> want = pool(scalar_kernels(), w, shape);
          const std::vector<float> got = pool(*kernels, w, shape);
          ASSERT_EQ(std::memcmp(got.data(), want.data(), 4 * want.size()), 0)
              << fmt::format("{} groups, {} rows absent", groups, absent);
        }
      }
    }
  }
}

// A value far below all others weighs 2^-512 each time that it is brought to a larger scale: what
// is left of it, a double that is hardly one, is not nothing where rows are rounded to odd.
TEST_P(Pooling, LosesNoValueThatADoubleHolds) {
  const Kernels* kernels = kernels_of(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "not on this machine";
  Random random(47);
  const Source plain{DType::f32, Rounding::none, false, false};
  for (const float value : {0x1p-30F, -0x1p-30F, 0x1p-20F, 0x1p-49F, 0x1p-51F}) {
    Window w(random, 4, plain, plain, 0, 0.0);
    w.set_groups({-2000, -1000, 0, 0}, {value, 0, 0, 0});
    const PoolShape shape{4, 0, Window::kHeadDim, true};
    const std::vector<float> want = pool(scalar_kernels(), w, shape);
    if (value == 0x1p-30F) {
      ASSERT_EQ(want[0], std::numeric_limits<float>::denorm_min());
    }
    const std::vector<float> got = pool(*kernels, w, shape);
    ASSERT_EQ(std::memcmp(got.data(), want.data(), 4 * want.size()), 0) << value;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Pooling,
                         ::testing::Values(SimdTarget::avx2, SimdTarget::avx512, SimdTarget::neon),
                         [](const auto& info) { return std::string(name(info.param)); });

}  // namespace
}  // namespace pleat::cpu
