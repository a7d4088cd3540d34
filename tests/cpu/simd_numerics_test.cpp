// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

// Each vector function of the CPU backend against its scalar twin in src/numerics, bit for bit, on
// every SIMD target that this machine has.
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
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
enum class Function { to_bf16, e4m3, e2m1, e2m1_toward_zero, halves };
/// What Groups folds: rows of a lane, oldest first.
inline constexpr int kTestRows = 8;
}  // namespace pleat::cpu
#endif

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

/// Results as bits. The length is a multiple of 16.
void Apply(Function which, std::span<const float> in, std::span<std::uint32_t> out) {
  const F d;
  for (std::size_t i = 0; i < in.size(); i += kLanes) {
    const VF x = hn::LoadU(d, in.data() + i);
    const auto put = [&](auto y) HWY_ATTR { hn::StoreU(hn::BitCast(U(), y), U(), out.data() + i); };
    switch (which) {
      case Function::to_bf16:
        put(ToBf16(x));
        break;
      case Function::e4m3:
        put(hn::And(E4m3Code(x), hn::Set(U(), 0xFFU)));  // above it is nothing of meaning
        break;
      case Function::e2m1:
        put(E2m1Code<false>(x));
        break;
      case Function::e2m1_toward_zero:
        put(E2m1Code<true>(x));
        break;
      case Function::halves:
        put(hn::Set(D64(), SumHalves(D64(), LowerDouble(x))));
        break;
    }
  }
}

HWY_INLINE Halves LoadHalves(const double* from) {
  return {hn::LoadU(D64(), from), hn::LoadU(D64(), from + kLanes / 2)};
}
HWY_INLINE void StoreHalves(const Halves& x, double* to) {
  hn::StoreU(x.low, D64(), to);
  hn::StoreU(x.high, D64(), to + kLanes / 2);
}

/// e^score / 2^n in place of each score. The length is a multiple of 16.
void Weights(double magic, std::span<double> scores) {
  for (std::size_t i = 0; i < scores.size(); i += kLanes) {
    const VD m = hn::Set(D64(), magic);
    StoreHalves(WeightOfScore(LoadHalves(scores.data() + i), {m, m}), scores.data() + i);
  }
}

/// Groups measured by their largest score and its size: magic, floor and n, one after the other.
void Scales(std::span<const float> max, std::span<const float> size, std::span<double> out) {
  const std::size_t n = max.size();
  for (std::size_t i = 0; i < n; i += kLanes) {
    const ScaleVec scale =
        ScaleOfGroup(hn::LoadU(F(), max.data() + i), hn::LoadU(F(), size.data() + i));
    StoreHalves(scale.magic, out.data() + i);
    StoreHalves(scale.floor, out.data() + n + i);
    StoreHalves(ExponentOf(scale), out.data() + 2 * n + i);
  }
}

/// Joins a with b, each [weight, value, n][count]; so is the result.
void Join(std::span<const double> a, std::span<const double> b, std::span<double> out) {
  const std::size_t count = a.size() / 3;
  const auto load = [count](const double* from) HWY_ATTR {
    const FoldedVec sums{LoadHalves(from), LoadHalves(from + count)};
    return ScaledVec{sums, LoadHalves(from + 2 * count)};
  };
  for (std::size_t i = 0; i < count; i += kLanes) {
    const ScaledVec both = Joined(load(a.data() + i), load(b.data() + i));
    StoreHalves(both.sums.weight, out.data() + i);
    StoreHalves(both.sums.value, out.data() + count + i);
    StoreHalves(both.n, out.data() + 2 * count + i);
  }
}

void Factors(std::span<const double> n, double top, std::span<double> out) {
  const VD t = hn::Set(D64(), top);
  for (std::size_t i = 0; i < n.size(); i += kLanes)
    StoreHalves(ScaleFactor(LoadHalves(n.data() + i), {t, t}), out.data() + i);
}

