// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "reference/fold64.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "numerics/codes.hpp"
#include "numerics/rounding.hpp"

namespace pleat::reference {

namespace {

/// double to bf16, rounded once: through the float32 that an inexact conversion makes odd.
std::uint16_t bf16_bits64(double x) {
  float f = static_cast<float>(x);
  if (std::isfinite(x) && static_cast<double>(f) != x) {
    std::uint32_t u = numerics::bits_of(f);
    if (std::fabs(static_cast<double>(f)) > std::fabs(x)) u -= 1;
    f = numerics::float_of(u | 1U);
  }
  return numerics::bf16_bits(f);
}

double to_bf16_64(double x) {
  return numerics::bf16_value(bf16_bits64(x));
}

/// Nearest of the levels given by `value` for codes 0..last, ties to the even code or to zero.
template <class Value>
std::uint8_t nearest_code(double x, int last, Value value, bool ties_to_zero) {
  const double a = std::min(std::fabs(x), static_cast<double>(value(last)));
  int k = 0;
  while (k < last) {
    const double middle = (static_cast<double>(value(k)) + static_cast<double>(value(k + 1))) / 2;
    if (a < middle || (a == middle && (ties_to_zero || k % 2 == 0))) break;
    ++k;
  }
  return static_cast<std::uint8_t>(k);
}

std::uint8_t e4m3_code64(double x) {
  const auto value = [](int k) { return numerics::e4m3_value(static_cast<std::uint8_t>(k)); };
  const int sign = std::signbit(x) ? 0x80 : 0;
  return static_cast<std::uint8_t>(sign | nearest_code(x, 0x7E, value, false));
}

std::uint8_t e2m1_code64(double x, bool ties_to_zero) {
  const auto value = [](int k) { return numerics::e2m1_value(static_cast<std::uint8_t>(k)); };
  const std::uint8_t m = nearest_code(x, 7, value, ties_to_zero);
  const bool negative = std::signbit(x) && (m != 0 || !ties_to_zero);
  return static_cast<std::uint8_t>(m | (negative ? 8 : 0));
}

float largest(const double* x, int n) {
  double m = 0;
  for (int i = 0; i < n; ++i)
    m = std::max(m, std::fabs(x[i]));
  return static_cast<float>(m);
}

void put_bf16(const double* x, int n, std::uint8_t* out) {
  for (int i = 0; i < n; ++i) {
    const std::uint16_t b = bf16_bits64(x[i]);
    std::memcpy(out + 2 * i, &b, 2);
  }
}

void hadamard64(std::vector<double>& x) {
  for (std::size_t h = 1; h < x.size(); h *= 2) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      if ((i & h) != 0) continue;
      const double a = x[i];
      const double b = x[i + h];
      x[i] = a + b;
      x[i + h] = a - b;
    }
  }
  for (double& v : x)
    v *= static_cast<double>(numerics::kHadamardScale);
}

}  // namespace

void pool64(const Geometry& g, const double* kv, const double* score, double* pooled) {
  for (int c = 0; c < g.head_dim; ++c) {
    double max = -std::numeric_limits<double>::infinity();
    for (int w = 0; w < g.window(); ++w)
      max = std::max(max, score[w * g.head_dim + c]);
    double weights = 0;
    double sum = 0;
    for (int w = 0; w < g.window(); ++w) {
      const double e = std::exp(score[w * g.head_dim + c] - max);
      weights += e;
      if (e > 0) sum += e * kv[w * g.head_dim + c];
    }
    pooled[c] = sum / weights;
  }
}

