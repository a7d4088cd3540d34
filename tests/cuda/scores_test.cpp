// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <initializer_list>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/launch.cuh"
#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/random.hpp"
#include "support/rig.hpp"

// Scores beyond 64, which no model has, leave the kernels' usual path: groups and spans of rows
// then have scales of their own. On the GPU against the CPU, all bytes, for numbers of windows that
// reach every way of laying warps over windows (src/cuda/hca.cuh) and with all, some or few such
// scores.
namespace pleat::test {
namespace {

constexpr std::int64_t kGroup = 8;  ///< rows

struct Scores {
  const char* name;
  std::vector<float> levels;  ///< each row is around one of these
  double single;              ///< chance that one row of a group, in one channel, has one of those
  std::vector<float> singles;
};

const std::vector<float> kBeyond{65, -65, 100, -100, 300,   -300,   700,   -700,
                                 80, -90, 300, 999,  1.0e6, -1.0e6, 3e30F, -3.0e30F};
const std::vector<Scores> kScores{
    {"plain", {0}, 0.002, {64, -64}},  // the last plain ones
    {"few", {0}, 0.002, kBeyond},
    {"some", {0}, 0.1, kBeyond},
    {"high", {500}, 0, {}},
    {"low", {-500}, 0.002, {-3.0e30F}},
    {"by_row", {0, 0, 70, -70, 500, -500, 1.0e6F}, 0, {}},
};

struct Kind {
  std::string name;
  Geometry geometry;
  RowFormat format;
  Recipe recipe;
  DType dtype;              ///< of state and projection
  std::int64_t state_rows;  ///< of a page
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

std::vector<Kind> kinds() {
  std::vector<Kind> out;
  const auto add = [&](const std::string& name, const Geometry& g, RowFormat format,
                       std::int64_t state_rows) {
    for (const Recipe r : {Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang}) {
      const auto n = std::to_string(static_cast<int>(r));
      out.push_back({name + "_recipe" + n, g, format, r, DType::f32, state_rows});
    }
    out.push_back({name + "_bf16", g, format, Recipe::vllm, DType::bf16, state_rows});
    // pages of any size: kernels of their own
    out.push_back({name + "_generic", g, format, Recipe::sglang, DType::f32, state_rows + 3});
  };
  add("hca", Hca::value, RowFormat::fp8_mla, 8);
  add("csa", Csa::value, RowFormat::bf16, 4);
  add("indexer", Indexer::value, RowFormat::index_fp8, 4);
  // any other geometry: windows of fewer rows than a group, of several spans, absent ones first
  add("pairs", {2, false, 256, 32, true}, RowFormat::fp8_tensor, 4);
  add("spans", {32, true, 128, 64, true}, RowFormat::index_fp8, 16);
  return out;
}

Layer layer_of(const Kind& k) {
  LayerShape s;
  s.compressor = {k.geometry, k.recipe, k.format, 1e-6F};
  s.state = k.dtype;
  s.projection = k.dtype;
  s.positions = 6 * k.geometry.ratio;
  return Layer(s);
}

EngineShape shape_of(const Kind& k) {
  EngineShape s;
  s.plan = true;  // it has its memory; ops are called with it and without
  s.skipped = 0.05;
  s.state_rows = k.state_rows;
  s.cache_rows = special_cache_rows(k.geometry);
  return s;
}

/// Rows of [kv | score].
Bytes rows_of(std::int64_t rows, std::int64_t width, DType dtype, const Scores& s, Random& random) {
  std::vector<float> x(static_cast<std::size_t>(rows * width));
  const auto at = [&](std::int64_t row, std::int64_t i) { return x.begin() + row * width + i; };
  const std::int64_t half = width / 2;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float level = random.pick(s.levels);
    for (std::int64_t i = 0; i < width; ++i) {
      const auto u = static_cast<float>(static_cast<std::int32_t>(random.bits())) * 0x1p-31F;
      *at(r, i) = i < half ? 2 * u : level + 8 * u;
    }
  }
  for (std::int64_t r = 0; s.single > 0 && r < rows; r += kGroup) {
    for (std::int64_t c = 0; c < half; ++c) {
      if (!random.chance(s.single)) continue;
      *at(r + random.below(std::min(kGroup, rows - r)), half + c) = random.pick(s.singles);
    }
  }
  const auto size = static_cast<std::size_t>(size_of(dtype));
  Bytes out(x.size() * size);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto word = std::bit_cast<std::uint32_t>(x[i]) >> (32 - 8 * size);
    std::memcpy(out.data() + i * size, &word, size);  // bf16: cut off, which is as good here
  }
  return out;
}

/// Requests that close a window each: most with one token, some with half a window or all of it.
std::vector<RequestSpan> closing_requests(const Geometry& g, std::int64_t windows,
                                          std::int64_t positions, Random& random) {
  std::vector<RequestSpan> out;
  for (std::int64_t i = 0; i < windows; ++i) {
    const std::int64_t end = random.between(1, positions / g.ratio) * g.ratio;
    const std::int64_t tokens =
        random.chance(0.08) ? random.pick<std::int64_t>({2, g.ratio / 2 + 1, g.ratio}) : 1;
    out.push_back({end - tokens, tokens});
  }
  return out;
}

/// draw_step has few pages of history, many times each: takes any that the step does not write to.
void spread_history(Step* step, std::int64_t pages, std::int64_t state_rows, Random& random) {
  std::vector<bool> own(static_cast<std::size_t>(pages));
  for (const StepToken& t : step->tokens) {
    if (t.live) own[static_cast<std::size_t>(t.state_slot / state_rows)] = true;
  }
  std::vector<std::int32_t> others;
  for (std::int32_t page = 0; page < pages; ++page) {
    if (!own[static_cast<std::size_t>(page)]) others.push_back(page);
  }
  for (std::vector<std::int32_t>& of_request : step->block_table) {
    for (std::int32_t& page : of_request) {
      if (page >= 0 && !own[static_cast<std::size_t>(page)]) page = random.pick(others);
    }
  }
}

/// A batch that closes `windows` windows, on the GPU and on the CPU.
class Compared {
 public:
  /// At least `tokens` tokens: padding, where requests have fewer.
  Compared(const Kind& kind, const Layer& layer, std::int64_t windows, std::int64_t tokens)
      : random_(hash_of(static_cast<std::uint64_t>(windows), 41, 41, 41)),
        shape_(shape_of(kind)),
        requests_(closing_requests(kind.geometry, windows, layer.shape().positions, random_)),
        size_(size_of_rig(layer, tokens)),
        gpu_(layer, shape_, size_, gpu_exec()),
        cpu_(layer, shape_, size_, {Backend::cpu}),
        no_cache_(gpu_.cache().size(), 0xFF),
        no_rows_(gpu_.compressed().size(), 0xFF) {
    Step step = draw_step(kind.geometry, shape_, size_, requests_, random_);
    spread_history(&step, size_.state_pages, shape_.state_rows, random_);
    for (Rig* r : {&gpu_, &cpu_})
      r->load(step);
  }

