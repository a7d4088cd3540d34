// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <cstdint>
#include <ostream>

#include "cuda/params.cuh"
#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"

// A plan of more windows than the entries that a kernel loads before it knows how many there are.
// With so many, the first or the second entry of some blocks lies behind those: of HCA's blocks
// that take what others leave, of the indexer's fold, and of its store, where the GPU has more than
// 128 multiprocessors.
namespace pleat::test {
namespace {

constexpr std::int64_t kWindows = 8400;
static_assert(kWindows > 2 * cuda::kAskedEarly);

struct Kind {
  const char* name;
  Geometry geometry;
  RowFormat format;
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

class ManyWindows : public GpuTestWith<Kind> {};

TEST_P(ManyWindows, GiveTheCpusBytes) {
  const Geometry& g = GetParam().geometry;
  LayerShape l;
  l.compressor = {g, Recipe::vllm, GetParam().format, 1e-6F};
  l.state = DType::bf16;
  l.positions = 4 * g.ratio;
  const Layer layer(l);
  EngineShape shape;
  shape.plan = true;
  shape.state_rows = special_state_rows(g);
  shape.cache_rows = special_cache_rows(g);
  const RigSize size = rig_size(layer, shape, kWindows, kWindows);
  Rig gpu(layer, shape, size, gpu_exec());
  Rig cpu(layer, shape, size, cpu_exec());
  Random random(23);
  const Step step =
      draw_step(g, shape, size, single_tokens(g, kWindows, true, l.positions, random), random);
  for (Rig* rig : {&gpu, &cpu})
    rig->load(step);
  for (const Op op : {Op::compress_store, Op::norm_rope_store}) {
    SCOPED_TRACE(name(op));
    for (Rig* rig : {&gpu, &cpu}) {
      rig->fill(static_cast<std::uint64_t>(op));
      ASSERT_EQ(rig->run(Op::plan).message(), "");
      ASSERT_EQ(rig->run(op).message(), "");
    }
    ASSERT_EQ(difference(cpu, gpu), "");
  }
}

const Kind kKinds[] = {{"hca", Hca::value, RowFormat::fp8_mla},
                       {"indexer", Indexer::value, RowFormat::index_fp8}};

INSTANTIATE_TEST_SUITE_P(Kinds, ManyWindows, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
