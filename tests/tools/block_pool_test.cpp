// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/block_pool.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "support/random.hpp"
#include "tools/error.hpp"

namespace pleat::tools {
namespace {

TEST(BlockPool, HandsOutEveryPageOnceAndNeverTheNullPage) {
  BlockPool pool(5);
  std::set<std::int32_t> pages;
  for (int i = 0; i < 5; ++i)
    pages.insert(pool.take());
  EXPECT_EQ(pages, (std::set<std::int32_t>{1, 2, 3, 4, 5}));
  EXPECT_THROW(pool.take(), Error);
  EXPECT_EQ(pool.peak(), 5);
}

TEST(BlockPool, ReusesPagesInTheOrderTheyCameBack) {
  BlockPool pool(3);
  for (int i = 0; i < 3; ++i)
    pool.take();
  pool.give_back(3);
  pool.give_back(1);
  EXPECT_EQ(pool.take(), 3);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.in_use(), 3);
}

TEST(BlockPool, RefusesPagesThatAreNotOut) {
  BlockPool pool(3);
  EXPECT_THROW(pool.give_back(kNullPage), Error);
  EXPECT_THROW(pool.give_back(4), Error);
  EXPECT_THROW(pool.give_back(2), Error);
  const std::int32_t page = pool.take();
  pool.give_back(page);
  EXPECT_THROW(pool.give_back(page), Error);
}

PageRules small_rules(bool overlap) {
  PageRules r;
  r.ratio = overlap ? 4 : 16;
  r.overlap = overlap;
  r.state_page_rows = overlap ? 4 : 8;
  r.kv_page_rows = 2;
  r.state_pages = 64;
  r.kv_pages = 64;
  return r;
}

/// Requests that grow, are trimmed and end at random: every position still needed has a page of its
/// own, and what the updates say is what the pages are.
TEST(KindPages, KeepWhatIsNeededApartAndTellTheTable) {
  for (const bool overlap : {false, true}) {
    const PageRules rules = small_rules(overlap);
    constexpr std::int32_t kSlots = 3;
    KindPages pages(rules, kSlots, 100);
    std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> table;
    std::vector<std::int64_t> length(kSlots, 0);
    test::Random random(overlap ? 1 : 2);
    for (int round = 0; round < 2000; ++round) {
      const auto slot = static_cast<std::int32_t>(random.below(kSlots));
      const auto s = static_cast<std::size_t>(slot);
      if (length[s] > 0 && random.chance(0.1)) {
        pages.release(slot);
        length[s] = 0;
      } else {
        const std::int64_t end = std::min<std::int64_t>(length[s] + random.between(1, 9), 100);
        pages.extend(slot, end);
        length[s] = end - random.below(std::min<std::int64_t>(3, end - length[s] + 1));
        pages.trim(slot, length[s]);
      }
      for (const TableUpdate& u : pages.updates())
        table[{u.slot, u.block}] = u.page;
      pages.clear_updates();

      std::set<std::int64_t> state_slots;
      std::set<std::int64_t> kv_slots;
      std::size_t positions = 0;
      std::size_t rows = 0;
      for (std::int32_t i = 0; i < kSlots; ++i) {
        const std::int64_t n = length[static_cast<std::size_t>(i)];
        for (std::int64_t p = rules.keep_from(n); p < n; ++p, ++positions) {
          const std::int64_t at = pages.state_slot(i, p);
          ASSERT_GE(at, rules.state_page_rows) << "the null page";
          const auto block = static_cast<std::int32_t>(p / rules.state_page_rows);
          ASSERT_EQ(at / rules.state_page_rows, (table[{i, block}]));
          state_slots.insert(at);
        }
        for (std::int64_t r = 0; r < n / rules.ratio; ++r, ++rows) {
          kv_slots.insert(pages.kv_slot(i, r));
          ASSERT_GE(pages.kv_slot(i, r), rules.kv_page_rows);
        }
      }
      ASSERT_EQ(state_slots.size(), positions);
      ASSERT_EQ(kv_slots.size(), rows);
    }
    for (std::int32_t i = 0; i < kSlots; ++i)
      pages.release(i);
    EXPECT_EQ(pages.state().in_use(), 0);
    EXPECT_EQ(pages.kv().in_use(), 0);
  }
}

TEST(KindPages, TrimGivesBackPagesBelowTheWindow) {
  KindPages pages(small_rules(true), 1, 100);
  pages.extend(0, 40);
  EXPECT_EQ(pages.state().in_use(), 10);
  pages.trim(0, 40);  // the next window needs positions from 36
  EXPECT_EQ(pages.state().in_use(), 1);
  for (const TableUpdate& u : pages.updates()) {
    if (&u - pages.updates().data() >= 10) {
      EXPECT_EQ(u.page, kNullPage);
    }
  }
}

}  // namespace
}  // namespace pleat::tools
