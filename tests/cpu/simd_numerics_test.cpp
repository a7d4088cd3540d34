// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

// Each vector function of the CPU backend against its scalar twin in src/numerics, bit for bit, on
// every SIMD target that this machine has.
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "cpu/kernels.hpp"
#include "numerics/codes.hpp"
#include "numerics/exp2.hpp"
#include "numerics/order.hpp"
#include "numerics/rounding.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

#if PLEAT_HAVE_HIGHWAY
#include "cpu/simd/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/cpu/simd_numerics_test.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include "cpu/simd/numerics-inl.hpp"

// Functions of several operands; `in` holds them one after the other for each result.
#ifndef PLEAT_SIMD_NUMERICS_TEST_FUNCTION
#define PLEAT_SIMD_NUMERICS_TEST_FUNCTION
namespace pleat::cpu {
enum class Function {
  weight,
  weight_low,
  magic,
  factor,
  clamp,
  anchor,
  to_bf16,
  e4m3,
  e2m1,
  e2m1_toward_zero,
  halves
};
/// What AddRows folds: rows of a lane, oldest first.
inline constexpr int kTestRows = 8;
}  // namespace pleat::cpu
#endif

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

/// Results as bits, `kParts` for each input, all first parts of a vector, then all second ones: the
/// three of a weight, one otherwise. The length is a multiple of 16. max: of the group, for
/// weights; of the window, for factors.
void Apply(Function which, float max, std::span<const float> in, std::span<std::uint32_t> out) {
  const F d;
  const ScaleVec scale = ScaleOfGroup(hn::Set(d, max));
  const auto put = [&](auto y, std::size_t at)
                       HWY_ATTR { hn::StoreU(hn::BitCast(U(), y), U(), out.data() + at); };
  for (std::size_t i = 0; i < in.size(); i += kLanes) {
    const VF x = hn::LoadU(d, in.data() + i);
    switch (which) {
      case Function::weight:
      case Function::weight_low: {
        VF z[1] = {x};
        const VF low[1] = {hn::Mul(x, hn::Set(d, 0x1p-25F))};
        WeightVec w[1];
        const auto scale_of = [&](int) HWY_ATTR { return scale; };
        if (which == Function::weight) {
          WeightsOfScores<false, 1>(z, low, scale_of, w);
        } else {
          WeightsOfScores<true, 1>(z, low, scale_of, w);
        }
        put(w[0].whole, i);
        put(w[0].Rest(), in.size() + i);
        put(hn::Add(w[0].whole, w[0].Rest()), 2 * in.size() + i);
        break;
      }
      case Function::magic:
        put(ScaleOfGroup(x).magic, i);
        break;
      case Function::factor:
        put(GroupFactor(x, scale.magic), i);
        break;
      case Function::clamp:
        put(ClampScore(x), i);
        break;
      case Function::anchor:
        put(AnchorOf(hn::Abs(x)), i);
        break;
      case Function::to_bf16:
        put(ToBf16(x), i);
        break;
      case Function::e4m3:
        put(E4m3Code(x), i);
        break;
      case Function::e2m1:
        put(E2m1Code<false>(x), i);
        break;
      case Function::e2m1_toward_zero:
        put(E2m1Code<true>(x), i);
        break;
      case Function::halves:
        put(hn::Set(U(), numerics::bits_of(SumHalves(d, x))), i);
        break;
    }
  }
}

/// Eight scores at once, as the fold has them: all with the scales of their own lanes.
void Weights(std::span<const float> max, std::span<const float> score, std::span<const float> low,
             std::span<float> out) {
  const F d;
  for (std::size_t i = 0; i < max.size(); i += kLanes) {
    const ScaleVec scale = ScaleOfGroup(hn::LoadU(d, max.data() + i));
    VF z[kTestRows];
    VF z_low[kTestRows];
    WeightVec w[kTestRows];
    for (std::size_t r = 0; r < kTestRows; ++r) {
      z[r] = hn::LoadU(d, score.data() + r * max.size() + i);
      z_low[r] = hn::LoadU(d, low.data() + r * max.size() + i);
    }
    WeightsOfScores<true, kTestRows>(
        z, z_low, [&](int) HWY_ATTR { return scale; }, w);
    for (std::size_t r = 0; r < kTestRows; ++r) {
      hn::StoreU(w[r].whole, d, out.data() + (3 * r) * max.size() + i);
      hn::StoreU(w[r].Rest(), d, out.data() + (3 * r + 1) * max.size() + i);
      hn::StoreU(hn::Add(w[r].whole, w[r].Rest()), d, out.data() + (3 * r + 2) * max.size() + i);
    }
  }
}

