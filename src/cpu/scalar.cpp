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
  return {g.source.rounding == Rounding::after_ape ? to_bf16(x) : x, 0.0F};
}

Folded fold_group(const RowGroup& g, std::int64_t c) {
  float max = -std::numeric_limits<float>::infinity();
  float size = 0;
  Score score[kGroupRows];
  float kv[kGroupRows];
  for (int r = 0; r < g.rows; ++r) {
    score[r] = score_of(g, r, c);
    kv[r] = element(g.row[r], g.source.dtype, c);
    if (g.source.rounding != Rounding::none) kv[r] = to_bf16(kv[r]);
    max = larger(max, score[r].value);
    size = larger(size, magnitude(kv[r]));
  }
  const bool clamp = beyond_limit(max);
  const GroupScale scale = scale_of_group(clamp ? clamp_score(max) : max);
  const float anchor = anchor_of(size);
  Folded f = empty_group(scale, anchor);
  for (int r = 0; r < g.rows; ++r) {
    if (clamp) score[r] = {clamp_score(score[r].value), 0.0F};
    add_row(f, weight_of_score<true>(score[r].value, score[r].low, scale), kv[r]);
  }
  close_group(f, anchor);
  return f;
}

void pool_window(const RowGroup* group, const PoolShape& shape, Ahead& /*ahead*/, float* partial,
                 float* pooled) {
  const int groups = shape.groups;
  for (std::int32_t c = shape.first; c < shape.last; ++c) {
    float& out = pooled[c - shape.first];
    if (groups == 1) {
      const Folded f = fold_group(*group, c);
      out = pooled_of({f.value, f.value_rest}, {f.weight, f.weight_rest}, shape.odd);
      continue;
    }
    auto* value = reinterpret_cast<double*>(partial);  // scratch is aligned for any vector
    double* weight = value + groups;
    Folded f[1024 * 2 / kGroupRows];
    float top = std::numeric_limits<float>::infinity();
    for (int g = 0; g < groups; ++g) {
      f[g] = fold_group(group[g], c);
      top = smaller(top, f[g].magic);
    }
    for (int g = 0; g < groups; ++g) {
      const Joined j = at_scale_of(f[g], top);
      weight[g] = j.weight;
      value[g] = j.value;
    }
    out = pooled_of(pair_of(sum_neighbours(value, groups)), pair_of(sum_neighbours(weight, groups)),
                    shape.odd);
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
