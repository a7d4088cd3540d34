// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/row_turns.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

constexpr auto kFinal = DigestOf::final_rows;
constexpr auto kFinished = DigestOf::finished_rows;

/// Rows from..to-1 of request 0.
std::vector<RowRef> rows(std::int64_t from, std::int64_t to) {
  std::vector<RowRef> v;
  for (std::int64_t r = from; r < to; ++r)
    v.push_back({0, r, 0});
  return v;
}

/// "f0:0-2 d0:5-6 [0,3) [3,3) | ...": a turn's lists (f final, d finished; kind, first and last
/// row), then where each kind lies.
std::string text(const std::vector<RowTurn>& turns) {
  std::string s;
  for (const RowTurn& turn : turns) {
    if (!s.empty()) s += " | ";
    for (const RowList& l : turn.lists) {
      s += (l.which == kFinal ? "f" : "d") + std::to_string(l.kind) + ":" +
           std::to_string(l.rows.front().row) + "-" + std::to_string(l.rows.back().row) + " ";
    }
    for (const RowRange& r : turn.kinds)
      s += "[" + std::to_string(r.first) + "," + std::to_string(r.last) + ")";
  }
  return s;
}

TEST(RowTurns, TakesAStepInOneTurnWhereItFits) {
  const auto hca = rows(0, 1);
  const auto csa = rows(4, 8);
  const auto ended = rows(0, 8);
  const std::vector<RowList> lists{
      {0, kFinal, hca}, {1, kFinal, csa}, {1, kFinished, ended}, {2, kFinal, csa}};
  const auto turns = turns_of(lists, 3, 17);
  EXPECT_EQ(text(turns), "f0:0-0 f1:4-7 d1:0-7 f2:4-7 [0,1)[1,13)[13,17)");
  EXPECT_EQ(turns.front().rows, 17);
  EXPECT_EQ(turns.front().longest(), 12);
}

TEST(RowTurns, CutsListsWhereATurnIsFull) {
  const auto a = rows(0, 5);
  const auto b = rows(5, 12);
  const std::vector<RowList> lists{{0, kFinal, a}, {0, kFinished, b}, {1, kFinal, a}};
  EXPECT_EQ(text(turns_of(lists, 2, 6)),
            "f0:0-4 d0:5-5 [0,6)[0,0) | d0:6-11 [0,6)[0,0) | f1:0-4 [0,0)[0,5)");
  EXPECT_EQ(text(turns_of(lists, 2, 8)),
            "f0:0-4 d0:5-7 [0,8)[0,0) | d0:8-11 f1:0-3 "
            "[0,4)[4,8) | f1:4-4 [0,0)[0,1)");
}

TEST(RowTurns, HasNoneForNoRows) {
  EXPECT_TRUE(turns_of({}, 3, 8).empty());
  const std::vector<RowList> lists{{0, kFinal, {}}, {2, kFinished, {}}};
  EXPECT_TRUE(turns_of(lists, 3, 8).empty());
}

TEST(RowTurns, RefusesAKindInTwoPlaces) {
  const auto a = rows(0, 2);
  const std::vector<RowList> lists{{0, kFinal, a}, {1, kFinal, a}, {0, kFinished, a}};
  for (const std::int64_t most : {1, 4, 8}) {
    try {
      turns_of(lists, 2, most);
      ADD_FAILURE() << "taken, with turns of " << most;
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(),
                   "rows to digest: expected lists of one kind together, got kind 0 after others");
    }
  }
}

TEST(RowTurns, BringsEveryRowOnceAndInItsKindsRange) {
  const auto a = rows(0, 7);
  const auto b = rows(7, 10);
  const std::vector<RowList> lists{
      {0, kFinal, a}, {0, kFinished, b}, {1, kFinal, {}}, {1, kFinished, a}, {2, kFinal, b}};
  for (std::int64_t most = 1; most <= 21; ++most) {
    std::vector<std::vector<std::int64_t>> seen(lists.size());
    for (const RowTurn& turn : turns_of(lists, 3, most)) {
      std::int64_t at = 0;
      for (const RowList& l : turn.lists) {
        const RowRange range = turn.kinds[l.kind];
        for (const RowRef& r : l.rows) {
          EXPECT_TRUE(range.first <= at && at < range.last) << "at most " << most;
          seen[2 * l.kind + (l.which == kFinished)].push_back(r.row);
          ++at;
        }
      }
      EXPECT_EQ(at, turn.rows);
      EXPECT_TRUE(0 < at && at <= most);
      std::int64_t in_ranges = 0;
      for (const RowRange& r : turn.kinds)
        in_ranges += r.last - r.first;
      EXPECT_EQ(in_ranges, at) << "a range holds another kind's rows";
    }
    for (std::size_t i = 0; i < lists.size(); ++i) {
      std::vector<std::int64_t> want(lists[i].rows.size());
      if (!want.empty()) std::iota(want.begin(), want.end(), lists[i].rows.front().row);
      EXPECT_EQ(seen[i], want) << "list " << i << ", at most " << most;
    }
  }
}

}  // namespace
}  // namespace pleat::tools
