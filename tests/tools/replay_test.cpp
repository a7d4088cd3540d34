// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "tools/error.hpp"
#include "tools/replay_table.hpp"

namespace pleat::tools {
namespace {

using ::testing::HasSubstr;

/// Lengths around the boundaries where windows close, some long enough for chunks.
std::vector<TraceRequest> small_traffic() {
  return {{0, 0, 300, 20},   {1, 5'000, 127, 3},  {2, 5'000, 7, 140},   {3, 31'000, 129, 1},
          {4, 31'000, 1, 5}, {5, 90'000, 513, 0}, {6, 200'000, 255, 2}, {7, 260'000, 3, 2}};
}

ReplayOptions small_options(Backend backend = Backend::cpu) {
  ReplayOptions o;
  o.exec.backend = backend;
  o.exec.threads = 2;
  o.exec.checked = true;  // every slot, page and position that we make is looked at
  o.schedule.token_budget = 256;
  o.schedule.seed = 11;
  o.sample_rate = 1;
  o.measure_limit = false;
  return o;
}

ReplayReport run(const ReplayOptions& options, const ReplayHooks& hooks = {}) {
  return replay(small_traffic(), options, hooks);
}

std::uint64_t verified_digest(const ReplayOptions& options) {
  const ReplayReport r = run(options);
  EXPECT_TRUE(r.ok());
  EXPECT_FALSE(r.interrupted);
  EXPECT_EQ(r.requests_done, 8);
  EXPECT_EQ(r.changed_requests, 0);
  EXPECT_EQ(r.stray_bytes, 0);
  for (const KindReport& k : r.kinds) {
    EXPECT_EQ(k.verified.rows, k.rows) << k.name << ": every row is sampled";
    EXPECT_GT(k.verified.counts.codes, 0);
  }
  return r.digest;
}

TEST(Replay, CountsTokensAndRows) {
  const ReplayReport r = run(small_options());
  std::int64_t tokens = 0;
  std::int64_t hca = 0;
  std::int64_t csa = 0;
  for (const TraceRequest& q : small_traffic()) {
    tokens += tokens_of(q);
    hca += tokens_of(q) / 128;
    csa += tokens_of(q) / 4;
  }
  EXPECT_EQ(r.tokens, tokens);
  ASSERT_EQ(r.kinds.size(), 3U);
  EXPECT_EQ(r.kinds[0].rows, hca);
  EXPECT_EQ(r.kinds[1].rows, csa);
  EXPECT_EQ(r.kinds[2].rows, csa);
  EXPECT_EQ(r.calls, 2 * r.steps) << "CSA and the indexer share a call";
  EXPECT_EQ(r.plans, 2 * r.steps) << "CSA and the indexer share a plan";
  EXPECT_EQ(r.steps, r.steps_decode + std::ssize(r.mixed.seconds));
}

TEST(Replay, DigestDoesNotDependOnHowTheTokensCame) {
  const std::uint64_t digest = verified_digest(small_options());
  const auto expect_same = [&](const char* what, const std::function<void(ReplayOptions&)>& set) {
    ReplayOptions o = small_options();
    set(o);
    EXPECT_EQ(verified_digest(o), digest) << what;
  };
  expect_same("budget 17", [](ReplayOptions& o) { o.schedule.token_budget = 17; });
  expect_same("budget 8192", [](ReplayOptions& o) { o.schedule.token_budget = 8192; });
  expect_same("one at a time", [](ReplayOptions& o) { o.schedule.max_running = 1; });
  expect_same("slow steps", [](ReplayOptions& o) { o.schedule.step_us = 10'000'000; });
  expect_same("one thread", [](ReplayOptions& o) { o.exec.threads = 1; });
  expect_same("seven threads", [](ReplayOptions& o) { o.exec.threads = 7; });
  expect_same("no padding", [](ReplayOptions& o) { o.padding = 1; });
  expect_same("policy all", [](ReplayOptions& o) { o.policy = StatePolicy::all; });
  expect_same("split ops", [](ReplayOptions& o) {
    o.policy = StatePolicy::all;
    o.op = ReplayOp::split;
  });
  expect_same("little memory", [](ReplayOptions& o) { o.cache_bytes = 16 << 20; });
}

// CSA layers without an indexer, and indexers without a CSA layer, are called alone.
TEST(Replay, LayersGiveTheSameRowsTogetherAndAlone) {
  for (const LayerCounts& layers : {LayerCounts{1, 2, 2}, LayerCounts{0, 3, 1}, {1, 1, 3}}) {
    ReplayOptions o = small_options();
    o.layers = layers;
    o.policy = StatePolicy::all;
    const std::uint64_t digest = verified_digest(o);
    o.op = ReplayOp::split;
    EXPECT_EQ(verified_digest(o), digest);
    o.op = ReplayOp::step;
    o.exec.backend = Backend::reference;
    EXPECT_EQ(verified_digest(o), digest);
  }
}

TEST(Replay, DraftsRejectedAndRedoneLeaveNoTrace) {
  const std::uint64_t digest = verified_digest(small_options());
  for (const StatePolicy policy : {StatePolicy::all, StatePolicy::tail}) {
    for (const std::int64_t drafts : {1, 3, 8}) {
      for (const double rate : {0.0, 0.5, 1.0}) {
        ReplayOptions o = small_options();
        o.policy = policy;
        o.schedule.drafts = drafts;
        o.schedule.reject_rate = rate;
        EXPECT_EQ(verified_digest(o), digest) << drafts << " drafts, " << rate << " rejected";
        EXPECT_EQ(run(o).drafts_rejected > 0, rate > 0);
      }
    }
  }
}

TEST(Replay, ReferenceAndCpuGiveTheSameRows) {
  for (const Recipe recipe :
       {Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang}) {
    ReplayOptions o = small_options();
    o.recipe = recipe;
    o.row_formats = default_row_formats(recipe);
    const std::uint64_t digest = verified_digest(o);
    o.exec.backend = Backend::reference;
    EXPECT_EQ(verified_digest(o), digest) << pleat::name(recipe);
  }
}

TEST(Replay, EveryRowFormatAndDtypeIsVerified) {
  for (const char* formats : {"hca=bf16,csa=fp8_tensor,indexer=index_mxfp4",
                              "hca=fp8_tensor,csa=bf16,indexer=index_fp8"}) {
    for (const DType state : {DType::f32, DType::bf16}) {
      ReplayOptions o = small_options();
      o.row_formats = parse_row_formats(formats, o.row_formats);
      o.state = state;
      o.projection = state;
      o.schedule.drafts = 2;
      o.schedule.reject_rate = 0.5;
      verified_digest(o);
    }
  }
}

TEST(Replay, DigestTellsSeedsAndFormatsApart) {
  const std::uint64_t digest = verified_digest(small_options());
  ReplayOptions o = small_options();
  o.schedule.seed = 12;
  EXPECT_NE(verified_digest(o), digest);
  o = small_options();
  o.layers = {1, 1, 2};
  EXPECT_NE(verified_digest(o), digest);
}

TEST(Replay, LittleMemoryMakesRequestsWait) {
  ReplayOptions o = small_options();
  o.schedule.step_us = 10'000'000;  // all are there when the second step begins
  o.schedule.token_budget = 8192;
  const ReplayReport free = run(o);
  o.cache_bytes = 8 << 20;
  const ReplayReport tight = run(o);
  EXPECT_LT(tight.peak_running, free.peak_running);
  EXPECT_EQ(tight.digest, free.digest);
  std::int64_t bytes = 0;
  for (const KindReport& k : tight.kinds)
    bytes += k.state_bytes + k.cache_bytes;
  EXPECT_LE(bytes, o.cache_bytes);
}

TEST(Replay, RefusesSplitWithoutAllState) {
  ReplayOptions o = small_options();
  o.op = ReplayOp::split;
  EXPECT_THROW(run(o), Error);
}

// -- faults ---------------------------------------------------------------------------------------

/// Passes everything on to a real device, with a chance to spoil what it is told or what it says.
class FaultyDevice : public ReplayDevice {
 public:
  using Spoil = std::function<void(StepInput&)>;

  FaultyDevice(const ReplaySetup& setup, Spoil spoil)
      : real_(make_replay_device(setup)), spoil_(std::move(spoil)) {}

  void begin_step(const StepInput& input) override {
    input_ = input;
    spoil_(input_);
    real_->begin_step(input_);
  }
  void run(const LayerGroup& group) override { real_->run(group); }
  StepSeconds finish_step() override { return real_->finish_step(); }
  void add_digests(std::span<const RowList> lists) override { real_->add_digests(lists); }
  std::vector<std::uint64_t> digests(DigestOf which) override { return real_->digests(which); }
  void read_rows(std::size_t layer, std::span<const RowRef> rows, std::uint8_t* out) override {
    real_->read_rows(layer, rows, out);
  }
  std::int64_t stray_bytes() override { return real_->stray_bytes(); }
  std::string describe(std::size_t kind) override { return real_->describe(kind); }

 private:
  std::unique_ptr<ReplayDevice> real_;
  Spoil spoil_;
  StepInput input_;
};

ReplayReport run_spoiled(FaultyDevice::Spoil spoil, Backend backend = Backend::cpu) {
  ReplayHooks hooks;
  hooks.make_device = [&](const ReplaySetup& setup) {
    return std::make_unique<FaultyDevice>(setup, spoil);
  };
  return run(small_options(backend), hooks);
}

TEST(Replay, AWrongTokenInAWindowIsSeen) {
  bool spoiled = false;
  const ReplayReport r = run_spoiled([&](StepInput& in) {
    for (std::size_t i = 0; i < in.positions.size(); ++i) {
      if (spoiled || in.requests[i] != 2 || in.positions[i] != 41) continue;
      in.attempts[i] = 1;
      spoiled = true;
    }
  });
  EXPECT_FALSE(r.ok());
  EXPECT_GT(r.kinds[1].verified.counts.further, 0);
  EXPECT_THAT(r.kinds[1].verified.first_failure, HasSubstr("csa layer 0, request 2, row 10"));
  EXPECT_NE(r.digest, run(small_options()).digest);
}

TEST(Replay, ARowThatWentElsewhereIsSeen) {
  const ReplayReport r = run_spoiled([](StepInput& in) {
    for (std::size_t i = 0; i < in.positions.size(); ++i) {
      if (in.requests[i] == 1 && in.positions[i] == 127) in.kinds[0].kv_slots[i] = 1;  // null page
    }
  });
  EXPECT_FALSE(r.ok());
  EXPECT_GT(r.stray_bytes, 0);
  EXPECT_GT(r.kinds[0].verified.counts.further + r.kinds[0].verified.counts.scales, 0);
  EXPECT_EQ(r.kinds[1].verified.counts.further, 0) << "the others are as they should be";
}

TEST(Replay, ARowOverwrittenAfterItWasFinalIsSeen) {
  std::int64_t victim = -1;
  const ReplayReport r = run_spoiled([&](StepInput& in) {
    for (std::size_t i = 0; i < in.positions.size(); ++i) {
      if (in.requests[i] != 2) continue;
      if (in.positions[i] == 3) victim = in.kinds[2].kv_slots[i];
      if (in.positions[i] == 139) in.kinds[2].kv_slots[i] = victim;
    }
  });
  EXPECT_EQ(r.changed_requests, 1);
  EXPECT_FALSE(r.ok());
}

/// Reads the first scale of the first row that is read of the CSA layer `off` powers of two too
/// large.
class OffScale final : public FaultyDevice {
 public:
  OffScale(const ReplaySetup& setup, int off)
      : FaultyDevice(setup, [](StepInput&) {}), csa_(setup.model.kinds[1].row()), off_(off) {}

  void read_rows(std::size_t layer, std::span<const RowRef> rows, std::uint8_t* out) override {
    FaultyDevice::read_rows(layer, rows, out);
    if (layer != 1) return;
    out[csa_.value_bytes] = static_cast<std::uint8_t>(out[csa_.value_bytes] + off_);
    off_ = 0;
  }

 private:
  RowLayout csa_;
  int off_;
};

TEST(Replay, AScaleMayBeOnePowerOfTwoOffAndNoMore) {
  for (const int off : {-2, -1, 0, 1, 2, 40}) {
    ReplayHooks hooks;
    hooks.make_device = [&](const ReplaySetup& setup) {
      return std::make_unique<OffScale>(setup, off);
    };
    const ReplayReport r = run(small_options(), hooks);
    const VerifyTotals& csa = r.kinds[1].verified;
    EXPECT_EQ(csa.counts.scales, off != 0) << off;
    EXPECT_EQ(csa.counts.further, std::abs(off) > 1) << off;
    EXPECT_EQ(r.ok(), std::abs(off) <= 1) << off;
    if (!r.ok()) {
      EXPECT_THAT(csa.first_failure, HasSubstr("1 codes or scales more than one quantum off"));
    }
  }
}

TEST(Replay, AFaultyOpIsReportedAsAnError) {
  EXPECT_THROW(run_spoiled([](StepInput& in) {
                 if (in.positions.back() > 100) in.kinds[0].state_slots[0] = 1 << 30;
               }),
               Error);
}

// -- on a GPU -------------------------------------------------------------------------------------

class ReplayOnCuda : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!available(Backend::cuda)) GTEST_SKIP() << "no CUDA device, or built without CUDA";
  }

