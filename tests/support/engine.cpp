// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/engine.hpp"

#include <fmt/format.h>

#include <cstring>

#include "api/plan_layout.hpp"
#include "support/random.hpp"

namespace pleat::test {
namespace {

std::uint64_t digest(const void* data, std::size_t bytes, std::uint64_t h) {
  const auto* p = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i)
    h = (h ^ p[i]) * 0x100000001B3ULL;
  return h;
}

/// Only what means something: the header, and as many entries and saves as it says.
std::uint64_t digest_of_plan(Bytes bytes, std::int64_t capacity) {
  const PlanPointers p = plan_pointers(bytes.data(), capacity);
  std::uint64_t h = digest(p.header, offsetof(PlanHeader, reserved), 1);
  h = digest(p.entries, static_cast<std::size_t>(p.header->closing) * sizeof(PlanEntry), h);
  if (p.header->saves > 0) h = digest(p.saves, static_cast<std::size_t>(p.header->saves) * 4, h);
  return h;
}

class Runner {
 public:
  Runner(const Layer& layer, const EngineShape& shape, const Schedule& schedule, const Exec& exec)
      : layer_(layer),
        shape_(shape),
        g_(layer.geometry()),
        exec_(exec),
        memory_(memory_of(exec.backend)),
        random_(hash_of(shape.seed, 13, 13, 13)),
        ape_(memory_, layer.ape(), misalign(16)),
        norm_(memory_, layer.norm(), misalign(16)),
        rope_(memory_, layer.rope(), misalign(16)),
        scale_(memory_, std::vector<float>{layer.fp8_scale()}, misalign(4)),
        state_(memory_, state_bytes(schedule), 0xFF, misalign(16)),
        cache_(memory_, cache_bytes(schedule), 0xFF, misalign(16)) {
    const LayerShape& s = layer.shape();
    call_.compressor = s.compressor;
    call_.write = shape.write;
    call_.state.layout = shape.layout;
    call_.state.pages = TensorView::paged(state_.data(), s.state, schedule.state_pages,
                                          shape.state_rows, g_.row_width(), state_stride());
    const std::int64_t row_bytes = row_layout(s.compressor.row_format, g_).row_bytes();
    call_.cache = TensorView::paged(cache_.data(), DType::u8, schedule.cache_pages,
                                    shape.cache_rows, row_bytes, cache_stride());
    if (g_.ape) {
      call_.weights.ape = TensorView::packed(ape_.data(), DType::f32, g_.ratio, g_.state_width());
    }
    call_.weights.norm = TensorView::packed(norm_.data(), s.norm, g_.head_dim);
    call_.weights.rope = TensorView::packed(rope_.data(), DType::f32, s.positions, g_.rope_dim);
    call_.weights.fp8_scale = TensorView::packed(scale_.data(), DType::f32, 1);
  }

  Outcome run(const Schedule& schedule) {
    for (const Step& step : schedule.steps) {
      run_step(step);
      if (!out_.status.ok() || !out_.fault.empty()) break;
    }
    for (const auto* input : {&ape_, &norm_, &rope_, &scale_}) {
      if (!input->unchanged()) fault("weights were written to");
    }
    if (!state_.guards_intact()) fault("bytes beside the state were written");
    if (!cache_.guards_intact()) fault("bytes beside the cache were written");
    out_.state = state_.download();
    out_.cache = cache_.download();
    return std::move(out_);
  }

 private:
  std::size_t misalign(std::int64_t unit) {
    return static_cast<std::size_t>(unit * random_.below(64 / unit));
  }
  [[nodiscard]] std::int64_t state_stride() const {
    return shape_.state_rows * g_.row_width() + shape_.state_gap;
  }
  [[nodiscard]] std::int64_t cache_stride() const {
    const RowLayout layout = row_layout(layer_.shape().compressor.row_format, g_);
    // The attention formats want whole 16-byte vectors.
    return (layout.page_bytes(shape_.cache_rows) + 15) / 16 * 16 + shape_.cache_gap;
  }
  [[nodiscard]] std::size_t state_bytes(const Schedule& s) const {
    return static_cast<std::size_t>(s.state_pages * state_stride() * size_of(layer_.shape().state));
  }
  [[nodiscard]] std::size_t cache_bytes(const Schedule& s) const {
    return static_cast<std::size_t>(s.cache_pages * cache_stride());
  }

  void fault(const std::string& what) {
    if (out_.fault.empty()) out_.fault = fmt::format("step {}: {}", out_.digests.size(), what);
  }

  bool invoke(Op op) {
    if (!out_.status.ok()) return false;
    out_.status = pleat::run(op, call_, exec_);
    return out_.status.ok();
  }

