// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "support/random.hpp"

namespace pleat::test {
namespace {

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max();

struct Request {
  std::int64_t id = 0;
  std::int64_t length = 0;  ///< tokens it will have
  std::int64_t done = 0;    ///< tokens that are accepted
  std::vector<std::int32_t> pages;
};

class Player {
 public:
  Player(const Geometry& g, const EngineShape& shape, const std::vector<std::int64_t>& lengths)
      : g_(g), shape_(shape), random_(hash_of(shape.seed, 7, 7, 7)) {
    for (std::size_t i = 0; i < lengths.size(); ++i)
      waiting_.push_back({static_cast<std::int64_t>(i), lengths[i], 0, {}});
    random_.shuffle(waiting_);
    give_cache_slots(lengths);
    // Pages for `running` of the longest requests, and some that nobody gets.
    std::int64_t most = 0;
    for (const std::int64_t n : lengths)
      most = std::max(most, pages_for(n));
    out_.state_pages = most * shape.running + 3;
    for (std::int32_t page = 0; page < out_.state_pages; ++page)
      free_.push_back(page);
    random_.shuffle(free_);
    free_.resize(static_cast<std::size_t>(most * shape.running));
  }

  Schedule play() {
    admit();
    while (!running_.empty()) {
      add_step();
      retire();
      admit();
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::int64_t pages_for(std::int64_t length) const {
    if (shape_.layout == StateLayout::ring) return 1;
    return std::max<std::int64_t>(1, (length + shape_.state_rows - 1) / shape_.state_rows);
  }

  void give_cache_slots(const std::vector<std::int64_t>& lengths) {
    std::int64_t windows = 0;
    for (const std::int64_t n : lengths)
      windows += n / g_.ratio;
    out_.cache_pages = windows / shape_.cache_rows + 2;
    std::vector<std::int64_t> slots;
    for (std::int64_t s = 0; s < out_.cache_pages * shape_.cache_rows; ++s)
      slots.push_back(s);
    random_.shuffle(slots);
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      auto& of_request = slots_.emplace_back();
      for (std::int64_t w = 0; w < lengths[i] / g_.ratio; ++w) {
        if (random_.chance(shape_.skipped)) {
          of_request.push_back(-1 - random_.below(3));
          continue;
        }
        of_request.push_back(slots.back());
        out_.stored.push_back({slots.back(), static_cast<std::int64_t>(i), w});
        slots.pop_back();
      }
    }
  }

  void admit() {
    while (!waiting_.empty() && static_cast<std::int64_t>(running_.size()) < shape_.running) {
      Request r = waiting_.back();
      waiting_.pop_back();
      for (std::int64_t i = 0; i < pages_for(r.length); ++i) {
        r.pages.push_back(free_.back());
        free_.pop_back();
      }
      running_.push_back(std::move(r));
    }
  }

  /// Pages of requests that are done go to others, in any order, with what they hold.
  void retire() {
    std::vector<Request> left;
    for (Request& r : running_) {
      if (r.done < r.length) {
        left.push_back(std::move(r));
      } else {
        free_.insert(free_.end(), r.pages.begin(), r.pages.end());
      }
    }
    running_ = std::move(left);
    random_.shuffle(free_);
  }

  void add_step() {
    random_.shuffle(running_);
    step_ = {};
    std::size_t blocks = 1;
    for (const Request& r : running_)
      blocks = std::max(blocks, r.pages.size());
    // Rows of the table: the requests in any order, rows that nobody names between them.
    std::vector<std::int32_t> rows;
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(running_.size()) + 2; ++i)
      rows.push_back(i);
    random_.shuffle(rows);
    step_.block_table.assign(rows.size(), std::vector<std::int32_t>(blocks, shape_.tidy ? 0 : -7));
    pad(std::nullopt);
    bool any = false;
    for (std::size_t i = 0; i < running_.size(); ++i) {
      Request& r = running_[i];
      std::copy(r.pages.begin(), r.pages.end(), step_.block_table[rows[i]].begin());
      if (random_.chance(0.25) && (any || i + 1 < running_.size())) continue;
      any = true;
      add_chunk(r, rows[i]);
    }
    out_.steps.push_back(std::move(step_));
  }

