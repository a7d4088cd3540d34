// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/params.cuh"
#include "support/gpu.hpp"
#include "support/memory.hpp"
#include "support/plan_bytes.hpp"
#include "support/random.hpp"
#include "support/schedule.hpp"

// The plan that the GPU makes is the CPU's, entry by entry, for numbers of tokens below, at and
// above what a warp, a block and a cluster take in one sweep; and it is the same each time.
namespace pleat::test {
namespace {

struct Kind {
  const char* name;
  Geometry geometry;
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

/// The index arrays of a step; the plan reads nothing else.
struct Tokens {
  std::vector<std::int64_t> positions;
  std::vector<std::int32_t> requests;
  std::vector<std::int64_t> slots;
};

/// Runs of up to `longest` tokens of one request each, between them padding by chance.
Tokens draw_tokens(const Geometry& g, std::int64_t count, std::int64_t longest, double padding,
                   Random& random) {
  Tokens out;
  const auto add = [&](std::int64_t position, std::int32_t request, std::int64_t slot) {
    out.positions.push_back(position);
    out.requests.push_back(request);
    out.slots.push_back(slot);
  };
  std::int64_t left = count;
  std::int32_t request = 0;
  while (left > 0) {
    if (random.chance(padding)) {
      const StepToken t = garbage_token(g, random);
      add(t.name.position, t.table_row, t.state_slot);
      --left;
      continue;
    }
    const std::int64_t start = random.below(random.chance(0.3) ? 3 : 1000000);
    const std::int64_t n = random.between(1, std::min(left, longest));
    for (std::int64_t i = 0; i < n; ++i)
      add(start + i, request, i);
    left -= n;
    ++request;
  }
  return out;
}

/// The arrays and a plan in one backend's memory. The plan's is garbage at first.
class Planner {
 public:
  Planner(const Tokens& t, std::int64_t capacity, const Call& shape, const Exec& exec)
      : exec_(exec),
        capacity_(capacity),
        positions_(memory_of(exec.backend), t.positions),
        requests_(memory_of(exec.backend), t.requests),
        slots_(memory_of(exec.backend), t.slots),
        plan_(memory_of(exec.backend), static_cast<std::size_t>(plan_bytes(capacity)), 0xA5),
        call_(shape) {
    const auto n = static_cast<std::int64_t>(t.positions.size());
    call_.batch.positions = TensorView::packed(positions_.data(), DType::i64, n);
    call_.batch.token_to_req = TensorView::packed(requests_.data(), DType::i32, n);
    call_.batch.state_slots = TensorView::packed(slots_.data(), DType::i64, n);
    call_.plan = {plan_.data(), capacity};
  }

  Bytes make() {
    const Status s = pleat::plan(call_, exec_);
    EXPECT_EQ(s.message(), "");
    Bytes made = plan_.download();
    EXPECT_TRUE(plan_.guards_intact());
    EXPECT_TRUE(positions_.unchanged() && requests_.unchanged() && slots_.unchanged());
    if (exec_.backend == Backend::cuda) expect_zeros_past_the_count(made);
    return meaning_of_plan(std::move(made), capacity_);
  }

 private:
  /// Kernels load entries before they know how many there are: none may hold what no one wrote.
  void expect_zeros_past_the_count(Bytes& made) const {
    const PlanPointers p = plan_pointers(made.data(), capacity_);
    const std::int32_t asked = std::min(p.header->tokens, cuda::kAskedEarly);
    for (std::int32_t i = p.header->closing; i < asked; ++i) {
      const PlanEntry& e = p.entries[i];
      ASSERT_TRUE(e.token == 0 && e.request == 0 && e.row == 0 && e.fresh == 0) << "entry " << i;
    }
  }