  void run_step(const Step& step) {
    const auto n = static_cast<std::int64_t>(step.tokens.size());
    std::vector<std::int64_t> position;
    std::vector<std::int32_t> request;
    std::vector<std::int64_t> state_slot;
    std::vector<std::int64_t> kv_slot;
    const DType dtype = layer_.shape().projection;
    const auto row = static_cast<std::size_t>((g_.row_width() + shape_.row_gap) * size_of(dtype));
    Bytes projection(row * step.tokens.size(), 0xFF);
    for (std::size_t t = 0; t < step.tokens.size(); ++t) {
      const StepToken& token = step.tokens[t];
      position.push_back(token.name.position);
      request.push_back(token.table_row);
      state_slot.push_back(token.state_slot);
      kv_slot.push_back(token.kv_slot);
      if (!token.live) continue;
      const Bytes values = layer_.projection_bytes(token.name);
      std::memcpy(projection.data() + t * row, values.data(), values.size());
    }
    std::vector<std::int32_t> table;
    const auto blocks = static_cast<std::int64_t>(step.block_table[0].size());
    for (const auto& r : step.block_table) {
      table.insert(table.end(), r.begin(), r.end());
      table.push_back(-9);  // rows of the table are one element further apart than they are long
    }

    const Buffer positions(memory_, position, misalign(8));
    const Buffer requests(memory_, request, misalign(4));
    const Buffer state_slots(memory_, state_slot, misalign(8));
    const Buffer kv_slots(memory_, kv_slot, misalign(8));
    const Buffer rows(memory_, projection, misalign(16));
    const Buffer blocks_of(memory_, table, misalign(4));
    const std::int64_t stride = g_.head_dim + shape_.row_gap;
    const Buffer compressed(memory_, static_cast<std::size_t>(n * stride * 4), 0xFF, misalign(16));
    const std::int64_t capacity = n + random_.below(3) * 7;
    const Buffer plan(memory_, static_cast<std::size_t>(plan_bytes(capacity)));

    call_.batch = {TensorView::packed(positions.data(), DType::i64, n),
                   TensorView::packed(requests.data(), DType::i32, n),
                   TensorView::packed(state_slots.data(), DType::i64, n),
                   TensorView::packed(kv_slots.data(), DType::i64, n)};
    call_.projection = {
        rows.data(), dtype, 2, {n, g_.row_width()}, {g_.row_width() + shape_.row_gap, 1}};
    call_.compressed = {compressed.data(), DType::f32, 2, {n, g_.head_dim}, {stride, 1}};
    call_.state.block_table = {blocks_of.data(),
                               DType::i32,
                               2,
                               {static_cast<std::int64_t>(step.block_table.size()), blocks},
                               {blocks + 1, 1}};
    call_.plan = {plan.data(), capacity};
    if (!shape_.plan) {
      call_.plan = {};
    } else if (!invoke(Op::plan)) {
      return;
    }
    const Bytes planned = plan.download();
    switch (shape_.path) {
      case EngineShape::Path::step:
        invoke(Op::step);
        break;
      case EngineShape::Path::fused:
        invoke(Op::save_state) && invoke(Op::compress_store);
        break;
      case EngineShape::Path::split:
        invoke(Op::save_state) && invoke(Op::compress) && invoke(Op::norm_rope_store);
        break;
    }
    if (!out_.status.ok()) return;
    for (const Buffer* b : {&positions, &requests, &state_slots, &kv_slots, &rows, &blocks_of}) {
      if (!b->unchanged() || !b->guards_intact()) fault("an input was written to");
    }
    if (!compressed.guards_intact()) fault("bytes beside compressed were written");
    if (!plan.guards_intact()) fault("bytes beside the plan were written");
    if (plan.download() != planned) fault("the plan was written to by another op than plan");
    const Bytes pooled = compressed.download();
    check_compressed(step, pooled, stride);
    const std::uint64_t of_plan = shape_.plan ? digest_of_plan(planned, capacity) : 0;
    out_.digests.push_back(digest(pooled.data(), pooled.size(), of_plan));
  }

  /// Rows of tokens that close no window are not touched, nor is what lies between rows.
  void check_compressed(const Step& step, const Bytes& pooled, std::int64_t stride) {
    for (std::size_t t = 0; t < step.tokens.size(); ++t) {
      const StepToken& token = step.tokens[t];
      const bool closes = token.live && (token.name.position + 1) % g_.ratio == 0;
      const bool written = closes && shape_.path == EngineShape::Path::split;
      const auto first = static_cast<std::size_t>(static_cast<std::int64_t>(t) * stride * 4);
      const auto own = static_cast<std::size_t>(written ? g_.head_dim * 4 : 0);
      for (std::size_t i = first + own; i < first + static_cast<std::size_t>(stride) * 4; ++i) {
        if (pooled[i] != 0xFF) return fault(fmt::format("compressed row {} was written", t));
      }
    }
  }

  const Layer& layer_;
  const EngineShape& shape_;
  Geometry g_;
  Exec exec_;
  Memory& memory_;
  Random random_;
  Buffer ape_;
  Buffer norm_;
  Buffer rope_;
  Buffer scale_;
  Buffer state_;
  Buffer cache_;
  Call call_;
  Outcome out_;
};

}  // namespace

Outcome run_schedule(const Layer& layer, const EngineShape& shape, const Schedule& schedule,
                     const Exec& exec) {
  return Runner(layer, shape, schedule, exec).run(schedule);
}

}  // namespace pleat::test
