// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/rounding_kernels.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "numerics/order.hpp"
#include "support/gpu.hpp"

// src/numerics/portable.hpp: a reciprocal and a root that round right where they are used, without
// the branch that the rest would need.
namespace pleat::test {
namespace {

using RoundingOnGpu = GpuTest;

constexpr std::uint32_t kSign = 0x80000000U;

std::uint32_t bits(float x) {
  return std::bit_cast<std::uint32_t>(x);
}

TEST_F(RoundingOnGpu, LargeReciprocalIsRoundedRight) {
  EXPECT_EQ(wrong_reciprocals(bits(0x1p-125F), bits(0x1p125F)), 0U);
  EXPECT_EQ(wrong_reciprocals(bits(0x1p-125F) | kSign, bits(0x1p125F) | kSign), 0U);
}

TEST_F(RoundingOnGpu, LargeRootIsRoundedRight) {
  EXPECT_EQ(wrong_roots(bits(0x1p-100F), bits(0x1.fffffep127F)), 0U);
}

// The count sees what is wrong.
TEST_F(RoundingOnGpu, BeyondTheirRangeTheyAreNot) {
  EXPECT_GT(wrong_reciprocals(bits(0x1p-149F), bits(0x1p-128F)), 0U);
  EXPECT_GT(wrong_roots(bits(0x1p-125F), bits(0x1p-110F)), 0U);
}

TEST_F(RoundingOnGpu, ScaleOfARowIsTheHosts) {
  for (const double mean :
       {0x1p-149, 1e-45, 0x1p-140, 1e-38, 0x1p-126, 0x1p-61, 0x1.fffffep-61, 0x1p-60, 1e-6, 1.0,
        3.0, 1e10, 0x1.fffffep127, 1e39, std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(bits(device_rms_scale(mean)), bits(numerics::rms_scale(mean))) << mean;
    const double exact = 1.0 / std::sqrt(static_cast<double>(static_cast<float>(mean)));
    EXPECT_NEAR(device_rms_scale(mean), exact, 2e-7 * exact) << mean;
  }
}

}  // namespace
}  // namespace pleat::test
