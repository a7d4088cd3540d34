// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/engine.hpp"

#include <fmt/format.h>

#include <cstring>

#include "support/layer_buffers.hpp"
#include "support/plan_bytes.hpp"
#include "support/random.hpp"

namespace pleat::test {
namespace {

std::uint64_t digest(const void* data, std::size_t bytes, std::uint64_t h) {
  const auto* p = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i)
    h = (h ^ p[i]) * 0x100000001B3ULL;
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
        buffers_(memory_, layer, shape, schedule.state_pages, schedule.cache_pages, random_),
        call_(buffers_.call(layer, shape)) {}

  Outcome run(const Schedule& schedule) {
    for (const Step& step : schedule.steps) {
      run_step(step);
      if (!out_.status.ok() || !out_.fault.empty()) break;
    }
    if (const std::string bad = buffers_.damage(); !bad.empty()) fault(bad);
    out_.state = buffers_.state.download();
    out_.cache = buffers_.cache.download();
    return std::move(out_);
  }

 private:
  std::size_t misalign(std::int64_t unit) { return misalignment(unit, random_); }

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
    for (const Op op : ops_of(shape_.path))
      invoke(op);
    if (!out_.status.ok()) return;
    for (const Buffer* b : {&positions, &requests, &state_slots, &kv_slots, &rows, &blocks_of}) {
      if (!b->unchanged() || !b->guards_intact()) fault("an input was written to");
    }
    if (!compressed.guards_intact()) fault("bytes beside compressed were written");
    if (!plan.guards_intact()) fault("bytes beside the plan were written");
    if (plan.download() != planned) fault("the plan was written to by another op than plan");
    const Bytes pooled = compressed.download();
    check_compressed(step, pooled, stride);
    const Bytes meaning = shape_.plan ? meaning_of_plan(planned, capacity) : Bytes{};
    const std::uint64_t of_plan = digest(meaning.data(), meaning.size(), 1);
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
  LayerBuffers buffers_;
  Call call_;
  Outcome out_;
};

}  // namespace

Outcome run_schedule(const Layer& layer, const EngineShape& shape, const Schedule& schedule,
                     const Exec& exec) {
  return Runner(layer, shape, schedule, exec).run(schedule);
}

}  // namespace pleat::test