/// Groups of kTestRows rows as their largest scores and sizes say: weight, then value.
void Groups(std::span<const float> max, std::span<const float> size, std::span<const double> score,
            std::span<const float> kv, std::span<double> out) {
  const std::size_t n = max.size();
  for (std::size_t i = 0; i < n; i += kLanes) {
    const ScaleVec scale =
        ScaleOfGroup(hn::LoadU(F(), max.data() + i), hn::LoadU(F(), size.data() + i));
    FoldedVec f = NoRows();
    VD z[2 * kTestRows];
    VD w[2 * kTestRows];
    for (std::size_t r = 0; r < kTestRows; ++r) {
      const Halves score_r = WithinReach(LoadHalves(score.data() + r * n + i), scale);
      z[2 * r] = score_r.low;
      z[2 * r + 1] = score_r.high;
    }
    const auto magic = [&](int k)
                           HWY_ATTR { return k % 2 == 0 ? scale.magic.low : scale.magic.high; };
    WeightsOf(ReduceScores<2 * kTestRows>(z, magic), w);
    for (std::size_t r = 0; r < kTestRows; ++r)
      AddRow(f, {w[2 * r], w[2 * r + 1]}, Widened(hn::LoadU(F(), kv.data() + r * n + i)));
    StoreHalves(f.weight, out.data() + i);
    StoreHalves(f.value, out.data() + n + i);
  }
}

/// To nearest, then to odd.
void Pooled(std::span<const double> weight, std::span<const double> value, std::span<float> out) {
  const std::size_t n = weight.size();
  for (std::size_t i = 0; i < n; i += kLanes) {
    const FoldedVec f{LoadHalves(weight.data() + i), LoadHalves(value.data() + i)};
    hn::StoreU(PooledOf(f, false), F(), out.data() + i);
    hn::StoreU(PooledOf(f, true), F(), out.data() + n + i);
  }
}

/// odd_float of doubles; a multiple of 16.
void Odd(std::span<const double> in, std::span<float> out) {
  for (std::size_t i = 0; i < in.size(); i += kLanes)
    hn::StoreU(OddFloats(LoadHalves(in.data() + i)), F(), out.data() + i);
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

using ApplyFunction = void (*)(Function, std::span<const float>, std::span<std::uint32_t>);

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
      apply_(which, in, out);
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
};

std::uint64_t bits(double x) {
  return std::bit_cast<std::uint64_t>(x);
}

float any_float(test::Random& random, int low, int high) {
  return random.normal() * std::ldexp(1.0F, static_cast<int>(random.between(low, high)));
}

TEST_P(SimdNumerics, Weight) {
  const SimdTarget target = GetParam();
  const auto weights = PLEAT_SIMD_CHOOSE(Weights, target);
  const auto expect_weights = [&](const std::vector<double>& score, double magic) {
    std::vector<double> got(score);
    weights(magic, got);
    for (std::size_t i = 0; i < score.size(); ++i)
      ASSERT_EQ(bits(got[i]), bits(weight_of_score(score[i], magic))) << score[i];
  };
  // plain scores through every binade, and between floats as a late sum lies
  const auto stride = static_cast<std::uint32_t>(367 * test::kThinner);
  std::vector<double> plain;
  for (std::uint32_t u = 0; u <= bits_of(kPlainScore); u += stride) {
    const auto x = static_cast<double>(float_of(u));
    plain.insert(plain.end(), {x, -x, x * (1 + 0x1p-40), x * (0x1p-30 - 1)});
  }
  plain.resize((plain.size() + 15) / 16 * 16);
  expect_weights(plain, kRoundMagic);
  for (const float max : {65.0F, -300.25F, 5000.0F, kScoreLimit, -kScoreLimit}) {
    const GroupScale scale = scale_of_group(max);
    std::vector<double> score;
    for (int i = 0; i <= 128 * 64; ++i)
      score.push_back(within_reach(static_cast<double>(max) - i / 64.0, scale));
    score.resize((score.size() + 15) / 16 * 16, scale.floor);
    expect_weights(score, scale.magic);
    if (HasFatalFailure()) return;
  }
}

/// Largest scores and sizes of groups, with what makes a group's scale special.
struct Measures {
  std::vector<float> max;
  std::vector<float> size;

