// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

// Each vector function of the CPU backend against its scalar twin in src/numerics, bit for bit, on
// every SIMD target that this machine has.
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
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

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

enum Function {
  kWeight,
  kWeightLow,
  kMagic,
  kFactor,
  kClamp,
  kToBf16,
  kE4m3,
  kE2m1,
  kE2m1TowardZero,
  kHalves
};

/// Results as bits, one a lane; the length is a multiple of 16. max: of the group, for
/// weights; of the window, for factors.
void Apply(int which, float max, std::span<const float> in, std::span<std::uint32_t> out) {
  const U d;
  const ScaleVec scale = ScaleOfGroup(hn::Set(F(), max));
  for (std::size_t i = 0; i < in.size(); i += kLanes) {
    const VF x = hn::LoadU(F(), in.data() + i);
    VU y = hn::Zero(d);
    switch (which) {
      case kWeight:
        y = hn::BitCast(d, WeightOfScore<false>(x, x, scale));
        break;
      case kWeightLow:
        y = hn::BitCast(d, WeightOfScore<true>(x, hn::Mul(x, hn::Set(F(), 0x1p-25F)), scale));
        break;
      case kMagic:
        y = hn::BitCast(d, ScaleOfGroup(x).magic);
        break;
      case kFactor:
        y = hn::BitCast(d, GroupFactor(x, scale.magic));
        break;
      case kClamp:
        y = hn::BitCast(d, ClampScore(x));
        break;
      case kToBf16:
        y = hn::BitCast(d, ToBf16(x));
        break;
      case kE4m3:
        y = E4m3Code(x);
        break;
      case kE2m1:
        y = E2m1Code<false>(x);
        break;
      case kE2m1TowardZero:
        y = E2m1Code<true>(x);
        break;
      default:
        y = hn::Set(d, numerics::bits_of(SumHalves(F(), x)));
        break;
    }
    hn::StoreU(y, d, out.data() + i);
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

enum Function {
  kWeight,
  kWeightLow,
  kMagic,
  kFactor,
  kClamp,
  kToBf16,
  kE4m3,
  kE2m1,
  kE2m1TowardZero,
  kHalves
};
using ApplyFunction = void (*)(int, float, std::span<const float>, std::span<std::uint32_t>);

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
    const auto twin = [&](float x) { return bits_of(weight_of_score<false>(x, x, scale)); };
    const auto low_twin = [&](float x) {
      return bits_of(weight_of_score<true>(x, x * 0x1p-25F, scale));
    };
    // distances below the largest score from 0 to 88, through every binade
    const std::uint32_t count = bits_of(88.0F) + 1;
    const auto stride = static_cast<std::uint32_t>(367 * test::kThinner);
    const auto score = [&](std::int64_t i) {
      return max - float_of(static_cast<std::uint32_t>(i) * stride);
    };
    expect_same(kWeight, count / stride + 1, score, twin);
    expect_same(kWeightLow, count / stride + 1, score, low_twin);
    const auto odd = [&](std::int64_t i) { return special[static_cast<std::size_t>(i)]; };
    expect_same(kWeight, static_cast<std::int64_t>(special.size()), odd,
                [&](float x) { return bits_of(weight_of_score<false>(x, x, scale)); });
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST_P(SimdNumerics, GroupScaleAndFactor) {
  for (const float max : {0.0F, 41.7F, -300.25F, 1048576.0F}) {
    max_ = max;
    const float top = scale_of_group(max).magic;
    expect_same(
        kFactor, 1 << 12, [&](std::int64_t i) { return top + static_cast<float>(i); },
        [&](float magic) { return bits_of(group_factor(magic, top)); });
  }
  test::Random random(17);
  expect_same(
      kMagic, test::repetitions(1 << 22),
      [&](std::int64_t) {
        const auto reach = static_cast<std::int32_t>(random.between(-8, 20));
        return static_cast<float>(2 * random.unit() - 1) * pow2(reach);
      },
      [](float x) { return bits_of(scale_of_group(x).magic); });
}

TEST_P(SimdNumerics, ClampScore) {
  expect_same_everywhere(kClamp, [](float x) { return bits_of(clamp_score(x)); });
}

TEST_P(SimdNumerics, ToBf16) {
  expect_same_everywhere(kToBf16, [](float x) { return bits_of(to_bf16(x)); });
}

TEST_P(SimdNumerics, E4m3) {
  expect_same_everywhere(kE4m3, [](float x) { return e4m3_code(x); });
}

TEST_P(SimdNumerics, E2m1) {
  expect_same_everywhere(kE2m1, [](float x) { return e2m1_code(x, false); });
  expect_same_everywhere(kE2m1TowardZero, [](float x) { return e2m1_code(x, true); });
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
    apply_(kHalves, max_, in, out);
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
