// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "reference/fold.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "numerics/codes.hpp"
#include "numerics/order.hpp"
#include "numerics/rounding.hpp"
#include "reference/rows.hpp"

namespace pleat::reference {

using namespace numerics;  // NOLINT: this file is those functions, one after the other

namespace {

/// Rows [first, last) of one channel.
Folded fold_group(const float* kv, const Score* score, int first, int last) {
  float max = -std::numeric_limits<float>::infinity();
  float size = 0;
  for (int w = first; w < last; ++w) {
    max = larger(max, score[w].value);
    size = larger(size, magnitude(kv[w]));
  }
  const bool clamp = beyond_limit(max);
  const GroupScale scale = scale_of_group(clamp ? clamp_score(max) : max);
  const float anchor = anchor_of(size);
  Folded f = empty_group(scale, anchor);
  for (int w = first; w < last; ++w) {
    const Score s = clamp ? Score{clamp_score(score[w].value), 0.0F} : score[w];
    add_row(f, weight_of_score<true>(s.value, s.low, scale), kv[w]);
  }
  close_group(f, anchor);
  return f;
}

}  // namespace

float pool_channel(std::span<const float> kv, std::span<const Score> score, std::int32_t absent,
                   bool odd) {
  const int window = static_cast<int>(kv.size());
  const int rows = std::min(window, kGroupRows);
  const int groups = window / rows;
  Folded group[1024 * 2 / kGroupRows];
  float top = std::numeric_limits<float>::infinity();
  for (int g = 0; g < groups; ++g) {
    const int first = std::clamp(static_cast<int>(absent), g * rows, (g + 1) * rows);
    group[g] = fold_group(kv.data(), score.data(), first, (g + 1) * rows);
    top = smaller(top, group[g].magic);
  }
  if (groups == 1) {
    return pooled_of({group[0].value, group[0].value_rest}, {group[0].weight, group[0].weight_rest},
                     odd);
  }
  double weight[1024 * 2 / kGroupRows] = {};
  double value[1024 * 2 / kGroupRows] = {};
  for (int g = 0; g < groups; ++g) {
    const Joined j = at_scale_of(group[g], top);
    weight[g] = j.weight;
    value[g] = j.value;
  }
  return pooled_of(pair_of(sum_neighbours(value, groups)), pair_of(sum_neighbours(weight, groups)),
                   odd);
}

void norm_rope(const Compressor& c, const TensorView& weight, const float* rope_row, float* row) {
  const Geometry& g = c.geometry;
  const RecipeTraits r = traits_of(c.recipe);
  if (r.pooled_bf16) {
    for (int i = 0; i < g.head_dim; ++i)
      row[i] = to_bf16(row[i]);
  }
  const double mean = mean_square(sum_of_squares(row, g.head_dim), g.head_dim, c.eps);
  const float scale = rms_scale(mean);
  const int nope = g.head_dim - g.rope_dim;
  for (int i = 0; i < nope; ++i) {
    row[i] = (row[i] * scale) * element(weight, i);
    if (r.norm_bf16) row[i] = to_bf16(row[i]);
  }
  const double exact = exact_scale(mean, scale);
  const int pairs = g.rope_dim / 2;
  const auto turned = [&](int i) {
    const double x = normed(row[i], exact, element(weight, i));
    return r.norm_bf16 ? static_cast<double>(to_bf16(odd_float(x))) : x;
  };
  for (int i = 0; i < pairs; ++i) {
    const float cos = r.rope_table_in_pairs ? rope_row[2 * i] : rope_row[i];
    const float sin = r.rope_table_in_pairs ? rope_row[2 * i + 1] : rope_row[pairs + i];
    const double even = turned(nope + 2 * i);
    const double odd = turned(nope + 2 * i + 1);
    row[nope + 2 * i] = odd_float(rope_even(even, odd, cos, sin));
    row[nope + 2 * i + 1] = odd_float(rope_odd(even, odd, cos, sin));
  }
}

namespace {

float largest_magnitude(const float* x, int n) {
  float m = 0;
  for (int i = 0; i < n; ++i)
    m = larger(m, magnitude(x[i]));
  return m;
}

void put_bf16(const float* x, int n, std::uint8_t* out) {
  for (int i = 0; i < n; ++i) {
    const std::uint16_t b = bf16_bits(x[i]);
    std::memcpy(out + 2 * i, &b, 2);
  }
}

/// Ascending butterflies (distance 1, 2, ..), each (a + b, a - b), then times 128^-1/2.
void hadamard(float* x, int n) {
  for (int h = 1; h < n; h *= 2) {
    for (int i = 0; i < n; ++i) {
      if ((i & h) != 0) continue;
      const float a = x[i];
      const float b = x[i + h];
      x[i] = a + b;
      x[i + h] = a - b;
    }
  }
  for (int i = 0; i < n; ++i)
    x[i] = x[i] * kHadamardScale;
}

void encode_fp8_mla(const Compressor& c, float* row, std::uint8_t* values, std::uint8_t* scales) {
  const Geometry& g = c.geometry;
  const int nope = g.head_dim - g.rope_dim;
  for (int b = 0; b < nope / kFp8Block; ++b) {
    float* x = row + b * kFp8Block;
    for (int i = 0; i < kFp8Block; ++i)
      x[i] = to_bf16(x[i]);
    const std::int32_t e =
        fp8_exponent(largest_magnitude(x, kFp8Block), traits_of(c.recipe).floor_on_scale);
    for (int i = 0; i < kFp8Block; ++i) {
      values[b * kFp8Block + i] = e4m3_code(x[i] * pow2(-e));
    }
    scales[b] = ue8m0_byte(e);
  }
  scales[nope / kFp8Block] = 0;
  put_bf16(row + nope, g.rope_dim, values + nope);
}

void encode_index_fp8(const Compressor& c, const float* row, std::uint8_t* values,
                      std::uint8_t* scales) {
  const int n = c.geometry.head_dim;
  const float amax = largest_magnitude(row, n);
  const bool raw = traits_of(c.recipe).index_scale_raw;
  const float scale =
      raw ? quotient(larger(amax, kFp8Floor), kE4m3Max) : pow2(fp8_exponent(amax, false));
  const float inverse = quotient(1.0F, scale);
  for (int i = 0; i < n; ++i)
    values[i] = e4m3_code(row[i] * inverse);
  std::memcpy(scales, &scale, 4);
}

void encode_index_mxfp4(const Compressor& c, const float* row, std::uint8_t* values,
                        std::uint8_t* scales) {
  const bool ties_to_zero = traits_of(c.recipe).fp4_ties_to_zero;
  const float floor = ties_to_zero ? kFp8Floor : kFp4Floor;
  for (int b = 0; b < c.geometry.head_dim / kFp4Block; ++b) {
    const float* x = row + b * kFp4Block;
    const std::int32_t e = fp4_exponent(largest_magnitude(x, kFp4Block), floor);
    for (int i = 0; i < kFp4Block; i += 2) {
      const std::uint8_t low = e2m1_code(x[i] * pow2(-e), ties_to_zero);
      const std::uint8_t high = e2m1_code(x[i + 1] * pow2(-e), ties_to_zero);
      values[(b * kFp4Block + i) / 2] = static_cast<std::uint8_t>(low | (high << 4));
    }
    scales[b] = ue8m0_byte(e);
  }
}

}  // namespace

void encode(const Compressor& c, float* row, float fp8_scale, std::uint8_t* values,
            std::uint8_t* scales) {
  const int n = c.geometry.head_dim;
  const RecipeTraits r = traits_of(c.recipe);
  const auto round_row = [&] {
    for (int i = 0; i < n; ++i)
      row[i] = to_bf16(row[i]);
  };
  switch (c.row_format) {
    case RowFormat::fp8_mla:
      return encode_fp8_mla(c, row, values, scales);
    case RowFormat::bf16:
      return put_bf16(row, n, values);
    case RowFormat::fp8_tensor:
      for (int i = 0; i < n; ++i)
        values[i] = e4m3_code(quotient(to_bf16(row[i]), fp8_scale));
      return;
    case RowFormat::index_fp8:
    case RowFormat::index_mxfp4:
      if (r.hadamard) {
        if (r.norm_bf16) round_row();
        hadamard(row, n);
      }
      if (r.index_bf16) round_row();
      if (c.row_format == RowFormat::index_fp8) {
        encode_index_fp8(c, row, values, scales);
      } else {
        encode_index_mxfp4(c, row, values, scales);
      }
      return;
  }
}

}  // namespace pleat::reference
