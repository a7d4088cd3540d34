// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace pleat::test {

/// SplitMix64: the same numbers on every compiler and library, which std::distributions are not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }
  /// Uniform in [0, n).
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(n));
  }
  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
  bool chance(double p) { return unit() < p; }
  double unit() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// Normal, sigma 1.
  float normal() {
    const double r = std::sqrt(-2.0 * std::log(1.0 - unit()));
    return static_cast<float>(r * std::cos(6.283185307179586 * unit()));
  }
  /// Any finite float, uniform over the bit patterns.
  float any_finite() {
    for (;;) {
      const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits()));
      if (std::isfinite(x)) return x;
    }
  }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(below(static_cast<std::int64_t>(from.size())))];
  }
  template <class T>
  void shuffle(std::vector<T>& v) {
    for (std::size_t i = v.size(); i > 1; --i)
      std::swap(v[i - 1], v[static_cast<std::size_t>(below(static_cast<std::int64_t>(i)))]);
  }

 private:
  std::uint64_t state_;
};

/// A number that depends on all of its arguments.
inline std::uint64_t hash_of(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d) {
  std::uint64_t h = Random(a).bits();
  h = Random(h ^ b).bits();
  h = Random(h ^ c).bits();
  return Random(h ^ d).bits();
}

}  // namespace pleat::test
