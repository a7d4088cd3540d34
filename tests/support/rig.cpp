// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/rig.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "support/plan_bytes.hpp"

namespace pleat::test {
namespace {

constexpr std::int32_t kNoPage = -9;

/// Elements of a projection row, of a compressed row, with what lies between rows.
std::int64_t projection_stride(const Layer& layer, const EngineShape& shape) {
  return layer.geometry().row_width() + shape.row_gap;
}
std::int64_t compressed_stride(const Layer& layer, const EngineShape& shape) {
  return layer.geometry().head_dim + shape.row_gap;
}

std::size_t bytes(std::int64_t elements, std::int64_t of) {
  return static_cast<std::size_t>(elements * of);
}

Bytes garbage(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  Bytes out(size + 7);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random.bits();
    std::memcpy(out.data() + i, &word, 8);
  }
  out.resize(size);
  return out;
}

/// Numbers in (-2, 2) that both dtypes hold.
void put_numbers(std::uint8_t* to, std::int64_t n, DType dtype, Random& random) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = static_cast<float>(static_cast<std::int8_t>(random.bits())) / 64;
    const auto word = std::bit_cast<std::uint32_t>(x);
    if (dtype == DType::f32) {
      std::memcpy(to + 4 * i, &word, 4);
    } else {
      const auto half = static_cast<std::uint16_t>(word >> 16);
      std::memcpy(to + 2 * i, &half, 2);
    }
  }
}

std::string differ(const char* what, const Bytes& want, const Bytes& got, std::int64_t unit,
                   const char* unit_name) {
  const auto bad = std::mismatch(want.begin(), want.end(), got.begin(), got.end());
  if (bad.first == want.end() && bad.second == got.end()) return {};
  const std::int64_t at = bad.first - want.begin();
  if (bad.second == got.end()) return fmt::format("{} ends at byte {}", what, at);
  if (bad.first == want.end()) return fmt::format("{} goes on at byte {}", what, at);
  return fmt::format("{} differs from byte {} on ({} {}, byte {} of it): {:#04x}, not {:#04x}",
                     what, at, unit_name, at / unit, at % unit, *bad.second, *bad.first);
}

}  // namespace

RigSize rig_size(const Layer& layer, const EngineShape& shape, std::int64_t tokens,
                 std::int64_t requests) {
  const Geometry& g = layer.geometry();
  const bool ring = shape.layout == StateLayout::ring;
  RigSize s;
  s.tokens = tokens;
  s.table_rows = requests + 2;
  s.blocks = ring ? 1 : layer.shape().positions / shape.state_rows + 1;
  // History may be shared; a block that the step writes to is a request's own (draw_step).
  s.state_pages = requests + 3;
  if (!ring) {
    s.state_pages += requests + tokens / shape.state_rows + g.window() / shape.state_rows + 2;
  }
  s.cache_pages = std::min(tokens, tokens / g.ratio + requests) / shape.cache_rows + 2;
  s.capacity = tokens + 13;
  return s;
}

Rig::Rig(const Layer& layer, const EngineShape& shape, const RigSize& size, const Exec& e)
    : exec(e),
      layer_(&layer),
      shape_(shape),
      size_(size),
      memory_(&memory_of(e.backend)),
      random_(hash_of(shape.seed, 19, 19, 19)),
      buffers_(*memory_, layer, shape, size.state_pages, size.cache_pages, random_),
      positions_(*memory_, bytes(size.tokens, 8), 0xFF, misalignment(8, random_)),
      requests_(*memory_, bytes(size.tokens, 4), 0xFF, misalignment(4, random_)),
      state_slots_(*memory_, bytes(size.tokens, 8), 0xFF, misalignment(8, random_)),
      kv_slots_(*memory_, bytes(size.tokens, 8), 0xFF, misalignment(8, random_)),
      block_table_(*memory_, bytes(size.table_rows * (size.blocks + 1), 4), 0xFF,
                   misalignment(4, random_)),
      projection_(
          *memory_,
          bytes(size.tokens * projection_stride(layer, shape), size_of(layer.shape().projection)),
          0xFF, misalignment(16, random_)),
      compressed_(*memory_, bytes(size.tokens * compressed_stride(layer, shape), 4), 0xFF,
                  misalignment(16, random_)),
      plan_(*memory_, static_cast<std::size_t>(plan_bytes(size.capacity))) {
  const Geometry& g = layer.geometry();
  const std::int64_t t = size.tokens;
  call = buffers_.call(layer, shape);
  call.batch = {TensorView::packed(positions_.data(), DType::i64, t),
                TensorView::packed(requests_.data(), DType::i32, t),
                TensorView::packed(state_slots_.data(), DType::i64, t),
                TensorView::packed(kv_slots_.data(), DType::i64, t)};
  call.projection = {projection_.data(),
                     layer.shape().projection,
                     2,
                     {t, g.row_width()},
                     {projection_stride(layer, shape), 1}};
  call.compressed = {
      compressed_.data(), DType::f32, 2, {t, g.head_dim}, {compressed_stride(layer, shape), 1}};
  // Rows of the table are one element further apart than they are long.
  call.state.block_table = {
      block_table_.data(), DType::i32, 2, {size.table_rows, size.blocks}, {size.blocks + 1, 1}};
  if (shape.plan) call.plan = {plan_.data(), size.capacity};
}

