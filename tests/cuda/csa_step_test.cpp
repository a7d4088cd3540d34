// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "support/api_pair.hpp"
#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/moved_call.hpp"
#include "support/pair_rig.hpp"
#include "support/rig.hpp"

// csa_step on the GPU against step and step on the CPU, all bytes of both layers' buffers: those
// that it must write and, as all else holds garbage, those that it must not. Captured once and
// replayed with other tokens, and in every layout and pair of dtypes. chain_test.cpp has it behind
// kernels that write what it reads.
namespace pleat::test {
namespace {

constexpr std::int64_t kTokens = 140;
constexpr std::int64_t kPositions = 90;
constexpr std::int64_t kRequests = 40;

struct Way {
  const char* name;
  bool plan;
  bool special;  ///< the page sizes that engines have
  StateLayout layout = StateLayout::paged;
  StateWrite write = {};
  Chain chain = Chain::none;
};

const Way kWays[] = {
    {"plan", true, true},
    {"no_plan", false, true},
    {"plan_chained", true, true, StateLayout::paged, {}, Chain::late},
    {"early", false, true, StateLayout::paged, {}, Chain::early},
    {"plan_tail", true, true, StateLayout::paged, {StatePolicy::tail, 2}},
    {"tail", false, true, StateLayout::paged, {StatePolicy::tail, 2}},
    {"plan_generic", true, false},
    {"generic_tail", false, false, StateLayout::paged, {StatePolicy::tail, 1}},
    {"plan_ring", true, false, StateLayout::ring},
    {"ring_tail", false, false, StateLayout::ring, {StatePolicy::tail, 2}},
};

void PrintTo(const Way& w, std::ostream* out) {
  *out << w.name;
}

EngineShape shape_of(const Way& w) {
  EngineShape s;
  s.layout = w.layout;
  s.write = w.write;
  s.plan = w.plan;
  s.padding = 0.3;
  s.skipped = 0.2;
  s.cache_rows = w.special ? special_cache_rows(Csa::value) : 3;
  s.state_rows = w.special                       ? special_state_rows(Csa::value)
                 : w.layout == StateLayout::ring ? 13
                                                 : 7;
  s.state_gap = 24;
  s.cache_gap = 48;
  if (!w.special) s.row_gap = 8;
  return s;
}

struct Types {
  DType state = DType::f32;
  DType projection = DType::f32;
};

Layer layer_of(const Geometry& g, RowFormat format, Recipe recipe, const Types& types) {
  LayerShape shape;
  shape.compressor = {g, recipe, format, 1e-6F};
  shape.state = types.state;
  shape.projection = types.projection;
  shape.positions = kPositions;
  return Layer(shape);
}

/// The same buffers twice: the GPU's, for csa_step, and the CPU's, for two steps.
class Compared {
 public:
  Compared(const Way& way, const Types& main, const Types& indexer, Recipe recipe = Recipe::vllm,
           RowFormat index_rows = RowFormat::index_fp8)
      : main_(layer_of(Csa::value, RowFormat::fp8_mla, recipe, main)),
        indexer_(layer_of(Indexer::value, index_rows, recipe, indexer)),
        shape_(shape_of(way)),
        size_(rig_size(main_, shape_, kTokens, kRequests)),
        twin_(size_.state_pages, size_.cache_pages * shape_.cache_rows, shape_.state_rows, random_),
        gpu_(main_, indexer_, shape_, size_, gpu_exec(stream_)),
        cpu_(main_, indexer_, shape_, size_, cpu_exec()) {
    gpu_.main.exec.chain = way.chain;
    for (PairRig* r : {&gpu_, &cpu_})
      r->fill(1);
  }

  void load(const std::vector<RequestSpan>& requests) {
    const Step step = draw_step(Csa::value, shape_, size_, requests, random_);
    for (PairRig* r : {&gpu_, &cpu_})
      r->load(step, twin_);
  }
  void capture() {
    graph_.emplace(stream_, [this] { captured_ = gpu_.play(true); });
    ASSERT_EQ(captured_.message(), "");
  }
  /// Runs what is loaded, in the graph where there is one.
  void play() {
    ASSERT_EQ(cpu_.play(false).message(), "");
    if (graph_) {
      graph_->replay();
    } else {
      ASSERT_EQ(gpu_.play(true).message(), "");
      stream_.wait();
    }
    ASSERT_EQ(difference(cpu_.main, gpu_.main), "") << "main";
    ASSERT_EQ(difference(cpu_.indexer, gpu_.indexer), "") << "indexer";
  }
  [[nodiscard]] std::string describe() const {
    std::string text;
    EXPECT_EQ(describe_csa_step(gpu_.main.call, gpu_.indexer.call, gpu_.main.exec, &text).message(),
              "");
    return text;
  }
  Random& random() { return random_; }