  void fill(const Scores& scores) {
    const std::int64_t width = cpu_.layer().geometry().row_width();
    const DType dtype = cpu_.layer().shape().state;
    const Bytes state =
        rows_of(size_.state_pages * shape_.state_rows, width, dtype, scores, random_);
    const Bytes projection = rows_of(size_.tokens, width, dtype, scores, random_);
    for (Rig* r : {&gpu_, &cpu_}) {
      r->memory().write(r->call.state.pages.data, state.data(), state.size());
      r->memory().write(r->call.projection.data, projection.data(), projection.size());
    }
  }

  /// Every row of the state becomes NaN.
  void spoil_state() {
    for (Rig* r : {&gpu_, &cpu_}) {
      const Bytes ones(r->state().size(), 0xFF);
      r->memory().write(r->call.state.pages.data, ones.data(), ones.size());
    }
  }

  /// What runs, as describe() has it.
  [[nodiscard]] std::string code(Op op) const {
    std::string text;
    EXPECT_EQ(describe(op, call_for(op, gpu_.call), gpu_.exec, &text).message(), "");
    return text;
  }

  void play(Op op, bool plan) {
    SCOPED_TRACE(std::string("op ") + std::to_string(static_cast<int>(op)) +
                 (plan ? " with a plan" : " without a plan"));
    const bool pools = op == Op::compress;
    const Bytes& nothing = pools ? no_rows_ : no_cache_;
    for (Rig* r : {&cpu_, &gpu_}) {
      const TensorView& output = pools ? r->call.compressed : r->call.cache;
      r->memory().write(output.data, nothing.data(), nothing.size());
      ASSERT_EQ(r->run(Op::plan).message(), "");
      ASSERT_EQ(r->run(op, plan).message(), "");
    }
    const Bytes want = pools ? cpu_.compressed() : cpu_.cache();
    const Bytes got = pools ? gpu_.compressed() : gpu_.cache();
    ASSERT_TRUE(want != nothing);
    const auto at = std::mismatch(want.begin(), want.end(), got.begin()).first - want.begin();
    ASSERT_EQ(at, static_cast<std::ptrdiff_t>(want.size())) << "the first byte that differs";
    ASSERT_TRUE(cpu_.state() == gpu_.state());
  }

