// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iterator>
#include <vector>

#include "tools/schedule.hpp"

namespace pleat::tools {

/// Page 0 belongs to nobody: block tables name it where a page was never given or was taken back.
inline constexpr std::int32_t kNullPage = 0;

/// Pages 1..n, handed out first in first out as engines do: in order at first, then in the order in
/// which requests gave them back.
class BlockPool {
 public:
  explicit BlockPool(std::int64_t pages);

  /// Throws Error when there is none; the scheduler promises that there is.
  std::int32_t take();
  void give_back(std::int32_t page);

  [[nodiscard]] std::int64_t in_use() const { return pages_ - free_; }
  [[nodiscard]] std::int64_t peak() const { return peak_; }
  /// With the null page: what the memory behind the pool must hold.
  [[nodiscard]] std::int64_t pages_with_null() const { return pages_ + 1; }

 private:
  std::int64_t pages_;
  std::int64_t free_;
  std::int64_t peak_ = 0;
  std::int64_t front_ = 0;  ///< of the ring of free pages
  std::vector<std::int32_t> ring_;
  std::vector<bool> taken_;
};

/// One entry of a block table that changed: what a device has to be told.
struct TableUpdate {
  std::int32_t slot;
  std::int32_t block;
  std::int32_t page;
};

/// The pages of all running requests for one kind of layer: state as a sliding window, cache rows
/// until the request ends.
class KindPages {
 public:
  /// `slots` batch rows, requests of at most `max_tokens`.
  KindPages(const PageRules& rules, std::int64_t slots, std::int64_t max_tokens);

  /// Gives the slot's request pages for positions up to `end` and for the rows they close.
  void extend(std::int32_t slot, std::int64_t end);
  /// Takes back state pages that a request of `length` accepted tokens needs no more.
  void trim(std::int32_t slot, std::int64_t length);
  /// Takes everything back.
  void release(std::int32_t slot);

  /// page * page_rows + row of a position's state, of a row in the cache. Both must be held.
  [[nodiscard]] std::int64_t state_slot(std::int32_t slot, std::int64_t position) const;
  [[nodiscard]] std::int64_t kv_slot(std::int32_t slot, std::int64_t row) const;

  /// Changes of the state's block table since the last call to clear_updates().
  [[nodiscard]] const std::vector<TableUpdate>& updates() const { return updates_; }
  void clear_updates() { updates_.clear(); }
  [[nodiscard]] const BlockPool& state() const { return state_; }
  [[nodiscard]] const BlockPool& kv() const { return kv_; }
  /// Blocks in one row of the state's block table.
  [[nodiscard]] std::int64_t blocks() const { return state_blocks_; }
  /// Of both tables.
  [[nodiscard]] std::int64_t table_bytes() const {
    return static_cast<std::int64_t>(sizeof(std::int32_t)) *
           (std::ssize(state_table_) + std::ssize(kv_table_));
  }

 private:
  struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;
  };

  PageRules rules_;
  BlockPool state_;
  BlockPool kv_;
  std::int64_t state_blocks_;
  std::int64_t kv_blocks_;
  std::vector<std::int32_t> state_table_;  ///< [slots, state_blocks]
  std::vector<std::int32_t> kv_table_;     ///< [slots, kv_blocks]
  std::vector<Range> state_held_;          ///< blocks, per slot
  std::vector<std::int64_t> kv_held_;
  std::vector<TableUpdate> updates_;
};

}  // namespace pleat::tools
