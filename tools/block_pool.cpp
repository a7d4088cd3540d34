// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/block_pool.hpp"

#include <algorithm>
#include <numeric>

#include "tools/error.hpp"

namespace pleat::tools {

BlockPool::BlockPool(std::int64_t pages)
    : pages_(pages),
      free_(pages),
      ring_(static_cast<std::size_t>(pages)),
      taken_(static_cast<std::size_t>(pages) + 1, false) {
  std::iota(ring_.begin(), ring_.end(), kNullPage + 1);
}

std::int32_t BlockPool::take() {
  if (free_ == 0) throw fail("block pool: expected a free page, got none of {}", pages_);
  const std::int32_t page = ring_[static_cast<std::size_t>(front_)];
  front_ = front_ + 1 == pages_ ? 0 : front_ + 1;
  --free_;
  taken_[static_cast<std::size_t>(page)] = true;
  peak_ = std::max(peak_, in_use());
  return page;
}

void BlockPool::give_back(std::int32_t page) {
  if (page <= kNullPage || page > pages_ || !taken_[static_cast<std::size_t>(page)]) {
    throw fail("block pool: expected a page that was taken, got {}", page);
  }
  taken_[static_cast<std::size_t>(page)] = false;
  ring_[static_cast<std::size_t>((front_ + free_) % pages_)] = page;
  ++free_;
}

KindPages::KindPages(const PageRules& rules, std::int64_t slots, std::int64_t max_tokens)
    : rules_(rules),
      state_(rules.state_pages),
      kv_(rules.kv_pages),
      state_blocks_((max_tokens + rules.state_page_rows - 1) / rules.state_page_rows),
      kv_blocks_((max_tokens / rules.ratio + rules.kv_page_rows - 1) / rules.kv_page_rows),
      state_table_(static_cast<std::size_t>(slots * state_blocks_), kNullPage),
      kv_table_(static_cast<std::size_t>(slots * kv_blocks_), kNullPage),
      state_held_(static_cast<std::size_t>(slots)),
      kv_held_(static_cast<std::size_t>(slots), 0) {}

void KindPages::extend(std::int32_t slot, std::int64_t end) {
  Range& held = state_held_[static_cast<std::size_t>(slot)];
  while (held.end * rules_.state_page_rows < end) {
    const std::int32_t page = state_.take();
    state_table_[static_cast<std::size_t>(slot * state_blocks_ + held.end)] = page;
    updates_.push_back({slot, static_cast<std::int32_t>(held.end), page});
    ++held.end;
  }
  std::int64_t& kv = kv_held_[static_cast<std::size_t>(slot)];
  while (kv * rules_.kv_page_rows < end / rules_.ratio) {
    kv_table_[static_cast<std::size_t>(slot * kv_blocks_ + kv)] = kv_.take();
    ++kv;
  }
}

void KindPages::trim(std::int32_t slot, std::int64_t length) {
  Range& held = state_held_[static_cast<std::size_t>(slot)];
  const std::int64_t keep = rules_.keep_from(length) / rules_.state_page_rows;
  for (; held.begin < std::min(keep, held.end); ++held.begin) {
    std::int32_t& page = state_table_[static_cast<std::size_t>(slot * state_blocks_ + held.begin)];
    state_.give_back(page);
    page = kNullPage;
    updates_.push_back({slot, static_cast<std::int32_t>(held.begin), kNullPage});
  }
}

void KindPages::release(std::int32_t slot) {
  Range& held = state_held_[static_cast<std::size_t>(slot)];
  // The last page first, so that the pool does not hand the same run of pages out again.
  while (held.end > held.begin) {
    --held.end;
    std::int32_t& page = state_table_[static_cast<std::size_t>(slot * state_blocks_ + held.end)];
    state_.give_back(page);
    page = kNullPage;
    updates_.push_back({slot, static_cast<std::int32_t>(held.end), kNullPage});
  }
  held = {};
  std::int64_t& kv = kv_held_[static_cast<std::size_t>(slot)];
  while (kv > 0) {
    --kv;
    kv_.give_back(kv_table_[static_cast<std::size_t>(slot * kv_blocks_ + kv)]);
    kv_table_[static_cast<std::size_t>(slot * kv_blocks_ + kv)] = kNullPage;
  }
}

std::int64_t KindPages::state_slot(std::int32_t slot, std::int64_t position) const {
  const std::int64_t block = position / rules_.state_page_rows;
  return state_table_[static_cast<std::size_t>(slot * state_blocks_ + block)] *
             rules_.state_page_rows +
         position % rules_.state_page_rows;
}

std::int64_t KindPages::kv_slot(std::int32_t slot, std::int64_t row) const {
  const std::int64_t block = row / rules_.kv_page_rows;
  return kv_table_[static_cast<std::size_t>(slot * kv_blocks_ + block)] * rules_.kv_page_rows +
         row % rules_.kv_page_rows;
}

}  // namespace pleat::tools
