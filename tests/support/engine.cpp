// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/engine.hpp"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <utility>

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

/// A step's arrays in the backend's memory.
struct StepArrays {
  StepArrays(Memory& memory, const Layer& layer, const EngineShape& shape, const Step& step,
             Random& random);

  Buffer positions;
  Buffer requests;
  Buffer state_slots;
  Buffer kv_slots;
  Buffer rows;
  Buffer table;
  Buffer compressed;
  std::int64_t capacity;
  Buffer plan;
};

template <class T, class Of>
std::vector<T> each(const Step& step, const Of& of) {
  std::vector<T> out;
  for (const StepToken& t : step.tokens)
    out.push_back(of(t));
  return out;
}

std::size_t row_bytes(const Layer& layer, const EngineShape& shape) {
  return static_cast<std::size_t>((layer.geometry().row_width() + shape.row_gap) *
                                  size_of(layer.shape().projection));
}

Bytes projections(const Layer& layer, const EngineShape& shape, const Step& step) {
  const std::size_t row = row_bytes(layer, shape);
  Bytes out(row * step.tokens.size(), 0xFF);
  for (std::size_t t = 0; t < step.tokens.size(); ++t) {
    if (!step.tokens[t].live) continue;
    const Bytes values = layer.projection_bytes(step.tokens[t].name);
    std::memcpy(out.data() + t * row, values.data(), values.size());
  }
  return out;
}

/// Rows of the table are one element further apart than they are long.
std::vector<std::int32_t> spaced_table(const Step& step) {
  std::vector<std::int32_t> table;
  for (const auto& r : step.block_table) {
    table.insert(table.end(), r.begin(), r.end());
    table.push_back(-9);
  }
  return table;
}

StepArrays::StepArrays(Memory& memory, const Layer& layer, const EngineShape& shape,
                       const Step& step, Random& random)
    : positions(memory, each<std::int64_t>(step, [](auto& t) { return t.name.position; }),
                misalignment(8, random)),
      requests(memory, each<std::int32_t>(step, [](auto& t) { return t.table_row; }),
               misalignment(4, random)),
      state_slots(memory, each<std::int64_t>(step, [](auto& t) { return t.state_slot; }),
                  misalignment(8, random)),
      kv_slots(memory, each<std::int64_t>(step, [](auto& t) { return t.kv_slot; }),
               misalignment(8, random)),
      rows(memory, projections(layer, shape, step), misalignment(16, random)),
      table(memory, spaced_table(step), misalignment(4, random)),
      compressed(memory,
                 step.tokens.size() *
                     static_cast<std::size_t>(layer.geometry().head_dim + shape.row_gap) * 4,
                 0xFF, misalignment(16, random)),
      capacity(static_cast<std::int64_t>(step.tokens.size()) + random.below(3) * 7),
      plan(memory, static_cast<std::size_t>(plan_bytes(capacity))) {}

