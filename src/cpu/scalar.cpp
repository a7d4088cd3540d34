// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/scalar.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "numerics/order.hpp"
#include "numerics/rounding.hpp"
#include "reference/fold.hpp"

namespace pleat::cpu {

namespace {

using namespace numerics;  // NOLINT: this file is those functions over rows

float element(const void* row, DType type, std::int64_t c) {
  return type == DType::bf16 ? bf16_value(static_cast<const std::uint16_t*>(row)[c])
                             : static_cast<const float*>(row)[c];
}

Score score_of(const RowGroup& g, int r, std::int64_t c) {
  float x = element(g.row[r] + g.score_offset, g.source.dtype, c);
  if (g.source.rounding == Rounding::before_ape) x = to_bf16(x);
  if (g.source.late) return late_sum(x, g.ape[r][c]);
  if (g.source.ape) x = x + g.ape[r][c];
  return plain_score(g.source.rounding == Rounding::after_ape ? to_bf16(x) : x);
}

/// Adds a group to those of its span before it.
void add_group(Folded& span, const RowGroup& g, std::int64_t c) {
  if (g.rows == 0) return;
  Score score[kGroupRows];
  bool beyond = false;
  float max = -std::numeric_limits<float>::infinity();
  for (int r = 0; r < g.rows; ++r) {
    score[r] = score_of(g, r, c);
    beyond = beyond || beyond_plain(magnitude(score[r].value));
    max = larger(score[r].value, max);
  }
  const GroupScale scale = beyond ? scale_of_group(max) : GroupScale{};
  const std::int32_t n = exponent_of(scale);
  if (span.n == kNoRows) span.n = n;
  Folded apart{0.0, 0.0, n};
  Folded& sums = span.n == n ? span : apart;
  for (int r = 0; r < g.rows; ++r) {
    float kv = element(g.row[r], g.source.dtype, c);
    if (g.source.rounding != Rounding::none) kv = to_bf16(kv);
    const double z = beyond ? within_reach(score[r].exact, scale) : score[r].exact;
    add_row(sums, weight_of_score(z, scale.magic), kv);
  }
  if (span.n != n) span = joined(span, apart);
}

void pool_window(const RowGroup* group, const PoolShape& shape, Ahead& /*ahead*/,
                 double* /*partial*/, float* pooled) {
  constexpr int span_groups = kSpanRows / kGroupRows;
  for (std::int32_t c = shape.first; c < shape.last; ++c) {
    Folded span[1024 * 2 / kSpanRows];
    for (int g = 0; g < shape.groups; ++g)
      add_group(span[g / span_groups], group[g], c);
    const int spans = std::max(1, shape.groups / span_groups);
    pooled[c - shape.first] = pooled_of(join_neighbours(span, spans), shape.odd);
  }
}

void keep_row(const void* from, DType from_type, const float* ape, void* to, DType to_type,
              std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    float x = element(from, from_type, i);
    if (ape != nullptr) x = x + ape[i];
    if (to_type == DType::bf16) {
      static_cast<std::uint16_t*>(to)[i] = bf16_bits(x);
    } else {
      static_cast<float*>(to)[i] = x;
    }
  }
}

void store_row(const Finish& f, const float* rope_row, float* row, Ahead& /*ahead*/,
               std::uint8_t* values, std::uint8_t* scales) {
  const auto weight =
      TensorView::packed(const_cast<float*>(f.norm), DType::f32, f.compressor.geometry.head_dim);
  reference::norm_rope(f.compressor, weight, rope_row, row);
  reference::encode(f.compressor, row, f.fp8_scale, values, scales);
}

std::uint64_t read_bytes(const void* data, std::size_t bytes) {
  const auto* p = static_cast<const unsigned char*>(data);
  std::uint64_t all = 0;
  std::size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    std::uint64_t x = 0;
    std::memcpy(&x, p + i, 8);
    all ^= x;
  }
  for (; i < bytes; ++i)
    all = all * 31 + p[i];
  return all;
}

}  // namespace

const Kernels& scalar_kernels() {
  static constexpr Kernels kernels{SimdTarget::scalar, pool_window, keep_row, store_row,
                                   read_bytes};
  return kernels;
}

}  // namespace pleat::cpu