/// Groups of kTestRows rows with these largest scores: as FoldedVec has them, its five parts one
/// after the other. weight: whole, rest and sum of each row.
void AddRows(std::span<const float> max, std::span<const float> anchor,
             std::span<const float> weight, std::span<const float> kv, std::span<float> out) {
  const F d;
  const std::size_t n = max.size();
  for (std::size_t i = 0; i < n; i += kLanes) {
    const auto at = [&](std::span<const float> from, std::size_t part)
                        HWY_ATTR { return hn::LoadU(d, from.data() + part * n + i); };
    FoldedVec g = EmptyGroup(ScaleOfGroup(at(max, 0)), at(anchor, 0));
    for (std::size_t r = 0; r < kTestRows; ++r) {
      const VF whole = at(weight, 3 * r);  // a power of two: dividing by it is exact
      AddRow(g, {whole, hn::Div(at(weight, 3 * r + 1), whole)}, at(kv, r));
    }
    const VF parts[5] = {g.magic, g.weight, g.weight_rest, g.value, g.value_rest};
    for (std::size_t p = 0; p < 5; ++p)
      hn::StoreU(parts[p], d, out.data() + p * n + i);
  }
}

/// Per lane the parts value.high, value.low, weight.high, weight.low; out: pooled to nearest, to
/// odd, two_sum of the first two, and to_odd of them.
void Pooled(std::span<const float> in, std::span<float> out) {
  const F d;
  const std::size_t n = in.size() / 4;
  for (std::size_t i = 0; i < n; i += kLanes) {
    const auto at = [&](std::size_t part)
                        HWY_ATTR { return hn::LoadU(d, in.data() + part * n + i); };
    const PairVec value{at(0), at(1)};
    const PairVec weight{at(2), at(3)};
    const PairVec sum = TwoSum(at(0), at(1));
    const VF results[5] = {PooledOf(value, weight, false), PooledOf(value, weight, true), sum.high,
                           sum.low, ToOdd(at(0), at(1))};
    for (std::size_t p = 0; p < 5; ++p)
      hn::StoreU(results[p], d, out.data() + p * n + i);
  }
}

/// odd_float of doubles; a multiple of 16.
void Odd(std::span<const double> in, std::span<float> out) {
  constexpr std::size_t kHalf = HWY_LANES(double);
  for (std::size_t i = 0; i < in.size(); i += kLanes) {
    const VD low = hn::LoadU(D64(), in.data() + i);
    const VD high = hn::LoadU(D64(), in.data() + i + kHalf);
    hn::StoreU(OddFloats(low, high), F(), out.data() + i);
  }
}

int LanesOf() {
  return kLanes;
}

}  // namespace pleat::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // PLEAT_SIMD_TARGET

#if HWY_ONCE
namespace pleat::cpu {
namespace {

using namespace numerics;  // NOLINT: the twins

using ApplyFunction = void (*)(Function, float, std::span<const float>, std::span<std::uint32_t>);

class SimdNumerics : public ::testing::TestWithParam<SimdTarget> {
 protected:
  void SetUp() override {
    const SimdTarget target = GetParam();
    if (kernels_of(target) == nullptr) GTEST_SKIP() << "not on this machine";
    apply_ = PLEAT_SIMD_CHOOSE(Apply, target);
    ASSERT_NE(apply_, nullptr);
  }