  /// The digest on both backends; every row is verified on both as well.
  static void expect_same(const char* what, const std::function<void(ReplayOptions&)>& set) {
    SCOPED_TRACE(what);
    ReplayOptions o = small_options();
    set(o);
    const std::uint64_t digest = verified_digest(o);
    o.exec.backend = Backend::cuda;
    EXPECT_EQ(verified_digest(o), digest);
    o.exec.checked = false;  // which waits for the device in each call, and may so hide a race
    EXPECT_EQ(verified_digest(o), digest) << "unchecked";
  }
};

TEST_F(ReplayOnCuda, GivesTheDigestOfTheCpu) {
  expect_same("as it is", [](ReplayOptions&) {});
  expect_same("budget 17", [](ReplayOptions& o) { o.schedule.token_budget = 17; });
  expect_same("several layers", [](ReplayOptions& o) { o.layers = {3, 2, 4}; });
  expect_same("little memory", [](ReplayOptions& o) { o.cache_bytes = 16 << 20; });
  expect_same("split ops", [](ReplayOptions& o) {
    o.policy = StatePolicy::all;
    o.op = ReplayOp::split;
  });
  expect_same("drafts", [](ReplayOptions& o) {
    o.schedule.drafts = 3;
    o.schedule.reject_rate = 0.5;
  });
}