/// A layer on its way through a schedule.
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

  [[nodiscard]] const Call& call() const { return call_; }
  [[nodiscard]] bool good() const { return out_.status.ok() && out_.fault.empty(); }

  /// The step's arrays, and its plan where the shape has one. `shares`: batch and plan are that
  /// runner's, who has begun the step.
  void begin(const Step& step, const Runner* shares = nullptr) {
    arrays_.emplace(memory_, layer_, shape_, step, random_);
    const StepArrays& a = *arrays_;
    const auto n = static_cast<std::int64_t>(step.tokens.size());
    const auto blocks = static_cast<std::int64_t>(step.block_table[0].size());
    const std::int64_t stride = g_.head_dim + shape_.row_gap;
    call_.batch = {TensorView::packed(a.positions.data(), DType::i64, n),
                   TensorView::packed(a.requests.data(), DType::i32, n),
                   TensorView::packed(a.state_slots.data(), DType::i64, n),
                   TensorView::packed(a.kv_slots.data(), DType::i64, n)};
    call_.projection = {a.rows.data(),
                        layer_.shape().projection,
                        2,
                        {n, g_.row_width()},
                        {g_.row_width() + shape_.row_gap, 1}};
    call_.compressed = {a.compressed.data(), DType::f32, 2, {n, g_.head_dim}, {stride, 1}};
    call_.state.block_table = {a.table.data(),
                               DType::i32,
                               2,
                               {static_cast<std::int64_t>(step.block_table.size()), blocks},
                               {blocks + 1, 1}};
    call_.plan = shape_.plan ? PlanView{a.plan.data(), a.capacity} : PlanView{};
    if (shares != nullptr) {
      call_.batch.positions = shares->call_.batch.positions;
      call_.batch.token_to_req = shares->call_.batch.token_to_req;
      call_.plan = shares->call_.plan;
    } else if (shape_.plan) {
      took(pleat::run(Op::plan, call_, exec_));
    }
    planned_ = a.plan.download();
  }

  void took(const Status& status) {
    if (out_.status.ok()) out_.status = status;
  }
  void invoke(Op op) {
    if (out_.status.ok()) took(pleat::run(op, call_, exec_));
  }

  void end(const Step& step) {
    if (!out_.status.ok()) return;
    const StepArrays& a = *arrays_;
    for (const Buffer* b :
         {&a.positions, &a.requests, &a.state_slots, &a.kv_slots, &a.rows, &a.table}) {
      if (!b->unchanged() || !b->guards_intact()) fault("an input was written to");
    }
    if (!a.compressed.guards_intact()) fault("bytes beside compressed were written");
    if (!a.plan.guards_intact()) fault("bytes beside the plan were written");
    if (a.plan.download() != planned_) fault("the plan was written to by another op than plan");
    const Bytes pooled = a.compressed.download();
    check_compressed(step, pooled, g_.head_dim + shape_.row_gap);
    const bool own = call_.plan.data == a.plan.data();
    const Bytes meaning = own ? meaning_of_plan(planned_, a.capacity) : Bytes{};
    const std::uint64_t of_plan = digest(meaning.data(), meaning.size(), 1);
    out_.digests.push_back(digest(pooled.data(), pooled.size(), of_plan));
  }

  Outcome finish() {
    if (const std::string bad = buffers_.damage(); !bad.empty()) fault(bad);
    out_.state = buffers_.state.download();
    out_.cache = buffers_.cache.download();
    return std::move(out_);
  }

 private:
  void fault(const std::string& what) {
    if (out_.fault.empty()) out_.fault = fmt::format("step {}: {}", out_.digests.size(), what);
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
  std::optional<StepArrays> arrays_;
  Bytes planned_;
  Outcome out_;
};

}  // namespace

Outcome run_schedule(const Layer& layer, const EngineShape& shape, const Schedule& schedule,
                     const Exec& exec) {
  Runner runner(layer, shape, schedule, exec);
  for (const Step& step : schedule.steps) {
    runner.begin(step);
    for (const Op op : ops_of(shape.path))
      runner.invoke(op);
    runner.end(step);
    if (!runner.good()) break;
  }
  return runner.finish();
}

std::array<Outcome, 2> run_twins(const Twins& twins, const Exec& exec, bool together) {
  Runner main(twins.main, twins.main_shape, twins.main_schedule, exec);
  Runner indexer(twins.indexer, twins.indexer_shape, twins.indexer_schedule, exec);
  for (std::size_t i = 0; i < twins.main_schedule.steps.size(); ++i) {
    main.begin(twins.main_schedule.steps[i]);
    indexer.begin(twins.indexer_schedule.steps[i], &main);
    if (together) {
      if (main.good()) main.took(csa_step(main.call(), indexer.call(), exec));
    } else {
      main.invoke(Op::step);
      indexer.invoke(Op::step);
    }
    main.end(twins.main_schedule.steps[i]);
    indexer.end(twins.indexer_schedule.steps[i]);
    if (!main.good() || !indexer.good()) break;
  }
  return {main.finish(), indexer.finish()};
}

}  // namespace pleat::test