 private:
  [[nodiscard]] RigSize size_of_rig(const Layer& layer, std::int64_t tokens) const {
    std::int64_t own = 0;
    std::int64_t pages = 200;  // of history
    for (const RequestSpan& r : requests_) {
      own += r.tokens;
      pages += r.tokens / shape_.state_rows + 2;
    }
    RigSize s =
        rig_size(layer, shape_, std::max(own, tokens), static_cast<std::int64_t>(requests_.size()));
    s.cache_pages = static_cast<std::int64_t>(requests_.size()) / shape_.cache_rows + 2;
    s.state_pages = pages;
    return s;
  }

  Random random_;
  EngineShape shape_;
  std::vector<RequestSpan> requests_;
  RigSize size_;
  Rig gpu_;
  Rig cpu_;
  Bytes no_cache_;
  Bytes no_rows_;
};

/// Kind, with a plan.
class ScoreBytes : public GpuTestWith<std::tuple<Kind, bool>> {
 protected:
  static void compare(std::int64_t windows, std::initializer_list<Op> ops) {
    const auto& [kind, plan] = GetParam();
    const Layer layer = layer_of(kind);
    Compared c(kind, layer, windows, 0);
    for (const Scores& s : kScores) {
      SCOPED_TRACE(std::to_string(windows) + " windows, scores " + s.name);
      c.fill(s);
      for (const Op op : ops)
        ASSERT_NO_FATAL_FAILURE(c.play(op, plan));
    }
  }
};

// HCA on some 30 clusters of 8 blocks: windows past 30 come in a second turn, past 60 in a third.
// From 100 on compress_store with a plan has a block for a window, 264 at once. CSA and the indexer
// split their tiles among partners up to 132 and 528 windows.
// Each op is a test of its own, on few windows, as racecheck takes minutes for more.
constexpr std::int64_t kFew = 10;

TEST_P(ScoreBytes, OfCompressStoreAreTheCpus) {
  compare(kFew, {Op::compress_store});
}

TEST_P(ScoreBytes, OfCompressAreTheCpus) {
  compare(kFew, {Op::compress});
}

TEST_P(ScoreBytes, OfStepAreTheCpus) {
  compare(kFew, {Op::step});
}

TEST_P(ScoreBytes, AreTheCpusInSmallAndLargeCalls) {
  for (const std::int64_t windows : {1, 2, 20, 50, 90, 128, 200, 300})
    ASSERT_NO_FATAL_FAILURE(compare(windows, {Op::compress_store, Op::compress, Op::step}));
}

INSTANTIATE_TEST_SUITE_P(All, ScoreBytes,
                         ::testing::Combine(::testing::ValuesIn(kinds()), ::testing::Bool()),
                         [](const auto& info) {
                           return std::get<0>(info.param).name +
                                  (std::get<1>(info.param) ? "_plan" : "");
                         });

class ScoreBytesOfPairs : public GpuTest {};

// No bytes are promised for them (docs/numerics.md), but kv of a state in bf16 may have become
// infinite there, and a window's row must not depend on where it is made even so.
TEST_F(ScoreBytesOfPairs, AreTheCpusWhereNothingIsANumber) {
  for (const Kind& kind : kinds()) {
    // Not rounded to bf16, an indexer row has the sign of its NaN, which processors choose.
    if (kind.geometry.head_dim == 128 && kind.recipe == Recipe::sglang) continue;
    SCOPED_TRACE(kind.name);
    const Layer layer = layer_of(kind);
    Compared c(kind, layer, 3, 0);
    c.fill(kScores[0]);
    c.spoil_state();
    ASSERT_NO_FATAL_FAILURE(c.play(Op::compress_store, true));
  }
}

// From 34 windows' worth of tokens on, a step has two blocks for a window, up to 66 each alone on a
// multiprocessor.
TEST_F(ScoreBytesOfPairs, AreTheCpusOnALargeStep) {
  const Kind bf16{"", Hca::value, RowFormat::fp8_mla, Recipe::sglang, DType::bf16, 8};
  const Kind fp32{"", Hca::value, RowFormat::fp8_mla, Recipe::vllm, DType::f32, 8};
  struct Size {
    const Kind& kind;
    std::int64_t windows;
    std::int64_t of_tokens;  ///< windows' worth of them: most are padding
  };
  for (const Size& size :
       {Size{fp32, 40, 40}, Size{bf16, 60, 64}, Size{fp32, 150, 160}, Size{bf16, 150, 400}}) {
    const Layer layer = layer_of(size.kind);
    Compared c(size.kind, layer, size.windows, size.of_tokens * Hca::value.ratio);
    for (const Scores& s : kScores) {
      SCOPED_TRACE(std::to_string(size.windows) + " windows, scores " + s.name);
      c.fill(s);
      ASSERT_NO_FATAL_FAILURE(c.play(Op::step, true));
    }
  }
}

// From some 950 windows on, the last three tenths have blocks that start when others have ended.
TEST_F(ScoreBytesOfPairs, AreTheCpusWithBlocksThatStartLater) {
  const Kind kind{"", Hca::value, RowFormat::fp8_mla, Recipe::deepseek, DType::f32, 8};
  const Layer layer = layer_of(kind);
  for (const std::int64_t tokens : {0, 20000}) {  // some of the blocks find work, or none do
    Compared c(kind, layer, 960, tokens);
    c.fill(kScores[1]);
    ASSERT_NO_FATAL_FAILURE(c.play(Op::compress_store, true));
  }
}

// With a plan a team of CSA's warps, or a warp of the indexer's, keeps the entries of four windows
// in turn: so here each has five and more.
TEST_F(ScoreBytesOfPairs, AreTheCpusInLargeCallsOfManyWindowsATeam) {
  const Kind csa{"", Csa::value, RowFormat::fp8_mla, Recipe::vllm, DType::f32, 4};
  const Kind indexer{"", Indexer::value, RowFormat::index_fp8, Recipe::sglang, DType::bf16, 4};
  const Kind any_pages{"", Csa::value, RowFormat::bf16, Recipe::deepseek, DType::f32, 7};
  struct Size {
    const Kind& kind;
    std::int64_t windows;
  };
  for (const Size& size : {Size{csa, 2900}, Size{indexer, 6100}, Size{any_pages, 2900}}) {
    SCOPED_TRACE(std::to_string(size.windows) + " windows");
    const Layer layer = layer_of(size.kind);
    Compared c(size.kind, layer, size.windows, 0);
    c.fill(kScores[1]);
    for (const Op op : {Op::compress_store, Op::compress, Op::step})
      ASSERT_NO_FATAL_FAILURE(c.play(op, true));
  }
}

// Every way of laying warps over windows once, as small as can be: racecheck takes hundreds of
// times as long (scripts/gpu-machine).
class ScoreLayouts : public GpuTest {
 protected:
  /// \p code: part of what describe() says on a GPU of 132 multiprocessors by code for sm_90; all
  /// else chooses otherwise.
  static void compare(const Kind& kind, std::int64_t windows, std::int64_t tokens, Op op,
                      const char* code) {
    const Layer layer = layer_of(kind);
    Compared c(kind, layer, windows, tokens);
    if (multiprocessors() == 132 && architecture() >= 90) {
      ASSERT_THAT(c.code(op), testing::HasSubstr(code));
    }
    c.fill(kScores[1]);
    ASSERT_NO_FATAL_FAILURE(c.play(op, true));
  }
  static int multiprocessors() {
    int device = 0;
    int count = 0;
    must(cudaGetDevice(&device));
    must(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
    return count;
  }
  static int architecture() {
    int compiled_for = 0;
    must(cuda::code_of_device(&compiled_for));
    return compiled_for;
  }
  const Kind hca_generic_{"", Hca::value, RowFormat::fp8_mla, Recipe::vllm, DType::f32, 11};
  const Kind hca_late_bias_{"", Hca::value, RowFormat::fp8_mla, Recipe::sglang, DType::f32, 8};
  const Kind hca_{"", Hca::value, RowFormat::fp8_mla, Recipe::vllm, DType::f32, 8};
  const Kind csa_{"", Csa::value, RowFormat::fp8_mla, Recipe::vllm, DType::f32, 4};
  const Kind indexer_{"", Indexer::value, RowFormat::index_fp8, Recipe::vllm, DType::f32, 4};
};

TEST_F(ScoreLayouts, HcaEightBlocksForAWindow) {
  compare(hca_, 2, 0, Op::compress_store, "hca-special, clusters of 8, exact");
  compare(hca_, 2, 0, Op::step, "hca-special, clusters of 8, exact");
  compare(hca_, 31, 0, Op::compress, "hca-special, groups of 8, exact");
}
TEST_F(ScoreLayouts, HcaTwoBlocksForAWindow) {
  compare(hca_, 3, 80 * Hca::value.ratio, Op::step, "hca-special, clusters of 2, exact");
}
TEST_F(ScoreLayouts, HcaTwoBlocksAloneOnTheirMultiprocessors) {
  compare(hca_, 3, 40 * Hca::value.ratio, Op::step, "clusters of 2, a block a multiprocessor");
}
TEST_F(ScoreLayouts, HcaTwoBlocksForAWindowThatGetsItsBiasLate) {
  compare(hca_late_bias_, 396, 0, Op::compress_store, "hca-special, clusters of 2, exact");
}
TEST_F(ScoreLayouts, HcaTwoBlocksThatAreNoCluster) {
  compare(hca_late_bias_, 396, 0, Op::compress, "hca-special, groups of 2, exact");
}
TEST_F(ScoreLayouts, HcaABlockForAWindow) {
  compare(hca_, 100, 0, Op::compress_store, "hca-special, no cluster, exact");
}
TEST_F(ScoreLayouts, HcaABlockForAWindowInPagesOfAnySize) {
  compare(hca_generic_, 100, 0, Op::compress_store, "hca-generic, no cluster, exact");
  compare(hca_generic_, 100, 0, Op::compress, "hca-generic, no cluster, exact");
}
TEST_F(ScoreLayouts, CsaWithAPartner) {
  compare(csa_, 5, 0, Op::step, "csa-special, no cluster, with partners");
}
TEST_F(ScoreLayouts, CsaAlone) {
  compare(csa_, 140, 0, Op::compress_store, "csa-special, no cluster, exact");
}
TEST_F(ScoreLayouts, IndexerWithAPartner) {
  compare(indexer_, 5, 0, Op::step, "indexer-special, no cluster, with partners");
}
TEST_F(ScoreLayouts, IndexerAlone) {
  compare(indexer_, 540, 0, Op::compress_store, "indexer-special, no cluster, exact");
}

}  // namespace
}  // namespace pleat::test
