// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/row_turns.hpp"

#include <algorithm>
#include <iterator>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

void expect_kinds_together(std::span<const RowList> lists, std::size_t kinds) {
  std::vector<bool> seen(kinds);
  std::size_t last = kinds;
  for (const RowList& list : lists) {
    if (list.kind != last && seen[list.kind]) {
      throw fail("rows to digest: expected lists of one kind together, got kind {} after others",
                 list.kind);
    }
    seen[list.kind] = true;
    last = list.kind;
  }
}

}  // namespace

std::int64_t RowTurn::longest() const {
  std::int64_t n = 0;
  for (const RowRange& r : kinds)
    n = std::max(n, r.last - r.first);
  return n;
}

std::vector<RowTurn> turns_of(std::span<const RowList> lists, std::size_t kinds,
                              std::int64_t most) {
  expect_kinds_together(lists, kinds);
  std::vector<RowTurn> turns;
  for (const RowList& list : lists) {
    std::span<const RowRef> rest = list.rows;
    while (!rest.empty()) {
      if (turns.empty() || turns.back().rows == most) {
        turns.emplace_back();
        turns.back().kinds.resize(kinds);
      }
      RowTurn& turn = turns.back();
      const std::int64_t n = std::min(std::ssize(rest), most - turn.rows);
      const auto count = static_cast<std::size_t>(n);
      turn.lists.push_back({list.kind, list.which, rest.first(count)});
      RowRange& range = turn.kinds[list.kind];
      if (range.first == range.last) range.first = turn.rows;
      turn.rows += n;
      range.last = turn.rows;
      rest = rest.subspan(count);
    }
  }
  return turns;
}

}  // namespace pleat::tools
