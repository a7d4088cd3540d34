// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"

// Each op on the GPU writes the bytes that its tokens own and no other: not beside a buffer, not
// between rows or pages, not another page's rows, not an output of another op. What it may write
// is said here from the step alone; what it must write there are the CPU's bytes.
namespace pleat::test {
namespace {

struct Kind {
  const char* name;
  Geometry geometry;
  std::vector<RowFormat> formats;
  std::vector<RequestSpan> requests;  ///< history and none, windows closed once, often, not at all
  std::int64_t tokens;
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

const Kind kKinds[] = {
    {"hca",
     Hca::value,
     {RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor},
     {{120, 10}, {0, 129}, {255, 1}, {5, 1}},
     150},
    {"csa",
     Csa::value,
     {RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor},
     {{2, 3}, {0, 9}, {7, 1}, {4, 1}},
     20},
    {"indexer",
     Indexer::value,
     {RowFormat::index_fp8, RowFormat::index_mxfp4},
     {{2, 3}, {0, 9}, {7, 1}, {4, 1}},
     20},
    // of any other geometry: several launches, and several spans in a window
    {"singles", {1, true, 128, 32, true}, {RowFormat::index_fp8}, {{0, 5}, {9, 1}, {3, 2}}, 12},
    {"spans",
     {32, true, 256, 32, false},
     {RowFormat::bf16, RowFormat::fp8_tensor},
     {{60, 10}, {0, 65}, {127, 1}, {5, 1}},
     90},
    {"wide", {8, false, 1024, 64, true}, {RowFormat::fp8_mla}, {{2, 7}, {0, 9}, {15, 1}}, 20},
};

/// Paged as engines do, with gaps after pages; and a ring with gaps and odd sizes everywhere.
EngineShape shape_of(const Geometry& g, bool ring) {
  EngineShape s;
  s.padding = 0.3;
  s.skipped = 0.2;
  s.cache_gap = 48;
  s.state_gap = 24;
  s.plan = true;  // it has its memory; each op is called with it and without
  if (!ring) {
    s.state_rows = special_state_rows(g);
    s.cache_rows = special_cache_rows(g);
    return s;
  }
  s.layout = StateLayout::ring;
  s.write = {StatePolicy::tail, 1};
  s.state_rows = 2 * g.window() + 3;
  s.cache_rows = 3;
  s.row_gap = 8;
  return s;
}

/// The bytes of one output that may change.
class Allowed {
 public:
  explicit Allowed(std::size_t size) : may_(size, 0) {}

  void add(std::int64_t first, std::int64_t bytes) {
    std::fill_n(may_.begin() + first, bytes, std::uint8_t{1});
  }
  /// The first byte that changed and may not, or -1.
  [[nodiscard]] std::int64_t stray(const Bytes& before, const Bytes& after) const {
    for (std::size_t i = 0; i < may_.size(); ++i) {
      if (before[i] != after[i] && may_[i] == 0) return static_cast<std::int64_t>(i);
    }
    return -1;
  }

