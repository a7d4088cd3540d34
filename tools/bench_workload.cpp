// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/bench_workload.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tools/error.hpp"
#include "tools/names.hpp"

namespace pleat::tools {
namespace {

/// What the calls of a workload read in all; several times any last-level cache.
constexpr std::int64_t kRotatedBytes = std::int64_t{320} << 20;
constexpr std::int64_t kPrefillRequests = 4;
constexpr std::int64_t kTailPages = 64;  ///< of a prefilling request: more than a tail needs

/// Cheap and the same everywhere; the fill needs variety, not quality.
class Lcg {
 public:
  std::uint64_t next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return state_ >> 33;
  }
  /// In [-2, 2).
  float number() { return static_cast<float>(next() & 0xFFFF) * 0x1p-14F - 2.0F; }

 private:
  std::uint64_t state_ = 20261122;
};

struct Sizes {
  Geometry geometry;
  std::int64_t page_rows = 0;    ///< of the state
  std::int64_t page_stride = 0;  ///< floats
  std::int64_t window_pages = 0;
  std::int64_t call_read = 0;  ///< bytes
  std::int64_t calls = 0;
};

bool reads_state(Op op) {
  return op == Op::compress || op == Op::compress_store;
}
bool reads_projection(Op op) {
  return op == Op::save_state || op == Op::step;
}

Sizes sizes_of(const WorkloadShape& shape) {
  Sizes s;
  for (const NamedGeometry& g : kGeometries) {
    if (shape.geometry == g.name) s.geometry = g.geometry;
  }
  // vLLM's layouts: spec section 1.
  s.page_rows = s.geometry.overlap ? 4 : 8;
  s.page_stride = s.geometry.head_dim == 128 ? 2160 : 9360;
  s.window_pages = s.geometry.window() / s.page_rows;
  const std::int64_t row = s.geometry.row_width() * std::int64_t{sizeof(float)};
  if (reads_state(shape.op)) {
    s.call_read = shape.windows * s.geometry.window() * 2 * s.geometry.head_dim * 4;
  } else if (reads_projection(shape.op)) {
    s.call_read = shape.windows * s.geometry.ratio * row;
  } else {
    s.call_read = shape.windows * s.geometry.head_dim * 4;
  }
  s.calls = (kRotatedBytes + s.call_read - 1) / s.call_read;
  return s;
}

template <typename T>
TensorView view(std::vector<T>& v, DType dtype) {
  return TensorView::packed(v.data(), dtype, static_cast<std::int64_t>(v.size()));
}

std::vector<std::int32_t> shuffled(std::int64_t n) {
  std::vector<std::int32_t> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), 0);
  Lcg random;
  for (std::size_t i = v.size(); i > 1; --i)
    std::swap(v[i - 1], v[random.next() % i]);
  return v;
}

}  // namespace

Arena::Arena(std::size_t bytes) : buffer_(bytes, PageSize::huge) {
  constexpr std::size_t kTile = std::size_t{1} << 20;
  Lcg random;
  const std::size_t tile = std::min(bytes, kTile) / sizeof(float) * sizeof(float);
  for (std::size_t i = 0; i < tile; i += sizeof(float)) {
    const float x = random.number();
    std::memcpy(data() + i, &x, sizeof x);
  }
  for (std::size_t at = tile; tile > 0 && at < bytes; at += tile)
    std::memcpy(data() + at, data(), std::min(tile, bytes - at));
}

std::size_t Workload::input_bytes(const WorkloadShape& shape) {
  const Sizes s = sizes_of(shape);
  const std::int64_t pages = reads_state(shape.op) ? shape.windows * s.window_pages : 0;
  const std::int64_t footprint = pages > 0 ? pages * s.page_stride * 4 : s.call_read;
  return static_cast<std::size_t>(s.calls * footprint);
}

