// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/state_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/api_call.hpp"

// What checked mode asks of state rows, with requests that stand where a rule begins and ends. The
// refusals that spoil a good call in one place are in support/index_refusals.cpp.
namespace pleat::test {
namespace {

const ApiCallOptions kIndexer{Indexer::value, Recipe::vllm, RowFormat::index_fp8};
const ApiCallOptions kIndexerRing{Indexer::value, Recipe::vllm, RowFormat::index_fp8,
                                  StateLayout::ring};

Exec exec_of(Backend backend, bool checked) {
  Exec exec;
  exec.backend = backend;
  exec.checked = checked;
  return exec;
}

std::string checked(Op op, const Call& call) {
  return run(op, call, exec_of(Backend::reference, true)).message();
}

struct Span {
  std::int64_t first;
  std::int64_t tokens;
};

/// Makes the batch one of request 0, 1, ... at these positions, with the slots that the block table
/// says (0 where it names no page) and a cache row for every window. The table: a row a request.
void set_batch(ApiCall& c, const std::vector<Span>& spans,
               const std::vector<std::vector<std::int32_t>>& table, std::int64_t page_rows = 4) {
  TensorView& pages = c.call.state.pages;
  TensorView& blocks = c.call.state.block_table;
  pages.shape[1] = page_rows;  // pages keep their stride
  blocks.shape[0] = static_cast<std::int64_t>(table.size());
  blocks.shape[1] = blocks.stride[0] = static_cast<std::int64_t>(table[0].size());
  for (std::size_t r = 0; r < table.size(); ++r)
    std::copy(table[r].begin(), table[r].end(), c.block_table() + r * table[r].size());
  std::int64_t t = 0;
  std::int64_t kv = 0;
  for (std::size_t r = 0; r < spans.size(); ++r) {
    for (std::int64_t p = spans[r].first; p < spans[r].first + spans[r].tokens; ++p, ++t) {
      const bool ring = c.call.state.layout == StateLayout::ring;
      const std::int32_t page = table[r][ring ? 0 : static_cast<std::size_t>(p / page_rows)];
      c.positions()[t] = p;
      c.requests()[t] = static_cast<std::int32_t>(r);
      c.state_slots()[t] = page < 0 ? 0 : page * page_rows + p % page_rows;
      c.kv_slots()[t] = (p + 1) % 4 == 0 ? kv++ : -1;
    }
  }
  for (TensorView* v :
       {&c.call.batch.positions, &c.call.batch.token_to_req, &c.call.batch.state_slots,
        &c.call.batch.kv_slots, &c.call.projection, &c.call.compressed}) {
    v->shape[0] = t;
  }
}

/// Policy tail saves positions 8.. of 0..11; the windows that close at 3 and 7 lie in the chunk.
/// So columns 0 and 1 of the block table are of no use, whatever they hold.
TEST(StateCheck, TailNeedsNoStateForWindowsThatCloseInTheChunk) {
  std::vector<std::uint8_t> want;
  for (const std::vector<std::int32_t>& table :
       {std::vector<std::int32_t>{3, 4, 2}, {0, 0, 2}, {-1, 6, 2}, {2, 2, 2}}) {
    for (const Backend backend : {Backend::reference, Backend::cpu}) {
      for (const bool planned : {false, true}) {
        ApiCall c(kIndexer);
        set_batch(c, {{0, 12}}, {table});
        c.call.write.policy = StatePolicy::tail;
        if (planned) {
          c.call.plan.data = c.plan_memory();
          ASSERT_EQ(plan(c.call, exec_of(backend, true)).message(), "");
        }
        ASSERT_EQ(step(c.call, exec_of(backend, true)).message(), "");
        if (planned) continue;  // the plan is an output too
        if (want.empty()) want = c.outputs();
        EXPECT_EQ(c.outputs(), want);
      }
    }
  }
}

TEST(StateCheck, TailAsksForTheRowsThatAreWritten) {
  ApiCall c(kIndexer);
  set_batch(c, {{0, 12}}, {{0, 0, -1}});
  c.call.write.policy = StatePolicy::tail;
  EXPECT_EQ(checked(Op::step, c.call),
            "state.block_table[0][2]: expected from 0 to 5 (pages), got -1, needed by token 8 for "
            "position 8");
  c.block_table()[2] = 2;
  EXPECT_EQ(checked(Op::step, c.call),
            "batch.state_slots[8]: expected 8 (what state.block_table says of request 0, position "
            "8), got 0");
  for (std::int64_t t = 8; t < 12; ++t)
    c.state_slots()[t] = t;
  EXPECT_EQ(checked(Op::step, c.call), "");
  c.state_slots()[4] = 1000;  // is not written
  EXPECT_EQ(checked(Op::step, c.call), "");
  EXPECT_EQ(checked(Op::save_state, c.call), "");
  c.call.write.policy = StatePolicy::all;
  EXPECT_EQ(checked(Op::save_state, c.call),
            "batch.state_slots[4]: expected less than 24 (6 pages of 4 rows), got 1000");
}

/// A rollback of 4 keeps positions from 4 on, and the window that closes at 7 is read from column 0
/// by a chunk that begins at 2.
TEST(StateCheck, TailAsksForOlderRowsOfAWindow) {
  ApiCall c(kIndexer);
  set_batch(c, {{2, 10}}, {{-1, 1, 2}});
  c.call.write = {StatePolicy::tail, 4};
  EXPECT_EQ(checked(Op::step, c.call),
            "state.block_table[0][0]: expected from 0 to 5 (pages), got -1, needed by token 1 for "
            "position 0");
  c.block_table()[0] = 3;
  EXPECT_EQ(checked(Op::step, c.call), "");
  c.block_table()[1] = -1;
  EXPECT_EQ(checked(Op::step, c.call),
            "state.block_table[0][1]: expected from 0 to 5 (pages), got -1, needed by token 2 for "
            "position 4");
}

/// Readers look for a position in its row of the ring. Rows that the ring cannot keep may be named
/// anywhere.
TEST(StateCheck, ASavedRowStandsWhereTheRingIsRead) {
  ApiCall c(kIndexerRing);
  set_batch(c, {{5, 2}}, {{1}}, 8);
  EXPECT_EQ(checked(Op::save_state, c.call), "");
  c.state_slots()[1] = c.state_slots()[0];
  EXPECT_EQ(checked(Op::save_state, c.call),
            "batch.state_slots[1]: expected one in row 6 of a ring of 8 rows, as its position is "
            "6, got 13 in row 5");
  set_batch(c, {{0, 12}}, {{1}}, 8);
  c.state_slots()[3] = c.state_slots()[5];
  EXPECT_EQ(checked(Op::save_state, c.call), "");
  c.state_slots()[4] = c.state_slots()[5];
  EXPECT_EQ(checked(Op::save_state, c.call),
            "batch.state_slots[4]: expected one in row 4 of a ring of 8 rows, as its position is "
            "4, got 13 in row 5");
}

/// Once all tokens up to 10 are saved, a ring of 8 rows has 3..10 only; one of 11 has all.
TEST(StateCheck, ARingHasTheRowsThatAreReadAfterAWholeChunk) {
  const auto words = [](Op op, Span span, std::int64_t page_rows) {
    ApiCall c(kIndexerRing);
    set_batch(c, {span, {0, 1}}, {{1}, {0}}, page_rows);
    return checked(op, c.call);
  };
  for (const Op op : {Op::compress, Op::compress_store}) {
    EXPECT_EQ(
        words(op, {0, 11}, 8),
        "batch.positions[3]: expected a window that begins at position 3 or later, as a ring "
        "of 8 rows has no older ones after token 10 (position 10), got 3, whose window begins "
        "at 0");
    EXPECT_THAT(words(op, {0, 11}, 10), testing::StartsWith("batch.positions[3]: "));
    EXPECT_EQ(words(op, {0, 11}, 11), "");
    EXPECT_EQ(words(op, {0, 8}, 8), "");
    EXPECT_EQ(words(op, {7, 1}, 8), "");
    EXPECT_EQ(words(op, {7, 2}, 9), "");
    EXPECT_THAT(words(op, {7, 2}, 8), testing::StartsWith("batch.positions[0]: "));
    EXPECT_EQ(words(op, {8, 3}, 8), "");  // closes nothing
  }
  EXPECT_EQ(words(Op::step, {0, 11}, 8), "");
  EXPECT_EQ(words(Op::save_state, {0, 11}, 8), "");
}

/// Request 1 closes at 7 and reads row 2 of page 0, which request 0's only token writes.
TEST(StateCheck, AnOlderRowIsNotWrittenByAnotherRequest) {
  ApiCall c(kIndexer);
  set_batch(c, {{2, 1}, {7, 1}}, {{0, 1}, {0, 1}});
  EXPECT_EQ(checked(Op::step, c.call),
            "batch.state_slots[0]: expected a slot that no window of this step reads as an older "
            "row, got slot 2, where the window of token 1 has position 2");
  c.block_table()[0] = 2;
  c.state_slots()[0] = 10;
  EXPECT_EQ(checked(Op::step, c.call), "");
  set_batch(c, {{7, 1}, {7, 1}}, {{0, 1}, {0, 2}});  // both read a page of a common prefix
  EXPECT_EQ(checked(Op::step, c.call), "");
  set_batch(c, {{6, 1}, {7, 1}}, {{0, 1}, {0, 2}});  // row 2 of a page that is not read
  EXPECT_EQ(checked(Op::step, c.call), "");
}

/// A page that comes twice in a request's row of the table: positions 0..3, and 8..11.
TEST(StateCheck, AnOlderRowIsNotWrittenByItsOwnRequest) {
  ApiCall c(kIndexer);
  set_batch(c, {{6, 6}}, {{0, 1, 0}});
  EXPECT_EQ(checked(Op::step, c.call),
            "batch.state_slots[2]: expected a slot that no window of this step reads as an older "
            "row, got slot 0, where the window of token 1 has position 0");
  set_batch(c, {{8, 4}}, {{0, 1, 0}});  // 0..3 are read no more
  EXPECT_EQ(checked(Op::step, c.call), "");
}

TEST(StateCheck, ARingIsNotReadByARequestAndWrittenByAnother) {
  ApiCall c({Hca::value, Recipe::vllm, RowFormat::fp8_mla, StateLayout::ring});
  set_batch(c, {{126, 2}, {0, 1}}, {{1}, {1}}, 128);
  c.kv_slots()[1] = 0;
  // Of a length that is a multiple of 128 policy tail keeps nothing: the first only reads its ring.
  c.call.write.policy = StatePolicy::tail;
  EXPECT_EQ(checked(Op::step, c.call),
            "batch.state_slots[2]: expected a ring of its own for each request, got ring 1, where "
            "the window of token 1 has position 0");
  c.block_table()[1] = 0;
  c.state_slots()[2] = 0;
  EXPECT_EQ(checked(Op::step, c.call), "");
}

/// State and cache of one pool: the null page of state that nobody keeps may be a page of the
/// cache.
TEST(StateCheck, PagesOfNoStateAreFreeForTheCache) {
  ApiCall c(kIndexer);
  set_batch(c, {{0, 12}}, {{0, 0, 2}});
  c.call.write.policy = StatePolicy::tail;
  c.call.cache.data = c.call.state.pages.data;
  c.call.cache.stride[0] = c.call.state.pages.stride[0] * 4;
  c.call.cache.shape[0] = 4;
  EXPECT_EQ(checked(Op::step, c.call), "");
  for (const std::int64_t t : {3, 7, 11})
    c.kv_slots()[t] += 3;
  EXPECT_EQ(checked(Op::step, c.call),
            "batch.kv_slots[7]: expected a page of the pool that holds no state of this step, got "
            "slot 4 in state page 2");
}

}  // namespace
}  // namespace pleat::test