  /// Compares over `count` floats that `make(i)` gives.
  void expect_same(Function which, std::int64_t count,
                   const std::function<float(std::int64_t)>& make,
                   const std::function<std::uint32_t(float)>& twin) {
    constexpr std::int64_t kBlock = 1 << 12;
    std::vector<float> in(kBlock);
    std::vector<std::uint32_t> out(kBlock);
    for (std::int64_t first = 0; first < count; first += kBlock) {
      for (std::int64_t i = 0; i < kBlock; ++i)
        in[static_cast<std::size_t>(i)] = make(std::min(first + i, count - 1));
      apply_(which, max_, in, out);
      for (std::size_t i = 0; i < in.size(); ++i) {
        ASSERT_EQ(out[i], twin(in[i])) << "of " << in[i] << ", bits " << bits_of(in[i]);
      }
    }
  }

  /// All bf16 values (NaN too), then floats of any bits, then floats of the formats' own range.
  void expect_same_everywhere(Function which, const std::function<std::uint32_t(float)>& twin) {
    expect_same(
        which, 1 << 16, [](std::int64_t i) { return bf16_value(static_cast<std::uint16_t>(i)); },
        twin);
    test::Random random(7);
    const std::int64_t n = test::repetitions(1 << 22);
    expect_same(
        which, n, [&](std::int64_t) { return float_of(static_cast<std::uint32_t>(random.bits())); },
        twin);
    expect_same(
        which, n,
        [&](std::int64_t) {
          return random.normal() * pow2(static_cast<std::int32_t>(random.between(-12, 9)));
        },
        twin);
  }