  void add_chunk(Request& r, std::int32_t table_row) {
    const std::int64_t left = r.length - r.done;
    std::int64_t rejected = 0;
    std::int64_t n = random_.chance(shape_.single) ? 1 : random_.between(1, shape_.max_chunk);
    if (random_.chance(shape_.drafts)) {
      rejected = random_.between(1, std::max<std::int32_t>(1, shape_.write.rollback));
      n += rejected;
    }
    n = std::min({n, left, shape_.max_chunk});
    rejected = std::min(rejected, n - 1);
    if (r.done > 0 && random_.chance(shape_.padding / 2)) {
      // Padding that looks like the token before: its projection must not be taken for that one's.
      StepToken before;
      before.name = {r.id, r.done - 1, 0};
      before.live = false;
      before.table_row = table_row;
      step_.tokens.push_back(before);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const bool kept = i < n - rejected;
      const auto attempt = kept ? 0 : static_cast<std::int64_t>(out_.steps.size()) + 1;
      StepToken t;
      t.name = {r.id, r.done + i, attempt};
      const std::int64_t p = t.name.position;
      const std::int64_t block = shape_.layout == StateLayout::ring ? 0 : p / shape_.state_rows;
      t.state_slot = r.pages[block] * shape_.state_rows + p % shape_.state_rows;
      t.table_row = table_row;
      t.length_after = r.done + n;
      t.kv_slot = (p + 1) % g_.ratio == 0 ? slots_[r.id][p / g_.ratio] : any_slot();
      step_.tokens.push_back(t);
    }
    r.done += n - rejected;
    pad(StepToken(step_.tokens.back()));
  }

  /// Of a token that closes no window: whatever stands there is not looked at.
  std::int64_t any_slot() {
    if (shape_.tidy) return -1;
    return random_.pick<std::int64_t>({-1, 0, 1, kHighest, kLowest});
  }

  void pad(const std::optional<StepToken>& after) {
    while (random_.chance(shape_.padding)) {
      const bool mimics = after && random_.chance(0.5);
      step_.tokens.push_back(garbage_token(g_, random_, mimics ? &*after : nullptr));
    }
  }

