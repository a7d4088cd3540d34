// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/api_call.hpp"

#include <cstdlib>
#include <limits>
#include <new>

namespace pleat::test {
namespace {

constexpr std::int64_t kPadding = 2;
constexpr std::int64_t kCachePages = 3;

std::uint16_t truncated_bf16(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>(bits >> 16);
}

}  // namespace

OwnedBytes::OwnedBytes(std::size_t size) : size_(size) {
  void* p = nullptr;
  if (posix_memalign(&p, 64, size) != 0) throw std::bad_alloc();
  data_.reset(static_cast<std::uint8_t*>(p));
  std::memset(p, 0, size);
}

void OwnedBytes::Free::operator()(std::uint8_t* p) const {
  std::free(p);
}

OwnedBytes& ApiCall::buffer(std::size_t bytes) {
  memory_.push_back(std::make_unique<OwnedBytes>(bytes));
  return *memory_.back();
}

/// Packed [n0, n1] of numbers from low to high.
TensorView ApiCall::fill(DType dtype, std::int64_t n0, std::int64_t n1, float low, float high) {
  const std::int64_t n = n0 * n1;
  OwnedBytes& b = buffer(static_cast<std::size_t>(n * size_of(dtype)));
  for (std::int64_t i = 0; i < n; ++i) {
    draw_ = draw_ * 1664525U + 1013904223U;
    const float x = low + (high - low) * static_cast<float>(draw_ >> 8) / 16777216.0F;
    if (dtype == DType::bf16) {
      b.as<std::uint16_t>()[i] = truncated_bf16(x);
    } else {
      b.as<float>()[i] = x;
    }
  }
  return TensorView::packed(b.as<>(), dtype, n0, n1);
}

void ApiCall::make_batch(std::int64_t state_rows) {
  const Geometry& g = call.compressor.geometry;
  const std::int64_t first = g.window() - 4;
  const std::int64_t tokens = 6 + g.ratio + kPadding;
  auto* positions = buffer(static_cast<std::size_t>(tokens) * 8).as<std::int64_t>();
  auto* requests = buffer(static_cast<std::size_t>(tokens) * 4).as<std::int32_t>();
  auto* slots = buffer(static_cast<std::size_t>(tokens) * 8).as<std::int64_t>();
  auto* kv = buffer(static_cast<std::size_t>(tokens) * 8).as<std::int64_t>();
  std::int64_t next_kv = 1;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int32_t r = t < 6 ? 0 : 1;
    const std::int64_t p = r == 0 ? first + t : t - 6;
    const bool ring = call.state.layout == StateLayout::ring;
    const std::int64_t column = ring ? 0 : p / state_rows;
    positions[t] = p;
    requests[t] = r;
    slots[t] =
        block_table()[r * call.state.block_table.shape[1] + column] * state_rows + p % state_rows;
    kv[t] = (p + 1) % g.ratio == 0 ? next_kv++ : -1;
    if (t < tokens - kPadding) continue;
    positions[t] = std::numeric_limits<std::int64_t>::min();
    requests[t] = -12345;
    slots[t] = -1 - t;
    kv[t] = std::numeric_limits<std::int64_t>::max();
  }
  call.batch.positions = TensorView::packed(positions, DType::i64, tokens);
  call.batch.token_to_req = TensorView::packed(requests, DType::i32, tokens);
  call.batch.state_slots = TensorView::packed(slots, DType::i64, tokens);
  call.batch.kv_slots = TensorView::packed(kv, DType::i64, tokens);
}

ApiCall::ApiCall(const ApiCallOptions& o) {
  const Geometry& g = o.geometry;
  const bool ring = o.layout == StateLayout::ring;
  call.compressor = {g, o.recipe, o.row_format, 1e-6F};
  call.state.layout = o.layout;

  const std::int64_t rows = ring ? g.window() + 4 : kApiRowsOfPage;
  const std::int64_t blocks = ring ? 1 : (g.window() + 2 + rows - 1) / rows;
  auto* table = buffer(static_cast<std::size_t>(2 * blocks) * 4).as<std::int32_t>();
  for (std::int64_t i = 0; i < 2 * blocks; ++i) {
    table[i] = static_cast<std::int32_t>(2 * blocks - 1 - i);
  }
  call.state.block_table = TensorView::packed(table, DType::i32, 2, blocks);

  const std::int64_t width = g.row_width();
  const std::int64_t stride = rows * width + 16;  // padding after the last row of a page
  const TensorView state = fill(DType::f32, 2 * blocks, stride, -1, 1);
  outputs_.push_back(memory_.back().get());
  call.state.pages = TensorView::paged(state.data, DType::f32, 2 * blocks, rows, width, stride);

  make_batch(rows);
  call.projection = fill(DType::f32, tokens(), width, -1, 1);
  call.compressed = fill(DType::f32, tokens(), g.head_dim, -1, 1);
  outputs_.push_back(memory_.back().get());
  for (std::int64_t t = tokens() - kPadding; t < tokens(); ++t) {
    std::memset(static_cast<float*>(call.projection.data) + t * width, 0xFF,
                static_cast<std::size_t>(width) * sizeof(float));
  }

  const RowLayout layout = row_layout(o.row_format, g);
  const std::int64_t page = layout.page_bytes(kApiKvRowsOfPage);
  const std::int64_t page_stride = (page + 31) / 16 * 16;
  OwnedBytes& cache = buffer(static_cast<std::size_t>(kCachePages * page_stride));
  std::memset(cache.as<>(), 0xA5, cache.size());
  outputs_.push_back(memory_.back().get());
  call.cache = TensorView::paged(cache.as<>(), DType::u8, kCachePages, kApiKvRowsOfPage,
                                 layout.row_bytes(), page_stride);

  call.weights.ape = fill(DType::f32, g.ratio, g.state_width(), -1, 1);
  call.weights.norm = fill(DType::bf16, 1, g.head_dim, 0.5, 1.5);
  call.weights.norm = TensorView::packed(call.weights.norm.data, DType::bf16, g.head_dim);
  call.weights.rope = fill(DType::f32, g.window() + 2, g.rope_dim, -1, 1);
  auto* scale = buffer(sizeof(float)).as<float>();
  *scale = 0.5F;
  call.weights.fp8_scale = TensorView::packed(scale, DType::f32, 1);

  OwnedBytes& plan = buffer(static_cast<std::size_t>(plan_bytes(tokens())));
  std::memset(plan.as<>(), 0x5A, plan.size());
  outputs_.push_back(memory_.back().get());
  call.plan = {nullptr, tokens()};
  plan_memory_ = plan.as<>();
}

std::vector<std::uint8_t> ApiCall::outputs() const {
  std::vector<std::uint8_t> all;
  for (const OwnedBytes* b : outputs_) {
    const auto bytes = b->copy();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

}  // namespace pleat::test
