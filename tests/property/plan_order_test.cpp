// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <vector>

#include "api/plan_layout.hpp"
#include "support/draw_step.hpp"
#include "support/machines.hpp"
#include "support/rig.hpp"

// A plan's entries and saves in another order give the same bytes: no row depends on which ones
// were made before it.
namespace pleat::test {
namespace {

struct Kind {
  const char* name;
  Geometry geometry;
  RowFormat format;
  StateWrite write;
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

/// Puts a rig's plan into another order.
void shuffle_plan(const Rig& rig, Random& random) {
  Bytes plan(static_cast<std::size_t>(plan_bytes(rig.call.plan.capacity)));
  rig.memory().read(plan.data(), rig.call.plan.data, plan.size());
  const PlanPointers p = plan_pointers(plan.data(), rig.call.plan.capacity);
  ASSERT_GT(p.header->closing, 50);
  const auto shuffle = [&](auto* items, std::int32_t count) {
    for (std::int32_t i = count - 1; i > 0; --i)
      std::swap(items[i], items[static_cast<std::int32_t>(random.below(i + 1))]);
  };
  shuffle(p.entries, p.header->closing);
  if (p.header->saves > 0) shuffle(p.saves, p.header->saves);
  rig.memory().write(rig.call.plan.data, plan.data(), plan.size());
}

class PlanOrder : public ::testing::TestWithParam<Kind> {};

TEST_P(PlanOrder, IsNotInTheBytes) {
  const Geometry& g = GetParam().geometry;
  LayerShape l;
  l.compressor = {g, Recipe::vllm, GetParam().format, 1e-6F};
  l.positions = 6 * g.ratio;
  const Layer layer(l);
  EngineShape shape;
  shape.plan = true;
  shape.padding = 0.2;
  shape.state_rows = special_state_rows(g);
  shape.cache_rows = special_cache_rows(g);
  const std::int64_t requests = 60;
  const RigSize size = rig_size(layer, shape, 2 * requests, requests);
  Random random(31);
  const auto closing = single_tokens(g, requests, true, l.positions, random);
  for (const Machine& machine : machines()) {
    SCOPED_TRACE(machine.name);
    Rig in_order(layer, shape, size, machine.exec);
    Rig shuffled(layer, shape, size, machine.exec);
    const Step step = draw_step(g, shape, size, closing, random);
    for (const Op op : {Op::compress, Op::norm_rope_store, Op::compress_store, Op::step}) {
      SCOPED_TRACE(name(op));
      for (Rig* rig : {&in_order, &shuffled}) {
        if (op == Op::step) rig->call.write = GetParam().write;
        rig->fill(5);
        rig->load(step);
        ASSERT_EQ(rig->run(Op::plan).message(), "");
      }
      ASSERT_NO_FATAL_FAILURE(shuffle_plan(shuffled, random));
      for (Rig* rig : {&in_order, &shuffled})
        ASSERT_EQ(rig->run(op).message(), "");
      EXPECT_TRUE(in_order.cache() == shuffled.cache());
      EXPECT_TRUE(in_order.state() == shuffled.state());
      EXPECT_TRUE(in_order.compressed() == shuffled.compressed());
    }
  }
}

const Kind kKinds[] = {{"hca", Hca::value, RowFormat::fp8_mla, {StatePolicy::all, 0}},
                       {"csa", Csa::value, RowFormat::fp8_mla, {StatePolicy::tail, 0}},
                       {"indexer", Indexer::value, RowFormat::index_mxfp4, {StatePolicy::tail, 2}},
                       {"any", {16, true, 256, 32, true}, RowFormat::bf16, {StatePolicy::tail, 0}}};

INSTANTIATE_TEST_SUITE_P(Kinds, PlanOrder, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pleat::test