TEST_F(ReplayOnCuda, GivesItForEveryRecipeFormatAndDtype) {
  for (const Recipe recipe :
       {Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton, Recipe::sglang}) {
    expect_same(pleat::name(recipe), [&](ReplayOptions& o) {
      o.recipe = recipe;
      o.row_formats = default_row_formats(recipe);
    });
  }
  for (const char* formats : {"hca=bf16,csa=fp8_tensor,indexer=index_mxfp4",
                              "hca=fp8_tensor,csa=bf16,indexer=index_fp8"}) {
    expect_same(formats, [&](ReplayOptions& o) {
      o.row_formats = parse_row_formats(formats, o.row_formats);
      o.state = DType::bf16;
      o.projection = DType::bf16;
    });
  }
}

TEST_F(ReplayOnCuda, SeesFaultsThere) {
  const ReplayReport wrong = run_spoiled(
      [](StepInput& in) {
        for (std::size_t i = 0; i < in.positions.size(); ++i) {
          if (in.requests[i] == 2 && in.positions[i] == 41) in.attempts[i] = 1;
        }
      },
      Backend::cuda);
  EXPECT_THAT(wrong.kinds[1].verified.first_failure, HasSubstr("csa layer 0, request 2, row 10"));
  const ReplayReport stray = run_spoiled(
      [](StepInput& in) {
        for (std::size_t i = 0; i < in.positions.size(); ++i) {
          if (in.requests[i] == 1 && in.positions[i] == 127) in.kinds[0].kv_slots[i] = 1;
        }
      },
      Backend::cuda);
  EXPECT_GT(stray.stray_bytes, 0) << "in the null page";
}

