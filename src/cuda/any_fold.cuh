// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/any_geometry.cuh"
#include "cuda/any_shape.hpp"
#include "cuda/fast_exp.cuh"
#include "cuda/rows.cuh"
#include "cuda/tokens.cuh"
#include "numerics/order.hpp"
#include "numerics/rounding.hpp"

// The fold of a window of any geometry, by a block. A thread has a channel at a time and goes over
// the window's groups of 8 rows as src/reference/fold.cpp does: rows are loaded straight from
// memory, a group's before the first is used. What a thread cannot keep in registers, as the number
// of it is not known to the compiler, is in shared memory.
namespace pleat::cuda {

using numerics::Folded;

/// Dynamic shared memory of a block of `threads`: for each thread the sums of spans that wait for
/// their neighbours, one of each width; where the window's rows are; the pooled row.
struct AnyShared {
  std::int32_t waiting;  ///< spans of a thread
  std::int32_t rows;     ///< bytes before these
  std::int32_t scales;
  std::int32_t pooled;
  std::int32_t bytes;
};

PLEAT_HD constexpr AnyShared any_shared(std::int32_t window, std::int32_t head_dim,
                                        std::int32_t threads) {
  AnyShared s{};
  for (std::int32_t spans = window / numerics::kSpanRows; spans > 1; spans /= 2)
    ++s.waiting;
  s.rows = 16 * s.waiting * threads;  // two doubles of each span come first
  s.scales = s.rows + 8 * window;
  s.pooled = s.scales + 4 * s.waiting * threads;
  s.bytes = s.pooled + 4 * head_dim;
  return s;
}
inline constexpr int kAnySharedMost = any_shared(2048, 4096, kAnyThreads).bytes;

/// A window in the making.
struct AnyWindow {
  PlanEntry entry;
  int absent;                 ///< rows before position 0
  int fresh_from;             ///< rows from this one on are tokens of this step
  const std::uint8_t** rows;  ///< channel 0 of each row's half that this window reads
  double2* sums;              ///< of spans that wait: the thread's first, the next blockDim on
  std::int32_t* scales;       ///< likewise
};

/// The window of e, but for where its rows are.
__device__ __forceinline__ AnyWindow window_of(const FoldParams& p, const AnyGeometry& g,
                                               const PlanEntry& e, std::uint8_t* shared) {
  const AnyShared at = any_shared(g.window, g.head_dim, static_cast<int>(blockDim.x));
  const std::int64_t tokens = (static_cast<std::int64_t>(e.row) + 1) * g.ratio;
  return {e,
          tokens < g.window ? g.window - static_cast<int>(tokens) : 0,
          g.window - fresh_of(p, e),
          reinterpret_cast<const std::uint8_t**>(shared + at.rows),
          reinterpret_cast<double2*>(shared) + threadIdx.x,
          reinterpret_cast<std::int32_t*>(shared + at.scales) + threadIdx.x};
}

/// Finds the rows that there are, one or a few by each thread of the block.
__device__ __forceinline__ void find_rows(const FoldParams& p, const AnyGeometry& g,
                                          const Types& types, const AnyWindow& w) {
  const auto* projection = static_cast<const std::uint8_t*>(p.projection);
  const auto* state = static_cast<const std::uint8_t*>(p.state);
  const std::int64_t first = (static_cast<std::int64_t>(w.entry.row) + 1) * g.ratio - g.window;
#pragma unroll 1
  for (int r = w.absent + static_cast<int>(threadIdx.x); r < g.window;
       r += static_cast<int>(blockDim.x)) {
    const int half = g.overlap && r >= g.ratio ? g.head_dim : 0;
    if (r >= w.fresh_from) {
      const std::int64_t token = w.entry.token - (g.window - 1 - r);
      w.rows[r] =
          projection + (token * p.projection_stride + half) * (types.projection_bf16 ? 2 : 4);
    } else {
      const std::int64_t at = state_row(p, w.entry.request, first + r);
      w.rows[r] = state + (at + half) * (types.state_bf16 ? 2 : 4);
    }
  }
}

/// An element as it lies in memory, to be widened when all are there.
__device__ __forceinline__ std::uint32_t load_element(const std::uint8_t* row, bool bf16,
                                                      std::int32_t i) {
  if (bf16) return reinterpret_cast<const std::uint16_t*>(row)[i];
  return reinterpret_cast<const std::uint32_t*>(row)[i];
}
__device__ __forceinline__ float element_value(std::uint32_t bits, bool bf16) {
  return __uint_as_float(bf16 ? bits << 16 : bits);
}

/// Rows whose weights are computed side by side.
inline constexpr int kAnyAtOnce = 4;

/// Rows of a group, of one channel.
struct AnyGroup {
  float value[kGroupRows];
  numerics::Score score[kGroupRows];
};

/// Rows [from, end) of the group whose first row in the window is `first`.
__device__ __forceinline__ void load_group(const FoldParams& p, const AnyGeometry& g,
                                           const Types& types, const AnyWindow& w, int first,
                                           int from, int end, std::int32_t channel,
                                           AnyGroup& group) {
  const bool late = p.recipe.ape_when_pooled && p.ape != nullptr;
  std::uint32_t value[kGroupRows] = {};
  std::uint32_t score[kGroupRows] = {};
  float bias[kGroupRows] = {};
#pragma unroll
  for (int r = 0; r < kGroupRows; ++r) {
    if (r < from || r >= end) continue;
    const std::int64_t row = first + r;
    const bool fresh = row >= w.fresh_from;
    const bool bf16 = fresh ? types.projection_bf16 : types.state_bf16;
    value[r] = load_element(w.rows[row], bf16, channel);
    score[r] = load_element(w.rows[row], bf16, channel + g.state_width);
    if (p.ape == nullptr || !(late || fresh)) continue;
    const int half = g.overlap && row >= g.ratio ? g.head_dim : 0;
    bias[r] = p.ape[row % g.ratio * p.ape_stride + half + channel];
  }
#pragma unroll
  for (int r = 0; r < kGroupRows; ++r) {
    const bool fresh = first + r >= w.fresh_from;
    const bool bf16 = fresh ? types.projection_bf16 : types.state_bf16;
    float kv = element_value(value[r], bf16);
    float s = element_value(score[r], bf16);
    if (fresh && p.ape != nullptr && !late) s = s + bias[r];
    if (fresh && types.state_bf16) {
      kv = numerics::to_bf16(kv);
      s = numerics::to_bf16(s);
    }
    group.value[r] = kv;
    group.score[r] = late ? numerics::late_sum(s, bias[r]) : numerics::plain_score(s);
  }
}

/// Adds rows [from, end) of a group to those of its span before it.
template <bool Fast>
__device__ __forceinline__ void add_group(const numerics::ExpTable& table, const AnyGroup& group,
                                          int from, int end, Folded& span) {
  bool beyond = false;
  float max = -numerics::kScoreLimit;
#pragma unroll
  for (int r = 0; r < kGroupRows; ++r) {
    if (r < from || r >= end) continue;
    const float value = group.score[r].value;
    beyond = beyond || numerics::beyond_plain(numerics::magnitude(value));
    max = numerics::larger(value, max);
  }
  double weight[kGroupRows];
#pragma unroll
  for (int r = 0; r < kGroupRows; ++r)
    weight[r] = group.score[r].exact;
  numerics::GroupScale scale{};
  if (beyond) [[unlikely]] {
    scale = numerics::scale_of_group(max);
#pragma unroll
    for (double& z : weight)
      z = numerics::within_reach(z, scale);
  }
  const std::int32_t n = numerics::exponent_of(scale);
  if (span.n == numerics::kNoRows) span.n = n;
  Folded sums = span;
  if (span.n != n) sums = {0.0, 0.0, n};
#pragma unroll
  for (int first = 0; first < kGroupRows; first += kAnyAtOnce) {
    if constexpr (!Fast) {
      numerics::weights_of_scores<kAnyAtOnce>(weight + first, scale.magic, table);
    }
#pragma unroll
    for (int r = first; r < first + kAnyAtOnce; ++r) {
      if constexpr (Fast) weight[r] = fast_weight(weight[r], n);
      Folded next = sums;
      numerics::add_row(next, weight[r], group.value[r]);
      if (r >= from && r < end) sums = next;
    }
  }
  if (span.n != n) [[unlikely]] {
    sums = numerics::joined(span, sums);
  }
  span = sums;
}

/// A channel of the window, pooled. Spans join as they come, like counting in binary, which is
/// neighbours first; a span that is all absent is one without rows.
template <bool Fast>
__device__ __forceinline__ float pool_any_channel(const FoldParams& p, const AnyGeometry& g,
                                                  const Types& types, const AnyWindow& w,
                                                  std::int32_t channel) {
  const int rows = g.window < kGroupRows ? g.window : kGroupRows;
  Folded span;
#pragma unroll 1
  for (int first = 0; first < g.window; first += rows) {
    const int from = w.absent > first ? w.absent - first : 0;
    if (from < rows) {
      AnyGroup group;
      load_group(p, g, types, w, first, from, rows, channel, group);
      add_group<Fast>(p.exp, group, from, rows, span);
    }
    const int end = first + rows;
    if (end % numerics::kSpanRows != 0 && end != g.window) continue;
    int at = 0;
#pragma unroll 1
    for (int i = first / numerics::kSpanRows; (i & 1) != 0; i /= 2) {
      const double2 before = w.sums[at];
      span = numerics::joined({before.x, before.y, w.scales[at]}, span);
      at += static_cast<int>(blockDim.x);
    }
    if (end == g.window) break;
    w.sums[at] = {span.weight, span.value};
    w.scales[at] = span.n;
    span = {};
  }
  return numerics::pooled_of(span, p.recipe.pooled_bf16);
}

}  // namespace pleat::cuda
