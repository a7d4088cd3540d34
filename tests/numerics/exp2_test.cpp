// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "numerics/exp2.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <thread>

#include "support/random.hpp"
#include "support/scale.hpp"

namespace pleat::numerics {
namespace {

constexpr std::size_t kBlock = 4096;
using Block = std::array<float, kBlock>;

/// out[i] = exp_nonpositive of the float whose bits are first + i * stride.
using Fill = void (*)(std::uint32_t first, std::uint32_t stride, Block& out);

void fill_plain(std::uint32_t first, std::uint32_t stride, Block& out) {
  for (std::uint32_t i = 0; i < kBlock; ++i)
    out[i] = exp_nonpositive(float_of(first + i * stride));
}

// The same code where std::fma is one instruction, not a call: there are 1.1e9 floats to go
// through. FmaBuildIsTheSameFunction holds both to the same bits.
#if defined(__x86_64__)
__attribute__((target("fma"), flatten)) void fill_fma(std::uint32_t first, std::uint32_t stride,
                                                      Block& out) {
  for (std::uint32_t i = 0; i < kBlock; ++i)
    out[i] = exp_nonpositive(float_of(first + i * stride));
}
Fill fastest() {
  return __builtin_cpu_supports("fma") ? fill_fma : fill_plain;
}
#else
Fill fastest() {
  return fill_plain;
}
#endif

constexpr std::uint32_t kMinusZero = 0x80000000U;
constexpr std::uint32_t kFloorBits = std::bit_cast<std::uint32_t>(kExpFloor);

struct Findings {
  double share_of_bound = 0;  ///< largest relative error over its bound
  double relative = 0;
  double absolute = 0;
  std::int64_t rises = 0;  ///< times that e^d came out larger for the smaller of two neighbours
  std::int64_t largest_rise = 0;  ///< in units of the last place
  float worst = 0;
};

/// The documented bounds, from bit pattern `first` up to and with `last`, both negative floats.
Findings sweep(std::uint32_t first, std::uint32_t last, std::uint32_t stride) {
  Findings out;
  Block got;
  float before = std::numeric_limits<float>::infinity();
  for (std::uint64_t start = first; start <= last; start += std::uint64_t{kBlock} * stride) {
    fastest()(static_cast<std::uint32_t>(start), stride, got);
    for (std::uint64_t i = 0; i < kBlock && start + i * stride <= last; ++i) {
      const auto d = static_cast<double>(float_of(static_cast<std::uint32_t>(start + i * stride)));
      const double want = d > -0x1p-25 ? 1.0 + d : std::exp(d);  // there within 2^-51 of e^d
      const double absolute = std::fabs(static_cast<double>(got[i]) - want);
      const double relative = absolute / want;
      if (got[i] > before) {
        ++out.rises;
        const auto ulps = static_cast<std::int64_t>(bits_of(got[i])) - bits_of(before);
        out.largest_rise = std::max(out.largest_rise, ulps);
      }
      before = got[i];
      out.absolute = std::max(out.absolute, absolute);
      out.relative = std::max(out.relative, relative);
      const double share = relative / (1.8e-7 - 1.5e-8 * d);
      if (share > out.share_of_bound) {
        out.share_of_bound = share;
        out.worst = static_cast<float>(d);
      }
    }
  }
  return out;
}

TEST(Exp2, FmaBuildIsTheSameFunction) {
  test::Random random(1);
  Block a;
  Block b;
  for (std::int64_t n = 0; n < test::repetitions(400); ++n) {
    const auto first = static_cast<std::uint32_t>(
        kMinusZero + static_cast<std::uint64_t>(random.below(kFloorBits - kMinusZero)));
    fill_plain(first, 1 + n % 7, a);
    fastest()(first, 1 + n % 7, b);
    for (std::size_t i = 0; i < kBlock; ++i)
      ASSERT_EQ(bits_of(a[i]), bits_of(b[i])) << "bits " << first + i;
  }
}

TEST(Exp2, EveryFloatInRangeKeepsTheBounds) {
  // Two halves of about the same work: from 2^-25 on, each value costs a call of exp.
  const std::uint32_t stride = test::kThinner == 1 ? 1 : 61;
  const std::uint32_t middle = bits_of(-0x1p-10F);
  Findings near;
  std::thread other([&] { near = sweep(kMinusZero, middle, stride); });
  const Findings far = sweep(middle, kFloorBits, stride);
  other.join();
  for (const Findings& f : {near, far}) {
    EXPECT_LE(f.share_of_bound, 1.0) << "relative error, at " << f.worst;
    EXPECT_LE(f.absolute, 1.3e-7);
    // As good as monotone: rounding lets neighbours change places, by one unit of the last place.
    EXPECT_LE(f.largest_rise, 1);
    EXPECT_LE(f.rises, 100'000);
  }
  RecordProperty("largest_relative_error", std::to_string(std::max(near.relative, far.relative)));
  std::printf(
      "%lld neighbours rise, by up to %lld ulp; largest relative error %.3e (%.3e nearer than "
      "2^-10), absolute %.3e\n",
      static_cast<long long>(near.rises + far.rises),
      static_cast<long long>(std::max(near.largest_rise, far.largest_rise)), far.relative,
      near.relative, std::max(near.absolute, far.absolute));
}

TEST(Exp2, IsExactlyOneAtZero) {
  EXPECT_EQ(bits_of(exp_nonpositive(0.0F)), bits_of(1.0F));
  EXPECT_EQ(bits_of(exp_nonpositive(-0.0F)), bits_of(1.0F));
}

TEST(Exp2, StaysAtTheFloorBelowIt) {
  const float floor = exp_nonpositive(kExpFloor);
  EXPECT_NEAR(floor, 1.6458e-38, 1e-42);
  EXPECT_TRUE(std::isnormal(floor));
  for (std::uint64_t u = kFloorBits; u <= 0xFF800000U; u += 997) {
    ASSERT_EQ(bits_of(exp_nonpositive(float_of(static_cast<std::uint32_t>(u)))), bits_of(floor));
  }
  EXPECT_EQ(bits_of(exp_nonpositive(-std::numeric_limits<float>::infinity())), bits_of(floor));
  EXPECT_EQ(bits_of(exp_nonpositive(std::numeric_limits<float>::quiet_NaN())), bits_of(floor));
}

}  // namespace
}  // namespace pleat::numerics