TEST_F(ReplayOnCuda, TimesItsOpsAndCountsItsLaunches) {
  ReplayOptions o = small_options(Backend::cuda);
  o.exec.checked = false;
  o.measure_limit = true;
  const ReplayReport r = run(o);
  EXPECT_EQ(r.launches_per_step, 2);  // hca; csa and its indexer
  EXPECT_GT(r.read_limit_gbs, 0);
  EXPECT_GT(r.generator_seconds, 0);
  EXPECT_GT(r.decode.bytes, 0);
  double ops = 0;
  for (const KindReport& k : r.kinds) {
    EXPECT_GT(k.seconds, 0) << k.name;
    EXPECT_THAT(k.code, HasSubstr("cuda/")) << k.name;
    ops += k.seconds;
  }
  EXPECT_LE(ops, r.compressor_seconds);
  o.op = ReplayOp::split;
  o.policy = StatePolicy::all;
  EXPECT_EQ(run(o).launches_per_step, 9);
}

// -- interruption, report -------------------------------------------------------------------------

TEST(Replay, StopsAfterTheStepItIsIn) {
  std::atomic<bool> stop{false};
  ReplayHooks hooks;
  hooks.stop = &stop;
  std::int64_t calls = 0;
  hooks.after_step = [&](std::int64_t done, std::int64_t total, const ReplayReport& r) {
    EXPECT_LT(done, total);
    EXPECT_EQ(r.steps, ++calls);
    if (calls == 9) stop = true;
  };
  const ReplayReport r = run(small_options(), hooks);
  EXPECT_EQ(r.steps, 9);
  EXPECT_TRUE(r.interrupted);
  EXPECT_LT(r.requests_done, r.requests);
  EXPECT_GT(r.kinds[1].verified.rows, 0);
  EXPECT_TRUE(r.ok());
  const ReplayOptions options = small_options();
  const ReplayTitle title{"trace", "plain CSV", &options};
  EXPECT_THAT(replay_table(title, r, false), HasSubstr("INTERRUPTED after"));
  EXPECT_TRUE(replay_json(title, r).at("interrupted").get<bool>());
}