void norm_rope64(const Compressor& c, const double* weight, const float* rope_row, double* row) {
  const Geometry& g = c.geometry;
  const RecipeTraits r = traits_of(c.recipe);
  double squares = 0;
  for (int i = 0; i < g.head_dim; ++i) {
    if (r.pooled_bf16) row[i] = to_bf16_64(row[i]);
    squares += row[i] * row[i];
  }
  const double norm = std::sqrt(squares / g.head_dim + static_cast<double>(c.eps));
  for (int i = 0; i < g.head_dim; ++i) {
    row[i] = row[i] / norm * weight[i];
    if (r.norm_bf16) row[i] = to_bf16_64(row[i]);
  }
  double* rotated = row + g.head_dim - g.rope_dim;
  const int pairs = g.rope_dim / 2;
  for (int i = 0; i < pairs; ++i) {
    const double cos = r.rope_table_in_pairs ? rope_row[2 * i] : rope_row[i];
    const double sin = r.rope_table_in_pairs ? rope_row[2 * i + 1] : rope_row[pairs + i];
    const double even = rotated[2 * i];
    const double odd = rotated[2 * i + 1];
    rotated[2 * i] = even * cos - odd * sin;
    rotated[2 * i + 1] = even * sin + odd * cos;
  }
}

void encode64(const Compressor& c, const double* row, float fp8_scale, std::uint8_t* values,
              std::uint8_t* scales) {
  const Geometry& g = c.geometry;
  const RecipeTraits r = traits_of(c.recipe);
  const int n = g.head_dim;
  const int nope = n - g.rope_dim;
  std::vector<double> x(row, row + n);
  const auto round_first = [&](int count) {
    for (int i = 0; i < count; ++i)
      x[i] = to_bf16_64(x[i]);
  };
  switch (c.row_format) {
    case RowFormat::bf16:
      return put_bf16(row, n, values);
    case RowFormat::fp8_tensor:
      round_first(n);
      for (int i = 0; i < n; ++i)
        values[i] = e4m3_code64(x[i] / static_cast<double>(fp8_scale));
      return;
    case RowFormat::fp8_mla:
      round_first(nope);
      for (int b = 0; b < nope / kFp8Block; ++b) {
        const double* block = x.data() + b * kFp8Block;
        const int e = numerics::fp8_exponent(largest(block, kFp8Block), r.floor_on_scale);
        for (int i = 0; i < kFp8Block; ++i) {
          values[b * kFp8Block + i] = e4m3_code64(std::ldexp(block[i], -e));
        }
        scales[b] = numerics::ue8m0_byte(e);
      }
      scales[nope / kFp8Block] = 0;
      return put_bf16(row + nope, g.rope_dim, values + nope);
    case RowFormat::index_fp8:
    case RowFormat::index_mxfp4:
      break;
  }
  if (r.hadamard) {
    if (r.norm_bf16) round_first(n);
    hadamard64(x);
  }
  if (r.index_bf16) round_first(n);
  if (c.row_format == RowFormat::index_fp8) {
    const float amax = std::max(largest(x.data(), n), numerics::kFp8Floor);
    float scale = amax / numerics::kE4m3Max;
    if (!r.index_scale_raw) scale = numerics::pow2(numerics::pow2_exponent(scale));
    const float inverse = 1.0F / scale;
    for (int i = 0; i < n; ++i) {
      const double code = r.index_scale_raw
                              ? static_cast<double>(static_cast<float>(x[i]) * inverse)
                              : x[i] / static_cast<double>(scale);
      values[i] = e4m3_code64(code);
    }
    std::memcpy(scales, &scale, 4);
    return;
  }
  const float floor = r.fp4_ties_to_zero ? numerics::kFp8Floor : numerics::kFp4Floor;
  for (int b = 0; b < n / kFp4Block; ++b) {
    const double* block = x.data() + b * kFp4Block;
    const int e = numerics::fp4_exponent(largest(block, kFp4Block), floor);
    for (int i = 0; i < kFp4Block; i += 2) {
      const int low = e2m1_code64(std::ldexp(block[i], -e), r.fp4_ties_to_zero);
      const int high = e2m1_code64(std::ldexp(block[i + 1], -e), r.fp4_ties_to_zero);
      values[(b * kFp4Block + i) / 2] = static_cast<std::uint8_t>(low | (high << 4));
    }
    scales[b] = numerics::ue8m0_byte(e);
  }
}

}  // namespace pleat::reference
