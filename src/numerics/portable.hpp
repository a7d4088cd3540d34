// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Functions marked so compile for host and device. The build forbids contraction on both sides
// (-ffp-contract=off, --fmad=false): a fused multiply-add happens where fma() is written and
// nowhere else. Denormals are kept on both.
#if defined(__CUDACC__)
#define PLEAT_HD __host__ __device__ __forceinline__
#else
#define PLEAT_HD inline
#endif
#if defined(__CUDA_ARCH__)
#define PLEAT_UNROLLED _Pragma("unroll")
#else
#define PLEAT_UNROLLED
#endif

namespace pleat::numerics {

PLEAT_HD std::uint32_t bits_of(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  return std::bit_cast<std::uint32_t>(x);
#endif
}

PLEAT_HD float float_of(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}

/// a * b + c, rounded once.
PLEAT_HD float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return std::fma(a, b, c);
#endif
}

PLEAT_HD double fused(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return __fma_rn(a, b, c);
#else
  return std::fma(a, b, c);
#endif
}

/// Correctly rounded quotient and square root, whatever flags the device code is built with.
PLEAT_HD float quotient(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

/// 1 / x, correctly rounded, for |x| from 2^-125 to 2^125 (and infinite x, on the host). On a GPU
/// __frcp_rn would look for what lies beyond, in a branch that costs more than the rest:
/// tests/cuda/rounding_test.cpp holds these steps to the host's quotient.
PLEAT_HD float reciprocal(float x) {
#if defined(__CUDA_ARCH__)
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return __fmaf_rn(r, -__fmaf_rn(r, x, -1.0F), r);
#else
  return 1.0F / x;
#endif
}

/// The square root, correctly rounded, for finite x from 2^-100 on (and infinite x, on the host);
/// the same as above holds. Below, what is left of x loses its last bits.
PLEAT_HD float root(float x) {
#if defined(__CUDA_ARCH__)
  float r;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  const float g = x * r;
  const float h = r * 0.5F;
  return __fmaf_rn(__fmaf_rn(-g, g, x), h, g);
#else
  return std::sqrt(x);
#endif
}

/// The larger; if one is NaN, the other. Not the library's fmax: that keeps a signalling NaN.
PLEAT_HD float larger(float a, float b) {
#if defined(__CUDA_ARCH__)
  return fmaxf(a, b);
#else
  return a < b || a != a ? b : a;
#endif
}

PLEAT_HD float smaller(float a, float b) {
#if defined(__CUDA_ARCH__)
  return fminf(a, b);
#else
  return b < a || a != a ? b : a;
#endif
}

/// x rounded toward zero; what no float reaches becomes the largest.
PLEAT_HD float toward_zero(double x) {
#if defined(__CUDA_ARCH__)
  return __double2float_rz(x);
#else
  const float nearest = static_cast<float>(x);
  const bool beyond = std::fabs(static_cast<double>(nearest)) > std::fabs(x);
  return float_of(bits_of(nearest) - static_cast<std::uint32_t>(beyond));
#endif
}

/// p * 2^k, k the whole number in the low bits of \p shifted, which goes into p's exponent as whole
/// numbers are added: exact, as long as both are normal.
PLEAT_HD double times_pow2(double p, double shifted) {
#if defined(__CUDA_ARCH__)
  return __hiloint2double(__double2hiint(p) + (__double2loint(shifted) << 20), __double2loint(p));
#else
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(p) +
                               (std::bit_cast<std::uint64_t>(shifted) << 52));
#endif
}

/// 2^k, k from -1022 to 1023.
PLEAT_HD double pow2_of(std::int32_t k) {
#if defined(__CUDA_ARCH__)
  return __hiloint2double((k + 1023) << 20, 0);
#else
  return std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52);
#endif
}

PLEAT_HD float magnitude(float x) {
  return float_of(bits_of(x) & 0x7FFFFFFFU);
}

}  // namespace pleat::numerics
