// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/layer.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "reference/backend.hpp"
#include "support/levels.hpp"
#include "support/random.hpp"

namespace pleat::test {
namespace {

float rounded_to(DType dtype, float x) {
  return dtype == DType::bf16
             ? static_cast<float>(bf16_as_double(nearest_bf16(static_cast<double>(x))))
             : x;
}

const char* dtype_name(DType t) {
  return t == DType::bf16 ? "bf16" : "f32";
}

}  // namespace

Bytes bytes_of(const std::vector<float>& values, DType dtype) {
  Bytes out(values.size() * static_cast<std::size_t>(size_of(dtype)));
  if (dtype == DType::f32) {
    std::memcpy(out.data(), values.data(), out.size());
    return out;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t b = nearest_bf16(static_cast<double>(values[i]));
    std::memcpy(out.data() + 2 * i, &b, 2);
  }
  return out;
}

std::string to_string(const LayerShape& s) {
  const Geometry& g = s.compressor.geometry;
  return fmt::format(
      "layer: R {} overlap {} D {} rope {} ape {}, recipe {}, row format {}, projection {}, state "
      "{}, norm {}, gate {}, seed {}",
      g.ratio, g.overlap, g.head_dim, g.rope_dim, g.ape, static_cast<int>(s.compressor.recipe),
      static_cast<int>(s.compressor.row_format), dtype_name(s.projection), dtype_name(s.state),
      dtype_name(s.norm), s.gate, s.seed);
}

Layer::Layer(const LayerShape& shape) : shape_(shape) {
  const Geometry& g = geometry();
  Random random(hash_of(shape.seed, 1, 2, 3));
  if (g.ape) {
    for (std::int32_t i = 0; i < g.ratio * g.state_width(); ++i)
      ape_.push_back(random.normal());
  }
  for (std::int64_t p = 0; p < shape.positions; ++p) {
    std::vector<float> cos;
    std::vector<float> sin;
    for (std::int32_t i = 0; i < g.rope_dim / 2; ++i) {
      const double angle = static_cast<double>(p) * std::pow(1e4, -2.0 * i / g.rope_dim);
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
    const bool pairs = traits_of(shape.compressor.recipe).rope_table_in_pairs;
    for (std::int32_t i = 0; i < g.rope_dim; ++i) {
      const bool second = pairs ? i % 2 != 0 : i >= g.rope_dim / 2;
      rope_.push_back((second ? sin : cos)[pairs ? i / 2 : i % (g.rope_dim / 2)]);
    }
    rope_.resize(static_cast<std::size_t>((p + 1) * rope_stride()),
                 std::numeric_limits<float>::quiet_NaN());
  }
  for (std::int32_t i = 0; i < g.head_dim; ++i)
    norm_values_.push_back(rounded_to(shape.norm, 1 + 0.2F * random.normal()));
  norm_ = bytes_of(norm_values_, shape.norm);
}

std::int64_t Layer::rope_stride() const {
  return (geometry().rope_dim + 3) / 4 * 4;
}

TensorView Layer::rope_view(void* table) const {
  return {table, DType::f32, 2, {shape_.positions, geometry().rope_dim}, {rope_stride(), 1}};
}

std::vector<float> Layer::projection_row(const TokenName& t) const {
  const Geometry& g = geometry();
  Random random(hash_of(shape_.seed, static_cast<std::uint64_t>(t.request),
                        static_cast<std::uint64_t>(t.position),
                        static_cast<std::uint64_t>(t.attempt)));
  // Sums of four uniform 16-bit numbers: near enough to normal, sigma 1, and made at once.
  std::vector<float> row(static_cast<std::size_t>(g.row_width()));
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::uint64_t b = random.bits();
    const auto sum = static_cast<std::int64_t>((b & 0xFFFF) + (b >> 16 & 0xFFFF) +
                                               (b >> 32 & 0xFFFF) + (b >> 48));
    const float x = static_cast<float>(sum - 131070) * (1.0F / 37837);
    const bool score = i >= row.size() / 2;
    row[i] = rounded_to(shape_.projection, score ? x * shape_.gate : x);
  }
  return row;
}

Bytes Layer::projection_bytes(const TokenName& t) const {
  return bytes_of(projection_row(t), shape_.projection);
}

Bytes Layer::state_bytes(const TokenName& t) const {
  const Geometry& g = geometry();
  std::vector<float> row = projection_row(t);
  const auto s = static_cast<std::size_t>(g.state_width());
  if (g.ape && shape_.compressor.recipe != Recipe::sglang) {
    const auto phase = static_cast<std::size_t>(t.position % g.ratio);
    for (std::size_t c = 0; c < s; ++c)
      row[s + c] = row[s + c] + ape_[phase * s + c];
  }
  return bytes_of(row, shape_.state);
}

const Bytes& Layer::cache_row(std::int64_t request, std::int64_t window) const {
  Bytes& row = rows_[{request, window}];
  if (row.empty()) row = make_cache_row(request, window);
  return row;
}

Bytes Layer::make_cache_row(std::int64_t request, std::int64_t window) const {
  const Geometry& g = geometry();
  const std::int64_t p = (window + 1) * g.ratio - 1;
  // State pages of one row, one for each position of the window; the token closes it alone.
  std::vector<std::int32_t> table(static_cast<std::size_t>(p + 1), -1);
  Bytes state;
  std::int32_t pages = 0;
  for (std::int64_t q = std::max<std::int64_t>(0, p - g.window() + 1); q <= p; ++q) {
    table[static_cast<std::size_t>(q)] = pages++;
    const Bytes row = state_bytes({request, q, 0});
    state.insert(state.end(), row.begin(), row.end());
  }
  const RowLayout layout = row_layout(shape_.compressor.row_format, g);
  Bytes out(static_cast<std::size_t>(layout.row_bytes()), 0xA5);
  std::int64_t zero = 0;
  std::int32_t first = 0;
  std::int64_t position = p;
  float scale = fp8_scale();
  auto* ape = const_cast<float*>(ape_.data());  // views are not const; inputs are only read
  auto* rope = const_cast<float*>(rope_.data());
  Call call;
  call.compressor = shape_.compressor;
  call.batch = {TensorView::packed(&position, DType::i64, 1),
                TensorView::packed(&first, DType::i32, 1), TensorView::packed(&zero, DType::i64, 1),
                TensorView::packed(&zero, DType::i64, 1)};
  call.state.pages =
      TensorView::paged(state.data(), shape_.state, pages, 1, g.row_width(), g.row_width());
  call.state.block_table = TensorView::packed(table.data(), DType::i32, 1, p + 1);
  call.cache =
      TensorView::paged(out.data(), DType::u8, 1, 1, layout.row_bytes(), layout.row_bytes());
  if (g.ape) call.weights.ape = TensorView::packed(ape, DType::f32, g.ratio, g.state_width());
  call.weights.norm =
      TensorView::packed(const_cast<std::uint8_t*>(norm_.data()), shape_.norm, g.head_dim);
  call.weights.rope = rope_view(rope);
  call.weights.fp8_scale = TensorView::packed(&scale, DType::f32, 1);
  if (!reference::run(Op::compress_store, call, {}).ok()) std::abort();
  return out;
}

}  // namespace pleat::test