Status Rig::run(Op op, bool planned) {
  const PlanView plan = call.plan;
  if (!planned) call.plan = {};
  const Status s = run(op);
  call.plan = plan;
  return s;
}

void Rig::load(const Step& step) {
  const auto tokens = static_cast<std::size_t>(size_.tokens);
  if (step.tokens.size() > tokens) throw std::logic_error("the step is larger than the rig");
  std::vector<std::int64_t> position;
  std::vector<std::int32_t> request;
  std::vector<std::int64_t> state_slot;
  std::vector<std::int64_t> kv_slot;
  const std::size_t row =
      bytes(projection_stride(*layer_, shape_), size_of(layer_->shape().projection));
  Bytes projection(row * tokens, 0xFF);
  for (std::size_t t = 0; t < tokens; ++t) {
    const StepToken token =
        t < step.tokens.size() ? step.tokens[t] : garbage_token(layer_->geometry(), random_);
    position.push_back(token.name.position);
    request.push_back(token.table_row);
    state_slot.push_back(token.state_slot);
    kv_slot.push_back(token.kv_slot);
    if (!token.live) continue;
    const Bytes values = layer_->projection_bytes(token.name);
    std::copy(values.begin(), values.end(),
              projection.begin() + static_cast<std::ptrdiff_t>(t * row));
  }
  std::vector<std::int32_t> table(block_table_.size() / 4, kNoPage);
  for (std::size_t r = 0; r < step.block_table.size(); ++r) {
    const auto& of_request = step.block_table[r];
    std::copy(of_request.begin(), of_request.end(),
              table.begin() + static_cast<std::int64_t>(r) * (size_.blocks + 1));
  }
  positions_.upload(position.data());
  requests_.upload(request.data());
  state_slots_.upload(state_slot.data());
  kv_slots_.upload(kv_slot.data());
  block_table_.upload(table.data());
  projection_.upload(projection.data());
}

void Rig::fill(std::uint64_t seed) {
  const Geometry& g = layer_->geometry();
  Random random(hash_of(seed, 23, 23, 23));
  const DType dtype = layer_->shape().state;
  Bytes state = garbage(buffers_.state.size(), random.bits());
  const std::int64_t page = state_stride(*layer_, shape_) * size_of(dtype);
  for (std::int64_t p = 0; p < size_.state_pages; ++p)
    put_numbers(state.data() + p * page, shape_.state_rows * g.row_width(), dtype, random);
  buffers_.state.upload(state.data());
  Bytes compressed = garbage(compressed_.size(), random.bits());
  for (std::int64_t t = 0; t < size_.tokens; ++t) {
    put_numbers(compressed.data() + t * compressed_stride(*layer_, shape_) * 4, g.head_dim,
                DType::f32, random);
  }
  compressed_.upload(compressed.data());
  buffers_.cache.upload(garbage(buffers_.cache.size(), random.bits()).data());
  plan_.upload(garbage(plan_.size(), random.bits()).data());
}

std::vector<Op> Rig::ops() const {
  std::vector<Op> all = ops_of(shape_.path);
  if (shape_.plan) all.insert(all.begin(), Op::plan);
  return all;
}

Status Rig::play() {
  for (const Op op : ops()) {
    if (Status s = run(op); !s.ok()) return s;
  }
  return {};
}

std::vector<const Buffer*> Rig::inputs() const {
  return {&positions_, &requests_, &state_slots_, &kv_slots_, &block_table_, &projection_};
}

std::vector<const Buffer*> Rig::outputs() const {
  return {&buffers_.state, &buffers_.cache, &compressed_, &plan_};
}

std::string Rig::damage() const {
  const char* names[] = {"positions",  "token_to_req", "state_slots", "kv_slots",   "block_table",
                         "projection", "state",        "cache",       "compressed", "plan"};
  std::size_t i = 0;
  for (const Buffer* b : inputs()) {
    if (!b->unchanged()) return fmt::format("{} was written to", names[i]);
    if (!b->guards_intact()) return fmt::format("bytes beside {} were written", names[i]);
    ++i;
  }
  for (const Buffer* b : outputs()) {
    if (!b->guards_intact()) return fmt::format("bytes beside {} were written", names[i]);
    ++i;
  }
  return buffers_.damage();
}

std::string difference(const Rig& want, const Rig& got) {
  if (std::string bad = got.damage(); !bad.empty()) return bad;
  const Layer& layer = want.layer();
  const EngineShape& shape = want.shape();
  if (shape.plan) {
    const std::int64_t capacity = want.size().capacity;
    if (std::string bad = differ("plan", meaning_of_plan(want.plan(), capacity),
                                 meaning_of_plan(got.plan(), capacity), 16, "entry");
        !bad.empty()) {
      return bad;
    }
  }
  const std::int64_t state_page = state_stride(layer, shape) * size_of(layer.shape().state);
  if (std::string bad = differ("state", want.state(), got.state(), state_page, "page");
      !bad.empty()) {
    return bad;
  }
  if (std::string bad = differ("compressed", want.compressed(), got.compressed(),
                               compressed_stride(layer, shape) * 4, "token");
      !bad.empty()) {
    return bad;
  }
  return differ("cache", want.cache(), got.cache(), cache_stride(layer, shape), "page");
}

}  // namespace pleat::test
