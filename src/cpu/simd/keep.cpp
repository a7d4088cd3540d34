// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/simd/kernels.hpp"

#if PLEAT_HAVE_HIGHWAY
#include "cpu/simd/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/keep.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include "cpu/simd/numerics-inl.hpp"

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

template <bool kFromBf16, bool kToBf16, bool kApe>
void KeepAs(const void* from, const float* HWY_RESTRICT ape, void* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += kLanes) {
    VF x;
    if constexpr (kFromBf16) {
      x = LoadBf16(static_cast<const std::uint16_t*>(from) + i);
    } else {
      x = hn::LoadU(F(), static_cast<const float*>(from) + i);
    }
    if constexpr (kApe) x = hn::Add(x, hn::LoadU(F(), ape + i));
    if constexpr (kToBf16) {
      StoreBf16(x, static_cast<std::uint16_t*>(to) + i);
    } else {
      hn::StoreU(x, F(), static_cast<float*>(to) + i);
    }
  }
}

template <bool kFromBf16, bool kToBf16>
void KeepAs(const void* from, const float* ape, void* to, std::int64_t n) {
  if (ape != nullptr) return KeepAs<kFromBf16, kToBf16, true>(from, ape, to, n);
  KeepAs<kFromBf16, kToBf16, false>(from, ape, to, n);
}

void KeepRow(const void* from, DType from_type, const float* ape, void* to, DType to_type,
             std::int64_t n) {
  if (from_type == DType::bf16) {
    if (to_type == DType::bf16) return KeepAs<true, true>(from, ape, to, n);
    return KeepAs<true, false>(from, ape, to, n);
  }
  if (to_type == DType::bf16) return KeepAs<false, true>(from, ape, to, n);
  KeepAs<false, false>(from, ape, to, n);
}

}  // namespace pleat::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // PLEAT_SIMD_TARGET

#if HWY_ONCE
namespace pleat::cpu::simd {

Keep keep([[maybe_unused]] SimdTarget target) {
  return PLEAT_SIMD_CHOOSE(KeepRow, target);
}

}  // namespace pleat::cpu::simd
#endif  // HWY_ONCE
#endif  // PLEAT_HAVE_HIGHWAY