  Exec exec_;
  std::int64_t capacity_;
  Buffer positions_;
  Buffer requests_;
  Buffer slots_;
  Buffer plan_;
  Call call_;
};

/// Every policy and layout, on these numbers of tokens.
void expect_equal(const Geometry& g, std::int64_t count, std::int64_t longest, double padding,
                  std::int64_t spare) {
  struct Way {
    StateLayout layout;
    StateWrite write;
  };
  const Way ways[] = {{StateLayout::paged, {StatePolicy::all, 0}},
                      {StateLayout::paged, {StatePolicy::tail, 0}},
                      {StateLayout::paged, {StatePolicy::tail, 5}},
                      {StateLayout::ring, {StatePolicy::all, 0}},
                      {StateLayout::ring, {StatePolicy::tail, 3}}};
  Random random(hash_of(static_cast<std::uint64_t>(count), static_cast<std::uint64_t>(longest),
                        static_cast<std::uint64_t>(g.ratio), 1));
  const Tokens tokens = draw_tokens(g, count, longest, padding, random);
  for (const Way& w : ways) {
    SCOPED_TRACE(std::to_string(count) + " tokens in runs of up to " + std::to_string(longest) +
                 (w.layout == StateLayout::ring ? ", ring, policy " : ", paged, policy ") +
                 std::to_string(static_cast<int>(w.write.policy)));
    const std::int64_t rows = g.window() + w.write.rollback + 2;
    Call shape;
    shape.compressor.geometry = g;
    shape.state.layout = w.layout;
    shape.write = w.write;
    // Only its shape is looked at.
    shape.state.pages =
        TensorView::paged(nullptr, DType::f32, 4, rows, g.row_width(), rows * g.row_width());
    Planner gpu(tokens, count + spare, shape, gpu_exec());
    Planner cpu(tokens, count + spare, shape, cpu_exec());
    const Bytes first = gpu.make();
    ASSERT_TRUE(first == cpu.make()) << "the GPU's plan is not the CPU's";
    ASSERT_TRUE(first == gpu.make()) << "the second plan is not the first";
  }
}

class Plan : public GpuTestWith<Kind> {};

/// Runs of up to so many tokens are decode, speculative decode, chunks, whole prompts.
constexpr std::int64_t kLongest[] = {1, 6, 300, 5000};

TEST_P(Plan, EqualToTheCpusOnFewTokens) {
  for (const std::int64_t count : {0, 1, 2, 31, 32, 33, 1000, 1024}) {
    for (const std::int64_t longest : kLongest) {
      if (longest > 2 * count && longest > 6) continue;
      ASSERT_NO_FATAL_FAILURE(
          expect_equal(GetParam().geometry, count, longest, 0.2, count % 2 * 37));
    }
  }
}

TEST_P(Plan, PaddingAloneAndNone) {
  const Geometry& g = GetParam().geometry;
  for (const std::int64_t count : {1, 33, 5000}) {
    ASSERT_NO_FATAL_FAILURE(expect_equal(g, count, 9, 1.0, 5));
    ASSERT_NO_FATAL_FAILURE(expect_equal(g, count, count, 0.0, 0));
  }
}

TEST_P(Plan, LargeOfAMillionTokens) {
  const Geometry& g = GetParam().geometry;
  constexpr std::int64_t most = std::int64_t{1} << 20;
  for (const std::int64_t longest : {std::int64_t{1}, std::int64_t{700}, most}) {
    ASSERT_NO_FATAL_FAILURE(expect_equal(g, most, longest, 0.1, 0));
    ASSERT_NO_FATAL_FAILURE(expect_equal(g, most - 1, longest, 0.001, 1000));
  }
}

const Kind kKinds[] = {{"hca", Hca::value},
                       {"csa", Csa::value},
                       {"indexer", Indexer::value},
                       {"singles", {1, false, 64, 64, false}},
                       {"pairs", {2, true, 512, 64, false}},
                       {"longest", {1024, true, 64, 2, true}}};

INSTANTIATE_TEST_SUITE_P(Geometries, Plan, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.name; });

/// One more than a block's threads, and than the entries that are cleared past the count; about the
/// threads of a cluster's eight blocks, and more than they take in a sweep.
constexpr std::int64_t kMany[] = {1025, 4097, 8192, 8193, 33000};

/// Kind, tokens, longest run: a test each, as racecheck takes minutes for what is more.
class PlanOfMany : public GpuTestWith<std::tuple<Kind, std::int64_t, std::int64_t>> {};

TEST_P(PlanOfMany, EqualsTheCpus) {
  const auto& [kind, count, longest] = GetParam();
  expect_equal(kind.geometry, count, longest, 0.2, count % 2 * 37);
}

INSTANTIATE_TEST_SUITE_P(Sizes, PlanOfMany,
                         ::testing::Combine(::testing::ValuesIn(kKinds), ::testing::ValuesIn(kMany),
                                            ::testing::ValuesIn(kLongest)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_" +
                                  std::to_string(std::get<1>(info.param)) + "_in_runs_of_" +
                                  std::to_string(std::get<2>(info.param));
                         });

}  // namespace
}  // namespace pleat::test