  Measures(test::Random& random, std::size_t count) : max(count), size(count) {
    for (std::size_t i = 0; i < count; ++i) {
      max[i] = any_float(random, -8, 24);
      if (random.chance(0.02)) max[i] = -std::numeric_limits<float>::infinity();
      if (random.chance(0.02)) max[i] = std::numeric_limits<float>::infinity();
      if (random.chance(0.02)) max[i] = random.chance(0.5) ? kPlainScore : -kPlainScore;
      size[i] = std::max(magnitude(max[i]), random.chance(0.5) ? 0.0F : 100.0F);
      if (random.chance(0.02)) size[i] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  [[nodiscard]] bool beyond(std::size_t i) const { return beyond_plain(size[i]); }
  [[nodiscard]] GroupScale scale(std::size_t i) const {
    if (beyond(i)) return scale_of_group(max[i]);
    return {kRoundMagic, -std::numeric_limits<double>::infinity()};
  }
};

TEST_P(SimdNumerics, GroupScale) {
  const SimdTarget target = GetParam();
  const auto scales = PLEAT_SIMD_CHOOSE(Scales, target);
  constexpr std::size_t kCount = 1 << 12;
  test::Random random(17);
  for (std::int64_t round = 0; round < test::repetitions(256); ++round) {
    const Measures measures(random, kCount);
    std::vector<double> out(3 * kCount);
    scales(measures.max, measures.size, out);
    for (std::size_t i = 0; i < kCount; ++i) {
      const GroupScale want = measures.scale(i);
      ASSERT_EQ(bits(out[i]), bits(want.magic)) << measures.max[i];
      ASSERT_EQ(bits(out[kCount + i]), bits(want.floor)) << measures.max[i];
      ASSERT_EQ(out[2 * kCount + i], exponent_of(want)) << measures.max[i];
    }
  }
}

TEST_P(SimdNumerics, ScaleFactor) {
  const SimdTarget target = GetParam();
  const auto factors = PLEAT_SIMD_CHOOSE(Factors, target);
  for (const std::int32_t top : {0, 93, -433, 1512775, -1512775}) {
    std::vector<double> n(1024);
    for (std::size_t i = 0; i < n.size(); ++i)
      n[i] = static_cast<double>(top) - static_cast<double>(i);
    n.back() = static_cast<double>(std::min(kNoRows, top));
    std::vector<double> out(n.size());
    factors(n, static_cast<double>(top), out);
    for (std::size_t i = 0; i < n.size(); ++i) {
      ASSERT_EQ(bits(out[i]), bits(scale_factor(static_cast<std::int32_t>(n[i]), top)));
    }
  }
}

TEST_P(SimdNumerics, Joined) {
  const SimdTarget target = GetParam();
  const auto join = PLEAT_SIMD_CHOOSE(Join, target);
  constexpr std::size_t kCount = 1 << 12;
  test::Random random(19);
  const auto any_folded = [&random] {
    if (random.chance(0.1)) return Folded{};
    Folded f{std::ldexp(1 + random.unit(), static_cast<int>(random.between(-185, 104)))};
    f.value = f.weight * static_cast<double>(any_float(random, -60, 60));
    if (random.chance(0.7)) f.n = static_cast<std::int32_t>(random.between(-700, 700));
    if (random.chance(0.1)) f.n = random.chance(0.5) ? 1512775 : -1512775;
    if (f.n == kNoRows) f.n = 0;
    return f;
  };
  for (std::int64_t round = 0; round < test::repetitions(256); ++round) {
    std::vector<Folded> from[2];
    std::vector<double> in[2];
    for (int side = 0; side < 2; ++side) {
      in[side].resize(3 * kCount);
      for (std::size_t i = 0; i < kCount; ++i) {
        const Folded& f = from[side].emplace_back(any_folded());
        in[side][i] = f.weight;
        in[side][kCount + i] = f.value;
        in[side][2 * kCount + i] = f.n;
      }
    }
    std::vector<double> out(3 * kCount);
    join(in[0], in[1], out);
    for (std::size_t i = 0; i < kCount; ++i) {
      const Folded want = joined(from[0][i], from[1][i]);
      ASSERT_EQ(bits(out[i]), bits(want.weight)) << from[0][i].n << ", " << from[1][i].n;
      ASSERT_EQ(bits(out[kCount + i]), bits(want.value)) << from[0][i].n << ", " << from[1][i].n;
      ASSERT_EQ(out[2 * kCount + i], want.n);
    }
  }
}

// From scores to a folded group, eight rows side by side.
TEST_P(SimdNumerics, GroupOfRows) {
  const SimdTarget target = GetParam();
  const auto groups = PLEAT_SIMD_CHOOSE(Groups, target);
  constexpr std::size_t kGroups = 1 << 12;
  constexpr auto kRows = static_cast<std::size_t>(kTestRows);
  test::Random random(23);
  for (std::int64_t round = 0; round < test::repetitions(32); ++round) {
    const Measures measures(random, kGroups);
    std::vector<double> score(kRows * kGroups);
    std::vector<float> kv(kRows * kGroups);
    for (std::size_t at = 0; at < score.size(); ++at) {
      const std::size_t i = at % kGroups;
      const double plain = (2 * random.unit() - 1) * static_cast<double>(kPlainScore);
      const double below = static_cast<double>(measures.max[i]) - 200 * random.unit();
      score[at] = measures.beyond(i) ? below : plain;
      if (measures.beyond(i) && random.chance(0.02)) {
        score[at] = std::numeric_limits<double>::quiet_NaN();
      }
      kv[at] = round % 4 == 0 ? any_float(random, -40, 40) : random.normal();
      if (random.chance(0.01)) kv[at] = random.chance(0.5) ? 0.0F : -0.0F;
    }
    std::vector<double> out(2 * kGroups);
    groups(measures.max, measures.size, score, kv, out);
    for (std::size_t i = 0; i < kGroups; ++i) {
      const GroupScale scale = measures.scale(i);
      Folded want;
      for (std::size_t r = 0; r < kRows; ++r) {
        const double z = score[r * kGroups + i];
        add_row(want, weight_of_score(measures.beyond(i) ? within_reach(z, scale) : z, scale.magic),
                kv[r * kGroups + i]);
      }
      ASSERT_EQ(bits(out[i]), bits(want.weight));
      ASSERT_EQ(bits(out[kGroups + i]), bits(want.value));
    }
  }
}

TEST_P(SimdNumerics, PooledAndItsRounding) {
  const SimdTarget target = GetParam();
  const auto pooled = PLEAT_SIMD_CHOOSE(Pooled, target);
  constexpr std::size_t kCount = 1 << 12;
  test::Random random(29);
  for (std::int64_t round = 0; round < test::repetitions(256); ++round) {
    std::vector<double> weight(kCount);
    std::vector<double> value(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      weight[i] = std::ldexp(1 + random.unit(), static_cast<int>(random.between(-93, 104)));
      const double kv = static_cast<double>(random.normal()) * (1 + random.unit());
      value[i] = weight[i] * std::ldexp(kv, static_cast<int>(random.between(-60, 60)));
      if (random.chance(0.01)) value[i] = random.chance(0.5) ? 0.0 : -0.0;
      if (random.chance(0.1)) value[i] = weight[i] * static_cast<double>(random.normal());
    }
    std::vector<float> out(2 * kCount);
    pooled(weight, value, out);
    for (std::size_t i = 0; i < kCount; ++i) {
      const Folded f{weight[i], value[i]};
      ASSERT_EQ(bits_of(out[i]), bits_of(pooled_of(f, false)));
      ASSERT_EQ(bits_of(out[kCount + i]), bits_of(pooled_of(f, true)));
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
    // nothing, halfway between floats and next to that, beyond floats, below them and below doubles
    // that are normal
    std::size_t at = 0;
    for (const double x :
         {0.0, 1e300, 0x1.ffffffp127, 0x1.fffffefp127, 3.41e38, 1e-60, 1e-310, 0x1p-1042, 0x1p-1043,
          0x1p-1074, 1 + 0x1p-24, 1 + 0x1p-24 + 0x1p-52, 1 + 0x1p-24 - 0x1p-52, 1 + 0x3p-24,
          0x1p-149 + 0x1p-150, 0x1p-149 - 0x1p-1040, 0x1p-126 - 0x1p-1000}) {
      in[at++] = x;
      in[at++] = -x;
    }
    std::vector<float> out(kCount);
    odd(in, out);
    for (std::size_t i = 0; i < kCount; ++i)
      ASSERT_EQ(bits_of(out[i]), bits_of(odd_float(in[i]))) << in[i];
  }
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
    apply_(Function::halves, in, out);
    for (std::size_t i = 0; i < in.size(); i += lanes) {
      std::vector<double> used(in.begin() + static_cast<std::ptrdiff_t>(i),
                               in.begin() + static_cast<std::ptrdiff_t>(i + lanes / 2));
      double got;
      std::memcpy(&got, &out[i], sizeof(got));
      ASSERT_EQ(got, sum_halves(used.data(), static_cast<int>(lanes / 2)));
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
