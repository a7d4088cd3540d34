// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/fold.cuh"

// Joining spans: neighbours first, each pair at the larger scale of the two.
namespace pleat::cuda {

/// Both at the larger's scale.
__device__ __forceinline__ void join_scaled(Sums& a, Scales& n, const Sums& b, const Scales& m) {
#pragma unroll
  for (int c = 0; c < 2; ++c) {
    const Folded f =
        numerics::joined({a.weight[c], a.value[c], n.n[c]}, {b.weight[c], b.value[c], m.n[c]});
    a.weight[c] = f.weight;
    a.value[c] = f.value;
    n.n[c] = f.n;
  }
}

__device__ __forceinline__ Sums sum_of(const Sums& a, const Sums& b) {
  return {{a.weight[0] + b.weight[0], a.weight[1] + b.weight[1]},
          {a.value[0] + b.value[0], a.value[1] + b.value[1]}};
}

/// The same, which is no more than a sum where both have the scale 0.
__device__ __forceinline__ void join(Sums& a, Scales& n, const Sums& b, const Scales& m) {
  if ((n.n[0] | n.n[1] | m.n[0] | m.n[1]) == 0) [[likely]] {
    a = sum_of(a, b);
  } else {
    join_scaled(a, n, b, m);
  }
}

/// Spans of a tile of 64 channels in shared memory, two channels a lane.
template <int Spans>
struct SpanSums {
  double2 sums[Spans][2][32];  ///< weight, value
  Scales scales[Spans][32];

  __device__ __forceinline__ void put(int span, int lane, const Sums& s, const Scales& n) {
#pragma unroll
    for (int c = 0; c < 2; ++c)
      sums[span][c][lane] = {s.weight[c], s.value[c]};
    scales[span][lane] = n;
  }
  __device__ __forceinline__ Sums get(int span, int lane, Scales& n) const {
    const double2 a = sums[span][0][lane];
    const double2 b = sums[span][1][lane];
    n = scales[span][lane];
    return {{a.x, b.x}, {a.y, b.y}};
  }

  /// So many of them, joined. Scaled ones are joined in place.
  template <int Count>
  __device__ __forceinline__ Sums join_all(int first, int lane) {
    static_assert(Count == 2 || Count == 8);
    Sums s[Count];
    std::int32_t any = 0;
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      Scales n;
      s[i] = get(first + i, lane, n);
      any |= n.n[0] | n.n[1];
    }
    if (any == 0) [[likely]] {
#pragma unroll
      for (int width = 1; width < Count; width *= 2) {
#pragma unroll
        for (int i = 0; i < Count; i += 2 * width)
          s[i] = sum_of(s[i], s[i + width]);
      }
      return s[0];
    }
#pragma unroll 1
    for (int width = 1; width < Count; width *= 2) {
#pragma unroll 1
      for (int i = first; i < first + Count; i += 2 * width) {
        Scales n;
        Scales m;
        Sums a = get(i, lane, n);
        const Sums b = get(i + width, lane, m);
        join_scaled(a, n, b, m);
        put(i, lane, a, n);
      }
    }
    Scales n;
    return get(first, lane, n);
  }
};

/// Joins the span that a warp has just folded, its i-th, to those before it, as neighbours meet.
/// After the last one, `span` is all of them; before, what is left waits, and `span` is empty.
/// \p before_wait: called before anything is written to the part's place.
template <bool HeldInMemory, class Waiting, class Before>
__device__ __forceinline__ void join_as_they_come(int i, bool last, Waiting& waiting, int place,
                                                  int lane, Sums& span, Scales& n, Sums& held,
                                                  Scales& m, Before before_wait) {
  const auto join_before = [&](int where) {
    Scales before_scales;
    Sums before = waiting.get(where, lane, before_scales);
    join(before, before_scales, span, n);
    span = before;
    n = before_scales;
  };
  if ((i & 1) == 0) {
    if constexpr (HeldInMemory) {
      waiting.put(place + 2, lane, span, n);
    } else {
      held = span;
      m = n;
    }
  } else {
    if constexpr (HeldInMemory) {
      join_before(place + 2);
    } else {
      join(held, m, span, n);
      span = held;
      n = m;
    }
    if ((i & 2) != 0) {
      join_before(place);
      if ((i & 4) != 0) join_before(place + 1);
    }
    if (!last) {
      before_wait();
      waiting.put(place + (i >> 1 & 1), lane, span, n);
    }
  }
  if (!last) {
    span = {};
    n = {};
  }
}

}  // namespace pleat::cuda