  ApplyFunction apply_ = nullptr;
  float max_ = 0;  ///< of the group
};

/// The three parts of one weight.
void expect_weight(const Weight& got, const Weight& want, float score) {
  ASSERT_EQ(bits_of(got.whole), bits_of(want.whole)) << score;
  ASSERT_EQ(bits_of(got.rest), bits_of(want.rest)) << score;
  ASSERT_EQ(bits_of(got.sum), bits_of(want.sum)) << score;
}

TEST_P(SimdNumerics, Weight) {
  const std::vector<float> special{0.0F,
                                   -0.0F,
                                   -86.0F,
                                   -1e30F,
                                   -1e-40F,
                                   -__builtin_inff(),
                                   -__builtin_nanf(""),
                                   __builtin_nanf("")};
  for (const float max : {0.0F, 0.3F, 41.7F, -300.25F, 88.0F, 5000.0F, -1048576.0F}) {
    max_ = max;
    const GroupScale scale = scale_of_group(max);
    const auto expect_weights = [&](const std::vector<float>& in) {
      std::vector<std::uint32_t> out(3 * in.size());
      const auto got = [&](std::size_t i) {
        return Weight{float_of(out[i]), float_of(out[in.size() + i]),
                      float_of(out[2 * in.size() + i])};
      };
      apply_(Function::weight, max, in, out);
      for (std::size_t i = 0; i < in.size(); ++i)
        expect_weight(got(i), weight_of_score<false>(in[i], 0.0F, scale), in[i]);
      apply_(Function::weight_low, max, in, out);
      for (std::size_t i = 0; i < in.size(); ++i)
        expect_weight(got(i), weight_of_score<true>(in[i], in[i] * 0x1p-25F, scale), in[i]);
    };
    // distances below the largest score from 0 to 88, through every binade
    const auto stride = static_cast<std::uint32_t>(367 * test::kThinner);
    std::vector<float> scores(special);
    for (std::uint32_t u = 0; u <= bits_of(88.0F); u += stride)
      scores.push_back(max - float_of(u));
    scores.resize((scores.size() + 15) / 16 * 16, max);
    expect_weights(scores);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

float any_float(test::Random& random, int low, int high) {
  return random.normal() * std::ldexp(1.0F, static_cast<int>(random.between(low, high)));
}

// From scores to a folded group, eight rows side by side as the fold takes them.
TEST_P(SimdNumerics, GroupOfRows) {
  const SimdTarget target = GetParam();
  const auto weights = PLEAT_SIMD_CHOOSE(Weights, target);
  const auto add_rows = PLEAT_SIMD_CHOOSE(AddRows, target);
  constexpr std::size_t kGroups = 1 << 12;
  constexpr auto kRows = static_cast<std::size_t>(kTestRows);
  test::Random random(23);
  for (std::int64_t round = 0; round < test::repetitions(32); ++round) {
    std::vector<float> max(kGroups);
    std::vector<float> anchor(kGroups);
    std::vector<float> score(kRows * kGroups);
    std::vector<float> low(kRows * kGroups);
    std::vector<float> kv(kRows * kGroups);
    for (std::size_t i = 0; i < kGroups; ++i) {
      max[i] = -std::numeric_limits<float>::infinity();
      float size = 0;
      for (std::size_t r = 0; r < kRows; ++r) {
        const std::size_t at = r * kGroups + i;
        score[at] = any_float(random, -4, static_cast<int>(round % 8));
        low[at] = score[at] * 0x1p-25F * random.normal();
        kv[at] = round % 4 == 0 ? any_float(random, -40, 40) : random.normal();
        if (random.chance(0.01)) kv[at] = 0.0F;
        max[i] = std::max(max[i], score[at]);
        size = std::max(size, std::fabs(kv[at]));
      }
      anchor[i] = anchor_of(size);
    }
    std::vector<float> weight(3 * kRows * kGroups);
    std::vector<float> folded(5 * kGroups);
    weights(max, score, low, weight);
    add_rows(max, anchor, weight, kv, folded);
    for (std::size_t i = 0; i < kGroups; ++i) {
      const GroupScale scale = scale_of_group(max[i]);
      Folded want = empty_group(scale, anchor[i]);
      for (std::size_t r = 0; r < kRows; ++r) {
        const std::size_t at = r * kGroups + i;
        const Weight w = weight_of_score<true>(score[at], low[at], scale);
        const auto part = [&](std::size_t p) { return weight[(3 * r + p) * kGroups + i]; };
        expect_weight({part(0), part(1), part(2)}, w, score[at]);
        add_row(want, w, kv[at]);
      }
      const auto part = [&](std::size_t p) { return bits_of(folded[p * kGroups + i]); };
      ASSERT_EQ(part(0), bits_of(want.magic));
      ASSERT_EQ(part(1), bits_of(want.weight));
      ASSERT_EQ(part(2), bits_of(want.weight_rest));
      ASSERT_EQ(part(3), bits_of(want.value));
      ASSERT_EQ(part(4), bits_of(want.value_rest));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(SimdNumerics, Anchor) {
  expect_same_everywhere(Function::anchor,
                         [](float x) { return bits_of(anchor_of(magnitude(x))); });
}

TEST_P(SimdNumerics, PooledAndItsRounding) {
  const SimdTarget target = GetParam();
  const auto pooled = PLEAT_SIMD_CHOOSE(Pooled, target);
  constexpr std::size_t kCount = 1 << 12;
  test::Random random(29);
  for (std::int64_t round = 0; round < test::repetitions(256); ++round) {
    std::vector<float> in(4 * kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      const float high = any_float(random, -60, 60);
      in[i] = high;
      in[kCount + i] = random.chance(0.1) ? 0.0F : any_float(random, -26, -14) * high;
      in[2 * kCount + i] = 0.7F + 8 * static_cast<float>(random.unit());
      in[3 * kCount + i] = round % 2 == 0 ? random.normal() * 0.3F : random.normal() * 0x1p-25F;
      if (random.chance(0.01)) in[i] = in[kCount + i] = 0.0F;
      if (random.chance(0.01)) in[2 * kCount + i] = 4.0F;
      if (random.chance(0.05)) in[3 * kCount + i] = 0.0F;
    }
    std::vector<float> out(5 * kCount);
    pooled(in, out);
    for (std::size_t i = 0; i < kCount; ++i) {
      const Pair value{in[i], in[kCount + i]};
      const Pair weight{in[2 * kCount + i], in[3 * kCount + i]};
      const Pair sum = two_sum(value.high, value.low);
      ASSERT_EQ(bits_of(out[i]), bits_of(pooled_of(value, weight, false)));
      ASSERT_EQ(bits_of(out[kCount + i]), bits_of(pooled_of(value, weight, true)));
      ASSERT_EQ(bits_of(out[2 * kCount + i]), bits_of(sum.high));
      ASSERT_EQ(bits_of(out[3 * kCount + i]), bits_of(sum.low));
      ASSERT_EQ(bits_of(out[4 * kCount + i]), bits_of(to_odd(value.high, value.low)));
    }
  }
}

TEST_P(SimdNumerics, OddFloats) {
  const SimdTarget target = GetParam();
  const auto odd = PLEAT_SIMD_CHOOSE(Odd, target);
  constexpr std::size_t kCount = 1 << 12;
  test::Random random(31);
  for (std::int64_t round = 0; round < test::repetitions(256); ++round) {
    std::vector<double> in(kCount);
    for (double& x : in) {
      x = static_cast<double>(random.normal()) * (1 + random.unit());
      x = std::ldexp(x, static_cast<int>(random.between(-160, 120)));
      if (random.chance(0.1)) x = static_cast<double>(static_cast<float>(x));
    }
    in[0] = 0.0;
    in[1] = -0.0;
    in[2] = 1e300;
    in[3] = -1e300;
    std::vector<float> out(kCount);
    odd(in, out);
    for (std::size_t i = 0; i < kCount; ++i)
      ASSERT_EQ(bits_of(out[i]), bits_of(odd_float(in[i]))) << in[i];
  }
}

TEST_P(SimdNumerics, GroupScaleAndFactor) {
  for (const float max : {0.0F, 41.7F, -300.25F, 1048576.0F}) {
    max_ = max;
    const float top = scale_of_group(max).magic;
    expect_same(
        Function::factor, 1 << 12, [&](std::int64_t i) { return top + static_cast<float>(i); },
        [&](float magic) { return bits_of(group_factor(magic, top)); });
  }
  test::Random random(17);
  expect_same(
      Function::magic, test::repetitions(1 << 22),
      [&](std::int64_t) {
        const auto reach = static_cast<std::int32_t>(random.between(-8, 20));
        return static_cast<float>(2 * random.unit() - 1) * pow2(reach);
      },
      [](float x) { return bits_of(scale_of_group(x).magic); });
}

TEST_P(SimdNumerics, ClampScore) {
  expect_same_everywhere(Function::clamp, [](float x) { return bits_of(clamp_score(x)); });
}

TEST_P(SimdNumerics, ToBf16) {
  expect_same_everywhere(Function::to_bf16, [](float x) { return bits_of(to_bf16(x)); });
}

TEST_P(SimdNumerics, E4m3) {
  expect_same_everywhere(Function::e4m3, [](float x) { return e4m3_code(x); });
}

TEST_P(SimdNumerics, E2m1) {
  expect_same_everywhere(Function::e2m1, [](float x) { return e2m1_code(x, false); });
  expect_same_everywhere(Function::e2m1_toward_zero, [](float x) { return e2m1_code(x, true); });
}

TEST_P(SimdNumerics, SumHalves) {
  const SimdTarget target = GetParam();
  int (*const lanes_of)() = PLEAT_SIMD_CHOOSE(LanesOf, target);
  ASSERT_NE(lanes_of, nullptr);
  const auto lanes = static_cast<std::size_t>(lanes_of());
  test::Random random(11);
  for (int round = 0; round < 1000; ++round) {
    std::vector<float> in(lanes * 16);
    for (float& x : in)
      x = random.normal() * pow2(static_cast<std::int32_t>(random.between(-20, 20)));
    std::vector<std::uint32_t> out(in.size());
    apply_(Function::halves, max_, in, out);
    for (std::size_t i = 0; i < in.size(); i += lanes) {
      std::vector<float> used(in.begin() + static_cast<std::ptrdiff_t>(i),
                              in.begin() + static_cast<std::ptrdiff_t>(i + lanes));
      ASSERT_EQ(out[i], bits_of(sum_halves(used.data(), static_cast<int>(lanes))));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, SimdNumerics,
                         ::testing::Values(SimdTarget::avx2, SimdTarget::avx512, SimdTarget::neon),
                         [](const auto& info) { return std::string(name(info.param)); });

}  // namespace
}  // namespace pleat::cpu
#endif  // HWY_ONCE
#endif  // PLEAT_HAVE_HIGHWAY
