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

/// Adds a group, rows [first, last) of one channel, to those of its span before it.
void add_group(Folded& span, const float* kv, const Score* score, int first, int last) {
  if (first == last) return;
  bool beyond = false;
  float max = -std::numeric_limits<float>::infinity();
  for (int w = first; w < last; ++w) {
    beyond = beyond || beyond_plain(magnitude(score[w].value));
    max = larger(score[w].value, max);
  }
  const GroupScale scale = beyond ? scale_of_group(max) : GroupScale{};
  const std::int32_t n = exponent_of(scale);
  if (span.n == kNoRows) span.n = n;
  Folded apart{0.0, 0.0, n};
  Folded& sums = span.n == n ? span : apart;
  for (int w = first; w < last; ++w) {
    const double z = beyond ? within_reach(score[w].exact, scale) : score[w].exact;
    add_row(sums, weight_of_score(z, scale.magic), kv[w]);
  }
  if (span.n != n) span = joined(span, apart);
}

}  // namespace

float pool_channel(std::span<const float> kv, std::span<const Score> score, std::int32_t absent,
                   bool odd) {
  const int window = static_cast<int>(kv.size());
  const int rows = std::min(window, kGroupRows);
  Folded span[1024 * 2 / kSpanRows];
  for (int first = 0; first < window; first += rows) {
    const int last = first + rows;
    add_group(span[first / kSpanRows], kv.data(), score.data(),
              std::clamp(static_cast<int>(absent), first, last), last);
  }
  return pooled_of(join_neighbours(span, std::max(1, window / kSpanRows)), odd);
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
  const float inverse = reciprocal(scale);
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