std::size_t Workload::output_bytes(const WorkloadShape& shape) {
  const Sizes s = sizes_of(shape);
  std::int64_t pages = 0;
  if (shape.op == Op::save_state) {
    pages = s.calls * shape.windows * s.geometry.ratio / s.page_rows;
  } else if (shape.op == Op::step) {
    pages = kPrefillRequests * kTailPages;
  } else if (shape.op == Op::compress) {
    return static_cast<std::size_t>(shape.windows * s.geometry.head_dim * 4);
  }
  return static_cast<std::size_t>(pages * s.page_stride * 4);
}

Workload::Workload(const WorkloadShape& shape, Arena& input, Arena& output)
    : shape_(shape), input_(input.data()) {
  if (input.size() < input_bytes(shape) || output.size() < output_bytes(shape)) {
    throw fail("benchmark arenas: expected {} and {} bytes, got {} and {}", input_bytes(shape),
               output_bytes(shape), input.size(), output.size());
  }
  const Sizes s = sizes_of(shape);
  call_.compressor.geometry = s.geometry;
  call_.compressor.recipe = shape.recipe;
  call_.compressor.row_format = RowFormat::fp8_mla;
  if (s.geometry.head_dim == 128) {
    call_.compressor.row_format =
        shape.recipe == Recipe::deepseek ? RowFormat::index_mxfp4 : RowFormat::index_fp8;
  }
  bytes_read_ = s.call_read;
  tokens_ = reads_projection(shape.op) ? shape.windows * s.geometry.ratio : shape.windows;
  make_batch();
  make_weights();
  if (reads_state(shape.op)) {
    make_state_calls(input, output);
  } else if (reads_projection(shape.op)) {
    make_projection_calls(input, output);
  } else {
    make_pooled_calls(input);
  }
  make_plan();
}

/// Prefill: four requests from position 0. Otherwise one closing token for each of many requests.
void Workload::make_batch() {
  const Geometry& g = call_.compressor.geometry;
  const bool prefill = reads_projection(shape_.op);
  const std::int64_t each = prefill ? (tokens_ + kPrefillRequests - 1) / kPrefillRequests : 1;
  for (std::int64_t t = 0; t < tokens_; ++t) {
    positions_.push_back(prefill ? t % each : g.window() - 1);
    requests_.push_back(static_cast<std::int32_t>(t / each));
    state_slots_.push_back(t);
    kv_slots_.push_back((positions_.back() + 1) % g.ratio == 0 ? t / (prefill ? g.ratio : 1) : -1);
  }
  call_.batch.positions = view(positions_, DType::i64);
  call_.batch.token_to_req = view(requests_, DType::i32);
  call_.batch.state_slots = view(state_slots_, DType::i64);
  const bool stores = shape_.op != Op::save_state && shape_.op != Op::compress;
  if (!stores) return;
  call_.batch.kv_slots = view(kv_slots_, DType::i64);
  const RowLayout layout = row_layout(call_.compressor.row_format, g);
  const std::int64_t rows = g.overlap ? 64 : 2;
  const std::int64_t pages = shape_.windows / rows + 1;
  const std::int64_t stride = (layout.page_bytes(rows) + 575) / 576 * 576;
  cache_ = Buffer(static_cast<std::size_t>(pages * stride));
  call_.cache =
      TensorView::paged(cache_.data(), DType::u8, pages, rows, layout.row_bytes(), stride);
  bytes_written_ = shape_.windows * layout.row_bytes();
}

void Workload::make_weights() {
  const Geometry& g = call_.compressor.geometry;
  Lcg random;
  const bool late = traits_of(shape_.recipe).ape_when_pooled;
  const bool reads_ape = late ? shape_.op != Op::save_state && shape_.op != Op::norm_rope_store
                              : reads_projection(shape_.op);
  if (reads_ape) {
    ape_.resize(static_cast<std::size_t>(g.ratio * g.state_width()));
    for (float& x : ape_)
      x = random.number();
    call_.weights.ape = TensorView::packed(ape_.data(), DType::f32, g.ratio, g.state_width());
  }
  if (!call_.cache.given()) return;
  norm_.assign(static_cast<std::size_t>(g.head_dim), 1.0F);
  call_.weights.norm = view(norm_, DType::f32);
  const std::int64_t last = *std::max_element(positions_.begin(), positions_.end());
  rope_.resize(static_cast<std::size_t>((last + 1) * g.rope_dim));
  call_.weights.rope = TensorView::packed(rope_.data(), DType::f32, last + 1, g.rope_dim);
  const Status built = build_rope_table(shape_.recipe, call_.weights.rope);
  if (!built.ok()) throw fail("build_rope_table: {}", built.message());
}

