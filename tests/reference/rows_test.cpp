// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "reference/rows.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "api/plan_layout.hpp"

namespace pleat::reference {
namespace {

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();

/// A step of tokens {position, request, live}.
struct Token {
  std::int64_t position;
  std::int32_t request;
  bool live = true;
};

class Rows : public ::testing::Test {
 protected:
  void set(const std::vector<Token>& tokens) {
    for (const Token& t : tokens) {
      positions_.push_back(t.position);
      requests_.push_back(t.request);
      slots_.push_back(t.live ? 0 : kLowest);
    }
    const auto n = static_cast<std::int64_t>(tokens.size());
    call_.batch = {TensorView::packed(positions_.data(), DType::i64, n),
                   TensorView::packed(requests_.data(), DType::i32, n),
                   TensorView::packed(slots_.data(), DType::i64, n), TensorView{}};
  }
  std::vector<std::int64_t> saved() {
    std::vector<std::int64_t> out;
    for (std::size_t t = 0; t < positions_.size(); ++t) {
      if (is_saved(call_, static_cast<std::int64_t>(t))) out.push_back(positions_[t]);
    }
    return out;
  }
  /// One request's chunk [first, last).
  void set_chunk(std::int64_t first, std::int64_t last) {
    std::vector<Token> tokens;
    for (std::int64_t p = first; p < last; ++p)
      tokens.push_back({p, 0});
    set(tokens);
  }

  std::vector<std::int64_t> positions_;
  std::vector<std::int32_t> requests_;
  std::vector<std::int64_t> slots_;
  Call call_;
};

using Positions = std::vector<std::int64_t>;

TEST_F(Rows, FreshRowsEndWhereTheRequestDoes) {
  set({{0, 0}, {1, 0}, {2, 1}, {3, 1}, {4, 1}});
  EXPECT_EQ(fresh_rows(call_.batch, 4, 8), 3);  // positions run on, the request does not
  EXPECT_EQ(fresh_rows(call_.batch, 4, 2), 2);  // no more than the window
  EXPECT_EQ(fresh_rows(call_.batch, 1, 8), 2);
  EXPECT_EQ(fresh_rows(call_.batch, 0, 8), 1);
}

TEST_F(Rows, FreshRowsAreLiveAndConsecutive) {
  set({{1, 0}, {2, 0, false}, {3, 0}, {9, 0}, {10, 0}});
  EXPECT_EQ(fresh_rows(call_.batch, 2, 8), 1);  // padding that looks like position 2
  EXPECT_EQ(fresh_rows(call_.batch, 4, 8), 2);  // 3 and 9 are not neighbours
}

TEST_F(Rows, ClosesOnlyLiveTokensAtTheEndOfAWindow) {
  set({{2, 0}, {3, 0}, {3, 0, false}, {-1, 0, false}, {kLowest, 0, false}, {7, 0}});
  std::vector<bool> got;
  for (std::int64_t t = 0; t < 6; ++t)
    got.push_back(closes(call_.batch, t, 4));
  EXPECT_EQ(got, (std::vector<bool>{false, true, false, false, false, true}));
  EXPECT_TRUE(closes(call_.batch, 0, 1));
}

TEST_F(Rows, LengthIsThatOfTheRequestAfterTheStep) {
  set({{5, 0}, {6, 0}, {7, 0, false}, {0, 3}, {1, 3}, {0, 4}});
  EXPECT_EQ(length_after(call_.batch, 0), 7);
  EXPECT_EQ(length_after(call_.batch, 3), 2);
  EXPECT_EQ(length_after(call_.batch, 5), 1);
}

TEST_F(Rows, PolicyAllSavesEveryLiveToken) {
  call_.compressor.geometry = Csa::value;
  set({{0, 0}, {1, 0}, {2, 0, false}});
  EXPECT_EQ(saved(), (Positions{0, 1}));
}

TEST_F(Rows, PolicyTailWithOverlap) {
  call_.compressor.geometry = Csa::value;
  call_.write.policy = StatePolicy::tail;
  set_chunk(0, 15);  // n 15: from 4 * floor(15 / 4) - 4 = 8 on
  EXPECT_EQ(saved().front(), 8);
  call_.write.rollback = 3;  // 4 * floor(12 / 4) - 4
  EXPECT_EQ(saved().front(), 8);
  call_.write.rollback = 4;
  EXPECT_EQ(saved().front(), 4);
  call_.write.rollback = 100;  // below zero: all
  EXPECT_EQ(saved().size(), 15U);
}

TEST_F(Rows, PolicyTailWithoutOverlap) {
  call_.compressor.geometry = Hca::value;
  call_.write.policy = StatePolicy::tail;
  set_chunk(0, 128);  // the window is closed: nothing of it is needed again
  EXPECT_TRUE(saved().empty());
  call_.write.rollback = 1;
  EXPECT_EQ(saved().size(), 128U);
}

TEST_F(Rows, ARingKeepsTheLastRows) {
  call_.compressor.geometry = Csa::value;
  call_.state.layout = StateLayout::ring;
  call_.state.pages.shape = {1, 10, 2048};
  set_chunk(20, 45);
  EXPECT_EQ(saved().front(), 35);
  EXPECT_EQ(saved().size(), 10U);
}

TEST(TailStart, IsTheSpecsFloor) {
  for (const bool overlap : {false, true}) {
    for (const std::int32_t ratio : {1, 2, 4, 128}) {
      for (std::int64_t n = 0; n < 600; ++n) {
        for (const std::int32_t rollback : {0, 1, 3, 127, 128, 700}) {
          std::int64_t group = -1000;  // floor((n - rollback) / ratio), by search
          while ((group + 1) * ratio <= n - rollback)
            ++group;
          ASSERT_EQ(tail_start(n, rollback, ratio, overlap), group * ratio - (overlap ? ratio : 0));
        }
      }
    }
  }
}

TEST(StatePlace, PagesAndRing) {
  std::vector<std::int32_t> table{7, 8, 9, 17, 18, 19};
  StateView s;
  s.pages.shape = {20, 4, 2048};
  s.block_table = TensorView::packed(table.data(), DType::i32, 2, 3);
  EXPECT_EQ(state_place(s, 1, 9).page, 19);
  EXPECT_EQ(state_place(s, 1, 9).row, 1);
  EXPECT_EQ(state_place(s, 0, 3).page, 7);
  s.layout = StateLayout::ring;
  EXPECT_EQ(state_place(s, 1, 9).page, 17);
  EXPECT_EQ(state_place(s, 1, 9).row, 1);
}

}  // namespace
}  // namespace pleat::reference