TEST(Replay, SaysWhatItPreparesAndStopsThere) {
  std::atomic<bool> stop{false};
  ReplayHooks hooks;
  hooks.stop = &stop;
  std::vector<std::string> parts;
  std::int64_t last = 0;
  std::int64_t all = 0;
  hooks.preparing = [&](const char* what, std::int64_t done, std::int64_t total) {
    if (parts.empty() || parts.back() != what) parts.emplace_back(what);
    if (total == 0) return;
    EXPECT_GT(done, last);
    EXPECT_LE(done, total);
    last = done;
    all = total;
  };
  const ReplayOptions options = small_options();
  const ReplayReport r = run(options, hooks);
  EXPECT_EQ(parts, (std::vector<std::string>{"the schedule", "state and cache", "the read limit"}));
  EXPECT_EQ(last, all);
  std::int64_t bytes = 0;
  for (const KindReport& k : r.kinds)
    bytes += k.state_bytes + k.cache_bytes;
  EXPECT_EQ(all, bytes);
  EXPECT_GT(r.preparing_seconds, 0);
  EXPECT_GE(r.wall_seconds, r.preparing_seconds + r.compressor_seconds);
  const ReplayTitle title{"trace", "plain CSV", &options};
  EXPECT_THAT(replay_table(title, r, false), HasSubstr(" s preparing, "));
  EXPECT_EQ(replay_json(title, r).at("preparing_s"), r.preparing_seconds);

  hooks.after_step = [](std::int64_t, std::int64_t, const ReplayReport&) { FAIL(); };
  for (const std::string& part : parts) {
    stop = false;
    hooks.preparing = [&](const char* what, std::int64_t, std::int64_t) {
      if (part == what) stop = true;
    };
    try {
      run(options, hooks);
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("interrupted before the first step")) << part;
    }
  }
}

TEST(Replay, TakesTheFirstRequestsOfATrace) {
  Trace t;
  t.requests = small_traffic();
  EXPECT_EQ(first_requests(t, 0, 0).size(), 8U);
  EXPECT_EQ(first_requests(t, 3, 0).size(), 3U);
  EXPECT_EQ(first_requests(t, 0, 319 + 129).size(), 2U);
  EXPECT_EQ(first_requests(t, 0, 1).size(), 1U) << "at least one";
}

}  // namespace
}  // namespace pleat::tools