 private:
  Bytes may_;
};

bool closes(const Geometry& g, const StepToken& t) {
  return t.live && (t.name.position + 1) % g.ratio == 0;
}

Allowed allowed_state(const Rig& rig, const Step& step, Op op) {
  const std::int64_t rows = rig.shape().state_rows;
  const std::int64_t element = size_of(rig.layer().shape().state);
  const std::int64_t row = rig.layer().geometry().row_width() * element;
  const std::int64_t page = state_stride(rig.layer(), rig.shape()) * element;
  Allowed out(rig.state().size());
  if (op != Op::save_state && op != Op::step) return out;
  for (const StepToken& t : step.tokens) {
    if (t.live) out.add(t.state_slot / rows * page + t.state_slot % rows * row, row);
  }
  return out;
}

Allowed allowed_cache(const Rig& rig, const Step& step, Op op) {
  const Geometry& g = rig.layer().geometry();
  const RowLayout layout = row_layout(rig.layer().shape().compressor.row_format, g);
  const std::int64_t rows = rig.shape().cache_rows;
  Allowed out(rig.cache().size());
  if (op != Op::norm_rope_store && op != Op::compress_store && op != Op::step) return out;
  for (const StepToken& t : step.tokens) {
    if (!closes(g, t) || t.kv_slot < 0) continue;
    const std::int64_t page = t.kv_slot / rows * cache_stride(rig.layer(), rig.shape());
    out.add(page + layout.value_offset(t.kv_slot % rows), layout.value_bytes);
    out.add(page + layout.scale_offset(rows, t.kv_slot % rows), layout.scale_bytes);
  }
  return out;
}

Allowed allowed_compressed(const Rig& rig, const Step& step, Op op) {
  const Geometry& g = rig.layer().geometry();
  Allowed out(rig.compressed().size());
  if (op != Op::compress) return out;
  for (std::size_t t = 0; t < step.tokens.size(); ++t) {
    if (!closes(g, step.tokens[t])) continue;
    out.add(static_cast<std::int64_t>(t) * rig.call.compressed.stride[0] * 4, g.head_dim * 4);
  }
  return out;
}

class Canaries : public GpuTestWith<Kind> {
 protected:
  /// Runs the op on both, from the same garbage.
  static void expect_only_its_own(Rig& cpu, Rig& gpu, const Step& step, Op op, bool planned) {
    for (Rig* r : {&cpu, &gpu}) {
      r->fill(static_cast<std::uint64_t>(op) + 1);
      r->load(step);
      ASSERT_EQ(r->run(Op::plan).message(), "");
    }
    ASSERT_EQ(difference(cpu, gpu), "");
    const Bytes state = gpu.state();
    const Bytes cache = gpu.cache();
    const Bytes compressed = gpu.compressed();
    const Bytes made = gpu.plan();
    if (op != Op::plan) {
      ASSERT_EQ(gpu.run(op, planned).message(), "");
      ASSERT_EQ(cpu.run(op).message(), "");
    }
    EXPECT_EQ(allowed_state(gpu, step, op).stray(state, gpu.state()), -1) << "byte of the state";
    EXPECT_EQ(allowed_cache(gpu, step, op).stray(cache, gpu.cache()), -1) << "byte of the cache";
    EXPECT_EQ(allowed_compressed(gpu, step, op).stray(compressed, gpu.compressed()), -1)
        << "byte of compressed";
    EXPECT_EQ(gpu.plan(), made) << "the plan was written to";
    EXPECT_EQ(difference(cpu, gpu), "");
  }
};

TEST_P(Canaries, NoByteBeyondItsOwn) {
  const Kind& kind = GetParam();
  std::uint64_t n = 0;
  for (const RowFormat format : kind.formats) {
    for (const Recipe recipe :
         {Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang}) {
      for (const bool ring : {false, true}) {
        // Every pair of dtypes comes with every layout.
        const std::uint64_t pair = ++n / 2;
        LayerShape s;
        s.compressor = {kind.geometry, recipe, format, 1e-6F};
        s.state = pair % 2 != 0 ? DType::bf16 : DType::f32;
        s.projection = pair / 2 % 2 != 0 ? DType::bf16 : DType::f32;
        s.norm = pair / 3 % 2 != 0 ? DType::bf16 : DType::f32;
        s.positions = 260;
        const Layer layer(s);
        const EngineShape shape = shape_of(kind.geometry, ring);
        const RigSize size = rig_size(layer, shape, kind.tokens, 4);
        Rig gpu(layer, shape, size, gpu_exec());
        Rig cpu(layer, shape, size, cpu_exec());
        Random random(n);
        const Step step = draw_step(kind.geometry, shape, size, kind.requests, random);
        for (const Op op : {Op::plan, Op::save_state, Op::compress, Op::norm_rope_store,
                            Op::compress_store, Op::step}) {
          const bool planned = (n + static_cast<std::uint64_t>(op)) % 3 != 0;
          SCOPED_TRACE(std::string(name(op)) + (planned ? ", planned\n" : "\n") +
                       to_string(layer.shape()) + "\n" + to_string(shape));
          ASSERT_NO_FATAL_FAILURE(expect_only_its_own(cpu, gpu, step, op, planned));
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Windows past the RoPE table are let through where no row is wanted: nor may they be looked up
// there. It is memcheck that would see it.
TEST_P(Canaries, NoRopeRowOfAWindowWithoutARow) {
  const Kind& kind = GetParam();
  LayerShape s;
  s.compressor = {kind.geometry, Recipe::vllm, kind.formats[0], 1e-6F};
  s.positions = 260;
  const Layer layer(s);
  const std::int64_t rows = kind.geometry.ratio;  // of the table: of windows, it has the first
  const auto values = static_cast<std::size_t>(rows * layer.rope_stride());
  const std::vector<float> table(layer.rope().begin(), layer.rope().begin() + values);
  for (const bool ring : {false, true}) {
    SCOPED_TRACE(ring ? "ring" : "paged");
    const EngineShape shape = shape_of(kind.geometry, ring);
    const RigSize size = rig_size(layer, shape, kind.tokens, 4);
    Rig gpu(layer, shape, size, gpu_exec());
    Rig cpu(layer, shape, size, cpu_exec());
    const Buffer gpu_table(gpu.memory(), table);
    const Buffer cpu_table(cpu.memory(), table);
    gpu.call.weights.rope.data = gpu_table.data();
    cpu.call.weights.rope.data = cpu_table.data();
    for (Rig* r : {&gpu, &cpu})
      r->call.weights.rope.shape[0] = rows;
    Random random(7);
    Step step = draw_step(kind.geometry, shape, size, kind.requests, random);
    int without = 0;
    for (StepToken& t : step.tokens) {
      if (!closes(kind.geometry, t) || t.name.position < rows) continue;
      t.kv_slot = -1;
      ++without;
    }
    ASSERT_GT(without, 0);
    for (const Op op : {Op::norm_rope_store, Op::compress_store, Op::step}) {
      for (const bool planned : {false, true}) {
        ASSERT_NO_FATAL_FAILURE(expect_only_its_own(cpu, gpu, step, op, planned));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Geometries, Canaries, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