void Workload::make_state_calls(Arena& input, Arena& output) {
  const Sizes s = sizes_of(shape_);
  const std::int64_t pages = shape_.windows * s.window_pages;
  tables_ = shuffled(s.calls * pages);
  if (shape_.op == Op::compress) {
    call_.compressed = TensorView::packed(output.data(), DType::f32, tokens_, s.geometry.head_dim);
    bytes_written_ = tokens_ * s.geometry.head_dim * 4;
  }
  call_.state.pages = TensorView::paged(input.data(), DType::f32, s.calls * pages, s.page_rows,
                                        s.geometry.row_width(), s.page_stride);
  for (std::int64_t i = 0; i < s.calls; ++i) {
    calls_.push_back(call_);
    calls_.back().state.block_table =
        TensorView::packed(tables_.data() + i * pages, DType::i32, shape_.windows, s.window_pages);
  }
}

void Workload::make_projection_calls(Arena& input, Arena& output) {
  const Sizes s = sizes_of(shape_);
  const std::int64_t width = s.geometry.row_width();
  const bool step = shape_.op == Op::step;
  std::int64_t call_pages = tokens_ / s.page_rows;
  if (step) {
    // Only the tail of each request is written, so the pages before it may share memory.
    const std::int64_t each = (tokens_ + kPrefillRequests - 1) / kPrefillRequests;
    const std::int64_t blocks = (each + s.page_rows - 1) / s.page_rows;
    for (std::int64_t r = 0; r < kPrefillRequests; ++r) {
      for (std::int64_t b = 0; b < blocks; ++b) {
        tables_.push_back(static_cast<std::int32_t>(r * kTailPages + b % kTailPages));
      }
    }
    for (std::int64_t t = 0; t < tokens_; ++t) {
      const std::int64_t p = positions_[static_cast<std::size_t>(t)];
      const std::int64_t page = t / each * kTailPages + p / s.page_rows % kTailPages;
      state_slots_[static_cast<std::size_t>(t)] = page * s.page_rows + p % s.page_rows;
    }
    call_.state.block_table =
        TensorView::packed(tables_.data(), DType::i32, kPrefillRequests, blocks);
    call_.write.policy = StatePolicy::tail;
    call_pages = 0;
  } else {
    bytes_written_ = tokens_ * width * 4;
  }
  const std::int64_t pages = step ? kPrefillRequests * kTailPages : call_pages;
  for (std::int64_t i = 0; i < s.calls; ++i) {
    Call c = call_;
    c.projection = TensorView::packed(input.data() + i * s.call_read, DType::f32, tokens_, width);
    c.state.pages = TensorView::paged(output.data() + i * call_pages * s.page_stride * 4,
                                      DType::f32, pages, s.page_rows, width, s.page_stride);
    calls_.push_back(c);
  }
}

void Workload::make_pooled_calls(Arena& input) {
  const Sizes s = sizes_of(shape_);
  for (std::int64_t i = 0; i < s.calls; ++i) {
    calls_.push_back(call_);
    calls_.back().compressed = TensorView::packed(input.data() + i * s.call_read, DType::f32,
                                                  tokens_, s.geometry.head_dim);
  }
}

void Workload::make_plan() {
  plan_ = Buffer(static_cast<std::size_t>(plan_bytes(tokens_)));
  Call c = calls_.front();
  c.plan = {plan_.data(), tokens_};
  const Status made = pleat::plan(c, {});
  if (!made.ok()) throw fail("plan: {}", made.message());
  for (Call& each : calls_)
    each.plan = c.plan;
}

}  // namespace pleat::tools