 private:
  Stream stream_;
  Random random_{5};
  Layer main_;
  Layer indexer_;
  EngineShape shape_;
  RigSize size_;
  Twin twin_;
  PairRig gpu_;
  PairRig cpu_;
  Status captured_;
  std::optional<Graph> graph_;
};

class CsaStepGraphs : public GpuTestWith<Way> {};

TEST_P(CsaStepGraphs, ReplayWithOtherTokens) {
  Compared c(GetParam(), {}, {});
  EXPECT_THAT(c.describe(), testing::HasSubstr(GetParam().special ? "special" : "generic"));
  c.load({});
  ASSERT_NO_FATAL_FAILURE(c.play());  // as an engine warms up
  ASSERT_NO_FATAL_FAILURE(c.capture());
  const auto step = [&](const char* what, const std::vector<RequestSpan>& requests) {
    SCOPED_TRACE(what);
    c.load(requests);
    ASSERT_NO_FATAL_FAILURE(c.play());
  };
  const auto singles = [&](bool closing) {
    return single_tokens(Csa::value, kRequests, closing, kPositions, c.random());
  };
  ASSERT_NO_FATAL_FAILURE(step("every token closes", singles(true)));
  ASSERT_NO_FATAL_FAILURE(step("no token closes", singles(false)));
  ASSERT_NO_FATAL_FAILURE(step("all padding", {}));
  ASSERT_NO_FATAL_FAILURE(step("one request from the start", {{0, kPositions}}));
  for (int i = 0; i < 4; ++i) {
    ASSERT_NO_FATAL_FAILURE(
        step("random requests", draw_requests(7, kTokens, kPositions, c.random())));
  }
}

INSTANTIATE_TEST_SUITE_P(All, CsaStepGraphs, ::testing::ValuesIn(kWays),
                         [](const auto& info) { return info.param.name; });

class CsaStepBytes : public GpuTest {};

const std::vector<RequestSpan> kSome{{2, 3}, {0, 9}, {7, 1}, {4, 1}, {0, 50}, {33, 17}, {20, 1}};

// No byte beyond its own, for every pair of dtypes and recipe, in every layout.
TEST_F(CsaStepBytes, AreTheCpusForEveryDtype) {
  const Recipe recipes[] = {Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang};
  std::size_t n = 0;
  for (const Way& way : kWays) {
    for (const DType state : {DType::f32, DType::bf16}) {
      for (const DType projection : {DType::f32, DType::bf16}) {
        const Types types{state, projection};
        const Recipe recipe = recipes[n++ % 4];
        SCOPED_TRACE(std::string(way.name) + " " + name(recipe));
        Compared c(way, types, types, recipe,
                   n % 2 != 0 ? RowFormat::index_mxfp4 : RowFormat::index_fp8);
        c.load(kSome);
        ASSERT_NO_FATAL_FAILURE(c.play());
      }
    }
  }
}

// No kernel is compiled for two calls of unlike dtypes: two launches, which describe() tells.
TEST_F(CsaStepBytes, AreTheCpusWhereDtypesDiffer) {
  const Types plain;
  const std::pair<Types, const char*> others[] = {
      {{DType::bf16, DType::f32}, "two launches: the states' dtypes differ"},
      {{DType::f32, DType::bf16}, "two launches: the projections' dtypes differ"}};
  for (const auto& [other, words] : others) {
    for (const bool swapped : {false, true}) {
      Compared c(kWays[0], swapped ? other : plain, swapped ? plain : other);
      EXPECT_THAT(c.describe(), testing::HasSubstr(words));
      c.load(kSome);
      ASSERT_NO_FATAL_FAILURE(c.play());
    }
  }
}

// Checked mode finds on the device what it finds on the host, and nothing has changed there.
TEST_F(CsaStepBytes, CheckedModeNamesTheCall) {
  const auto spoil = [](const TensorView& v, std::int64_t i, std::int64_t to) {
    static_cast<std::int64_t*>(v.data)[i] = to;
  };
  for (int fault = 0; fault < 4; ++fault) {
    ApiPair pair;
    if (fault == 0) spoil(pair.main().batch.positions, 2, -3);
    if (fault == 1) spoil(pair.indexer().batch.state_slots, 5, 24);
    if (fault == 2) spoil(pair.indexer().batch.state_slots, 4, -1);
    const MovedCall main(pair.main(), memory_of(Backend::cuda));
    MovedCall indexer(pair.indexer(), memory_of(Backend::cuda));
    indexer.call.batch.positions = main.call.batch.positions;
    indexer.call.batch.token_to_req = main.call.batch.token_to_req;
    Exec exec = gpu_exec();
    exec.checked = true;
    const Status on_gpu = csa_step(main.call, indexer.call, exec);
    EXPECT_EQ(on_gpu.ok(), fault == 3);
    if (fault < 3) {
      EXPECT_TRUE(main.untouched());
      EXPECT_TRUE(indexer.untouched());
    }
    exec.backend = Backend::reference;
    EXPECT_EQ(on_gpu.message(), csa_step(pair.main(), pair.indexer(), exec).message());
  }
}

}  // namespace
}  // namespace pleat::test
