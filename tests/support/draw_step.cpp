// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/draw_step.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace pleat::test {
namespace {

/// Numbers from 0 on, each given once, in any order.
class Pool {
 public:
  Pool(std::int64_t n, Random& random) {
    for (std::int64_t i = 0; i < n; ++i)
      free_.push_back(i);
    random.shuffle(free_);
  }
  std::int64_t take() {
    if (free_.empty()) throw std::logic_error("the rig is too small for the step");
    const std::int64_t i = free_.back();
    free_.pop_back();
    return i;
  }

 private:
  std::vector<std::int64_t> free_;
};

}  // namespace

Step draw_step(const Geometry& g, const EngineShape& shape, const RigSize& size,
               const std::vector<RequestSpan>& requests, Random& random) {
  const bool ring = shape.layout == StateLayout::ring;
  Pool pages(size.state_pages, random);
  Pool cache(size.cache_pages * shape.cache_rows, random);
  Pool rows(size.table_rows, random);
  std::vector<std::int64_t> history;
  for (int i = 0; i < 3 && !ring; ++i)
    history.push_back(pages.take());

  Step step;
  step.block_table.assign(static_cast<std::size_t>(size.table_rows),
                          std::vector<std::int32_t>(static_cast<std::size_t>(size.blocks), -7));
  // Padding takes what tokens leave.
  std::int64_t room = size.tokens;
  for (const RequestSpan& r : requests)
    room -= r.tokens;
  const auto pad = [&](const StepToken* before) {
    while (room > 0 && random.chance(shape.padding)) {
      --room;
      step.tokens.push_back(garbage_token(g, random, random.chance(0.5) ? before : nullptr));
    }
  };
  std::vector<RequestSpan> order = requests;
  random.shuffle(order);
  pad(nullptr);
  for (const RequestSpan& r : order) {
    const auto row = static_cast<std::int32_t>(rows.take());
    auto& table = step.block_table[static_cast<std::size_t>(row)];
    const std::int64_t end = r.start + r.tokens;
    const std::int64_t oldest = std::max<std::int64_t>(0, r.start - g.window() + 1);
    const auto block_of = [&](std::int64_t p) { return ring ? 0 : p / shape.state_rows; };
    for (std::int64_t b = block_of(oldest); b <= block_of(end - 1); ++b) {
      const bool own = b >= block_of(r.start);
      table.at(static_cast<std::size_t>(b)) =
          static_cast<std::int32_t>(own ? pages.take() : random.pick(history));
    }
    const auto id = static_cast<std::int64_t>(random.bits() >> 1);
    for (std::int64_t p = r.start; p < end; ++p) {
      StepToken t;
      t.name = {id, p, 0};
      t.table_row = row;
      t.length_after = end;
      t.state_slot =
          table.at(static_cast<std::size_t>(block_of(p))) * shape.state_rows + p % shape.state_rows;
      const bool closes = (p + 1) % g.ratio == 0;
      if (closes) {
        t.kv_slot = random.chance(shape.skipped) ? -1 - random.below(3) : cache.take();
      } else {
        // Of a token that closes no window: whatever stands there is not looked at.
        t.kv_slot = random.pick<std::int64_t>({-1, 0, 1, std::numeric_limits<std::int64_t>::max()});
      }
      step.tokens.push_back(t);
    }
    const StepToken last = step.tokens.back();
    pad(&last);
  }
  return step;
}

std::vector<RequestSpan> draw_requests(std::int64_t most, std::int64_t tokens,
                                       std::int64_t positions, Random& random) {
  std::vector<RequestSpan> out;
  const std::int64_t n = random.between(1, most);
  for (std::int64_t i = 0; i < n && tokens > 0; ++i) {
    const std::int64_t chunk =
        random.chance(0.4) ? 1 : random.between(1, std::min(tokens, positions / 2));
    out.push_back({random.below(positions - chunk + 1), chunk});
    tokens -= chunk;
  }
  return out;
}

std::vector<RequestSpan> single_tokens(const Geometry& g, std::int64_t count, bool closing,
                                       std::int64_t positions, Random& random) {
  std::vector<RequestSpan> out;
  while (static_cast<std::int64_t>(out.size()) < count) {
    std::int64_t p = random.below(positions);
    if (closing) p = std::min(p / g.ratio, positions / g.ratio - 1) * g.ratio + g.ratio - 1;
    if (!closing && (p + 1) % g.ratio == 0) --p;
    out.push_back({p, 1});
  }
  return out;
}

}  // namespace pleat::test