  Geometry g_;
  EngineShape shape_;
  Random random_;
  std::vector<Request> waiting_;
  std::vector<Request> running_;
  std::vector<std::int32_t> free_;
  std::vector<std::vector<std::int64_t>> slots_;  ///< [request][window]
  Step step_;
  Schedule out_;
};

}  // namespace

StepToken garbage_token(const Geometry& g, Random& random, const StepToken* before) {
  StepToken t;
  if (before != nullptr) t = *before;
  t.live = false;
  t.state_slot = random.pick<std::int64_t>({-1, -2, kLowest});
  if (before != nullptr) {
    t.name.position += 1;
  } else {
    t.name.position =
        random.pick<std::int64_t>({-1, -1000, kLowest, kHighest, g.ratio - 1, 2 * g.ratio - 1, 0});
    t.table_row = static_cast<std::int32_t>(random.pick<std::int64_t>({-1, 0, 1 << 30}));
  }
  t.kv_slot = random.pick<std::int64_t>({-1, 0, 1, kHighest});
  return t;
}

std::vector<Op> ops_of(EngineShape::Path path) {
  switch (path) {
    case EngineShape::Path::step:
      return {Op::step};
    case EngineShape::Path::fused:
      return {Op::save_state, Op::compress_store};
    case EngineShape::Path::split:
      return {Op::save_state, Op::compress, Op::norm_rope_store};
    case EngineShape::Path::save:
      return {Op::save_state};
  }
  return {};
}

std::string to_string(const EngineShape& s) {
  std::string path;
  for (const Op op : ops_of(s.path))
    path += (path.empty() ? "" : "+") + std::string(name(op));
  return fmt::format(
      "engine: {}, {}, policy {} rollback {}, plan {}, state rows {} gap {}, cache rows {} gap {}, "
      "row gap {}, running {}, max chunk {}, single {}, drafts {}, padding {}, skipped {}, tidy "
      "{}, seed {}",
      path, name(s.layout), name(s.write.policy), s.write.rollback, s.plan, s.state_rows,
      s.state_gap, s.cache_rows, s.cache_gap, s.row_gap, s.running, s.max_chunk, s.single, s.drafts,
      s.padding, s.skipped, s.tidy, s.seed);
}

EngineShape random_shape(const Geometry& g, std::uint64_t seed) {
  Random random(hash_of(seed, 11, 11, 11));
  EngineShape s;
  s.seed = seed;
  s.path = random.pick<EngineShape::Path>({EngineShape::Path::step, EngineShape::Path::step,
                                           EngineShape::Path::fused, EngineShape::Path::split});
  s.layout = random.chance(0.4) ? StateLayout::ring : StateLayout::paged;
  s.plan = random.chance(0.5);
  s.write.rollback = static_cast<std::int32_t>(random.below(6));
  // The other paths pool from the state every window that the step closes.
  if (s.path == EngineShape::Path::step && random.chance(0.5)) s.write.policy = StatePolicy::tail;
  s.drafts = s.write.rollback > 0 ? random.pick<double>({0, 0.3, 0.8}) : 0;
  s.max_chunk = random.pick<std::int64_t>({1, 3, g.ratio, 2 * g.ratio + 1, 5 * g.ratio + 2}) +
                s.write.rollback;
  s.state_rows = random.pick<std::int64_t>({1, 3, 4, 7, 8, 16, 64, 128});
  if (s.layout == StateLayout::ring) {
    const bool from_state = s.path != EngineShape::Path::step;
    // What the library asks of a ring, and what pooling a whole chunk from it needs.
    const std::int64_t least =
        std::max(g.window() + s.write.rollback,
                 from_state ? g.window() - 1 + static_cast<std::int32_t>(s.max_chunk) : 0);
    s.state_rows = least + random.pick<std::int64_t>({0, 0, 1, 5, 32});
  }
  s.state_gap = random.pick<std::int64_t>({0, 8, 144, 2 * g.row_width()});
  s.cache_rows = random.pick<std::int64_t>({1, 2, 3, 8, 16, 64});
  s.cache_gap = random.pick<std::int64_t>({0, 16, 48, 576});
  s.row_gap = random.pick<std::int64_t>({0, 0, 8, 64});
  s.running = random.pick<std::int64_t>({1, 2, 5, 9});
  s.single = random.pick<double>({0, 0.5, 1});
  s.padding = random.pick<double>({0, 0.2, 0.6});
  s.skipped = random.pick<double>({0, 0.2});
  return s;
}

Schedule make_schedule(const Geometry& g, const EngineShape& shape,
                       const std::vector<std::int64_t>& lengths) {
  return Player(g, shape, lengths).play();
}

Twin::Twin(std::int64_t state_pages, std::int64_t cache_slots, std::int64_t state_rows,
           Random& random)
    : state_rows_(state_rows),
      pages_(static_cast<std::size_t>(state_pages)),
      cache_slots_(static_cast<std::size_t>(cache_slots)) {
  std::iota(pages_.begin(), pages_.end(), 0);
  std::iota(cache_slots_.begin(), cache_slots_.end(), 0);
  random.shuffle(pages_);
  random.shuffle(cache_slots_);
}

std::int64_t Twin::cache_slot(std::int64_t slot) const {
  const bool one = slot >= 0 && slot < static_cast<std::int64_t>(cache_slots_.size());
  return one ? cache_slots_[static_cast<std::size_t>(slot)] : slot;
}

Step Twin::of(const Step& step) const {
  Step out = step;
  for (StepToken& t : out.tokens) {
    if (t.state_slot >= 0) {
      const auto page = static_cast<std::size_t>(t.state_slot / state_rows_);
      t.state_slot = pages_[page] * state_rows_ + t.state_slot % state_rows_;
    }
    t.kv_slot = cache_slot(t.kv_slot);
  }
  for (auto& row : out.block_table) {
    for (std::int32_t& page : row) {
      if (page >= 0) page = pages_[static_cast<std::size_t>(page)];
    }
  }
  return out;
}

Schedule twin_of(const Schedule& schedule, const EngineShape& shape, const EngineShape& twin) {
  Random random(hash_of(twin.seed, 29, 29, 29));
  const std::int64_t slots = schedule.cache_pages * shape.cache_rows;
  const Twin moved(schedule.state_pages, slots, shape.state_rows, random);
  Schedule out = schedule;
  out.cache_pages = (slots + twin.cache_rows - 1) / twin.cache_rows;
  for (Step& step : out.steps)
    step = moved.of(step);
  for (StoredRow& row : out.stored)
    row.slot = moved.cache_slot(row.slot);
  return out;
}

}  // namespace pleat::test
