// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/fold.cuh"

// Joining spans: those that a warp has folded, and those of warps that share a window.
namespace pleat::cuda {

/// Both at the larger's scale.
inline __device__ __noinline__ ScaledSums join_apart(ScaledSums a, ScaledSums b) {
#pragma unroll
  for (int c = 0; c < 2; ++c) {
    const Folded f = numerics::joined({a.sums.weight[c], a.sums.value[c], a.scales.n[c]},
                                      {b.sums.weight[c], b.sums.value[c], b.scales.n[c]});
    a.sums.weight[c] = f.weight;
    a.sums.value[c] = f.value;
    a.scales.n[c] = f.n;
  }
  return a;
}

__device__ __forceinline__ Sums sum_of(const Sums& a, const Sums& b) {
  return {{a.weight[0] + b.weight[0], a.weight[1] + b.weight[1]},
          {a.value[0] + b.value[0], a.value[1] + b.value[1]}};
}

/// Sums of a block's warps in shared memory, two places for each warp.
template <int Warps>
struct FoldedTiles {
  static constexpr int places = 2;
  double2 sums[Warps][places][2][32];  ///< weight, value of two channels of a lane

  __device__ __forceinline__ void put(int warp, int place, int lane, const Sums& s) {
#pragma unroll
    for (int c = 0; c < 2; ++c)
      sums[warp][place][c][lane] = {s.weight[c], s.value[c]};
  }
  [[nodiscard]] __device__ __forceinline__ Sums get(int warp, int place, int lane) const {
    const double2 a = sums[warp][place][0][lane];
    const double2 b = sums[warp][place][1][lane];
    return {{a.x, b.x}, {a.y, b.y}};
  }

  /// For another warp. Weights are positive: a negative one says that the scales are in the place
  /// beside.
  __device__ __forceinline__ void hand_over(int warp, int lane, Sums s, bool plain,
                                            const Scales& scales) {
    if (!plain) {
      *reinterpret_cast<Scales*>(&sums[warp][1][0][lane]) = scales;
      s.weight[0] = -s.weight[0];
    }
    put(warp, 0, lane, s);
  }
  __device__ __forceinline__ Sums take_over(int warp, int lane, bool& plain, Scales& scales) const {
    Sums s = get(warp, 0, lane);
    plain = s.weight[0] >= 0.0;
    if (!plain) {
      scales = *reinterpret_cast<const Scales*>(&sums[warp][1][0][lane]);
      s.weight[0] = -s.weight[0];
    }
    return s;
  }

  /// Joins what the warps after `first`, 2^levels with it, handed over, to its own; neighbours
  /// first.
  __device__ __forceinline__ Sums join_all(int first, int lane, int levels, Sums own, bool plain,
                                           const Scales& scales) {
    bool all_plain = plain;
    const auto other = [&](int i) {
      const Sums s = get(first + i, 0, lane);
      all_plain = all_plain && s.weight[0] >= 0.0;
      return s;
    };
    Sums all = sum_of(own, other(1));
    if (levels > 1) all = sum_of(all, sum_of(other(2), other(3)));
    if (levels > 2) {
      const Sums third = sum_of(other(4), other(5));
      all = sum_of(all, sum_of(third, sum_of(other(6), other(7))));
    }
    if (all_plain) [[likely]]
      return all;
    return join_scaled(first, lane, 1 << levels, own, plain, scales);
  }

  /// The same where scales differ, in place: each is read once, and none is used again.
  __device__ __forceinline__ Sums join_scaled(int first, int lane, int count, Sums own,
                                              bool own_plain, const Scales& own_scales) {
    Scales own_n = own_scales;
#pragma unroll 1
    for (int width = 1; width < count; width *= 2) {
#pragma unroll 1
      for (int i = 0; i < count; i += 2 * width) {
        bool plain = own_plain;
        bool other_plain = true;
        ScaledSums a{own, own_n};
        ScaledSums b{};
        if (i > 0) a.sums = take_over(first + i, lane, plain, a.scales);
        b.sums = take_over(first + i + width, lane, other_plain, b.scales);
        if (plain && other_plain) {
          a.sums = sum_of(a.sums, b.sums);
        } else {
          if (plain) a.scales = {};
          a = join_apart(a, b);
          plain = false;
        }
        if (i > 0) {
          hand_over(first + i, lane, a.sums, plain, a.scales);
        } else {
          own = a.sums;
          own_plain = plain;
          own_n = a.scales;
        }
      }
    }
    return own;
  }
};

}  // namespace pleat::cuda
