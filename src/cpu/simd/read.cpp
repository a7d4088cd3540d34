// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/simd/kernels.hpp"

#if PLEAT_HAVE_HIGHWAY
#include "cpu/simd/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/read.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <cstring>

#include "cpu/simd/numerics-inl.hpp"

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

std::uint64_t ReadBytes(const void* data, std::size_t bytes) {
  const U d;
  const auto* p = static_cast<const std::uint8_t*>(data);
  constexpr std::size_t kVector = kLanes * 4;
  const auto load = [&](std::size_t at) HWY_ATTR {
    return hn::LoadU(d, reinterpret_cast<const std::uint32_t*>(p + at));
  };
  VU a = hn::Zero(d);
  VU b = hn::Zero(d);
  VU e = hn::Zero(d);
  VU f = hn::Zero(d);
  std::size_t i = 0;
  for (; i + 4 * kVector <= bytes; i += 4 * kVector) {
    a = hn::Xor(a, load(i));
    b = hn::Xor(b, load(i + kVector));
    e = hn::Xor(e, load(i + 2 * kVector));
    f = hn::Xor(f, load(i + 3 * kVector));
  }
  std::uint64_t rest = 0;
  for (; i < bytes; ++i)
    rest = rest * 31 + p[i];
  alignas(64) std::uint32_t lanes[kLanes];
  hn::Store(hn::Xor(hn::Xor(a, b), hn::Xor(e, f)), d, lanes);
  for (const std::uint32_t x : lanes)
    rest = rest * 31 + x;
  return rest;
}

}  // namespace pleat::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // PLEAT_SIMD_TARGET

#if HWY_ONCE
namespace pleat::cpu::simd {

Read read([[maybe_unused]] SimdTarget target) {
  return PLEAT_SIMD_CHOOSE(ReadBytes, target);
}

}  // namespace pleat::cpu::simd
#endif  // HWY_ONCE
#endif  // PLEAT_HAVE_HIGHWAY
