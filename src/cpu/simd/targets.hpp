// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// Included first by every file that Highway compiles once per target. Targets without a fused
// multiply-add would give other bits, and those that only add instructions to AVX-512 would give
// nothing: what is left is AVX2, AVX-512 and NEON. The baseline of x86-64 is none of them; there
// the body is left out (PLEAT_SIMD_TARGET is 0) and src/cpu/scalar.cpp stands in.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#include <hwy/detect_targets.h>

#define PLEAT_SIMD_TARGET ((HWY_TARGET & (HWY_AVX2 | HWY_AVX3 | HWY_NEON)) != 0)

// PLEAT_SIMD_CHOOSE(function, target): the function that was compiled for `target`, or null. For
// use at HWY_ONCE.
#if (HWY_TARGETS & HWY_AVX2) != 0
#define PLEAT_IF_AVX2(function) (target == SimdTarget::avx2) ? N_AVX2::function:
#else
#define PLEAT_IF_AVX2(function)
#endif
#if (HWY_TARGETS & HWY_AVX3) != 0
#define PLEAT_IF_AVX512(function) (target == SimdTarget::avx512) ? N_AVX3::function:
#else
#define PLEAT_IF_AVX512(function)
#endif
#if (HWY_TARGETS & HWY_NEON) != 0
#define PLEAT_IF_NEON(function) (target == SimdTarget::neon) ? N_NEON::function:
#else
#define PLEAT_IF_NEON(function)
#endif
#define PLEAT_SIMD_CHOOSE(function, target) \
  (PLEAT_IF_AVX512(function) PLEAT_IF_AVX2(function) PLEAT_IF_NEON(function) nullptr)

// The loop after it, whose trip count is a small constant, is unrolled. clang does so unasked, and
// warns of what it cannot do.
#if defined(__clang__)
#define PLEAT_UNROLL(n)
#else
#define PLEAT_PRAGMA(text) _Pragma(#text)
#define PLEAT_UNROLL(n) PLEAT_PRAGMA(GCC unroll n)
#endif
