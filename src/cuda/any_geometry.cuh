// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/geometry.hpp>

#include <bit>

#include "cuda/params.cuh"

// A geometry that no kernel was compiled for, as the kernels take it: a value with the names that
// GeometryOf has, so that the functions of tokens.cuh serve both.
namespace pleat::cuda {

/// What numbers from 0 up are divided by at run time: a division of 64 bits takes longer than a
/// load from L2.
struct PowerOfTwo {
  std::int32_t value;
  std::int32_t shift;

  __device__ __forceinline__ operator std::int32_t() const { return value; }
  friend __device__ __forceinline__ std::int64_t operator/(std::int64_t x, const PowerOfTwo& d) {
    return x >> d.shift;
  }
  friend __device__ __forceinline__ std::int64_t operator%(std::int64_t x, const PowerOfTwo& d) {
    return x & (d.value - 1);
  }
};

struct AnyGeometry {
  PowerOfTwo ratio;
  std::int32_t window;
  std::int32_t head_dim;
  std::int32_t rope_dim;
  std::int32_t state_width;
  std::int32_t row_width;
  bool overlap;
};

/// The geometry for the device; it is valid.
inline AnyGeometry any_geometry(const Geometry& g) {
  const auto ratio = static_cast<std::uint32_t>(g.ratio);
  return {{g.ratio, std::countr_zero(ratio)},
          g.window(),
          g.head_dim,
          g.rope_dim,
          g.state_width(),
          g.row_width(),
          g.overlap};
}

}  // namespace pleat::cuda
