// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/layer.hpp"
#include "support/random.hpp"

namespace pleat::test {

/// How a simulated engine works: how it keeps state and cache, how it batches, which ops it calls.
struct EngineShape {
  enum class Path {
    step,   ///< step
    fused,  ///< save_state, compress_store
    split,  ///< save_state, compress, norm_rope_store
    save,   ///< save_state alone: its rows are not to be judged
  };
  Path path = Path::step;
  StateLayout layout = StateLayout::paged;
  StateWrite write;
  bool plan = false;
  std::int64_t state_rows = 4;  ///< of a page; the capacity of a ring
  std::int64_t state_gap = 0;   ///< elements after a page's last row
  std::int64_t cache_rows = 2;
  std::int64_t cache_gap = 0;  ///< bytes
  std::int64_t row_gap = 0;    ///< elements after a row of projection and compressed
  std::int64_t running = 4;    ///< requests at a time; their pages are used again
  std::int64_t max_chunk = 16;
  double single = 0.5;   ///< chance that a request brings one token (or one and drafts)
  double drafts = 0.0;   ///< chance that the last tokens of a chunk will be rejected
  double padding = 0.0;  ///< chance of padding at each place where it may stand
  double skipped = 0.0;  ///< chance that a window gets no cache slot
  bool tidy = false;     ///< no garbage in what is not read (checked mode looks there)
  std::uint64_t seed = 1;
};

std::string to_string(const EngineShape& shape);

/// Rows of the pages that engines choose, which the special CUDA kernels are for: state pages of a
/// group of rows, cache pages of 256 tokens.
constexpr std::int64_t special_state_rows(const Geometry& g) {
  return g.overlap ? g.ratio : kGroupRows;
}
constexpr std::int64_t special_cache_rows(const Geometry& g) {
  return 256 / g.ratio;
}

/// The ops of a path, in order, without the plan.
std::vector<Op> ops_of(EngineShape::Path path);

/// A shape with everything drawn, in which the geometry can work.
EngineShape random_shape(const Geometry& g, std::uint64_t seed);

struct StepToken {
  TokenName name;
  bool live = true;
  std::int64_t state_slot = -1;
  std::int64_t kv_slot = -1;
  std::int32_t table_row = 0;
  std::int64_t length_after = 0;  ///< of its request
};

/// Padding with garbage in every field, or with those of the token that would follow `before`.
StepToken garbage_token(const Geometry& g, Random& random, const StepToken* before = nullptr);

struct Step {
  std::vector<StepToken> tokens;
  std::vector<std::vector<std::int32_t>> block_table;
};

/// Where a window of a request ends up.
struct StoredRow {
  std::int64_t slot;
  std::int64_t request;
  std::int64_t window;
};

struct Schedule {
  std::vector<Step> steps;
  std::int64_t state_pages = 0;
  std::int64_t cache_pages = 0;
  std::vector<StoredRow> stored;  ///< all that the cache must hold in the end
};

/// The same tokens with state and cache in other pages: what a second layer of the step has. Pages
/// of state have as many rows, and a ring the same capacity; those of the cache may not.
class Twin {
 public:
  Twin(std::int64_t state_pages, std::int64_t cache_slots, std::int64_t state_rows, Random& random);
  [[nodiscard]] Step of(const Step& step) const;
  [[nodiscard]] std::int64_t cache_slot(std::int64_t slot) const;

 private:
  std::int64_t state_rows_;
  std::vector<std::int32_t> pages_;        ///< where a page of the first is found
  std::vector<std::int64_t> cache_slots_;  ///< and a cache row
};
Schedule twin_of(const Schedule& schedule, const EngineShape& shape, const EngineShape& twin);

/// Plays the requests, with the given numbers of tokens, to their ends.
Schedule make_schedule(const Geometry& g, const EngineShape& shape,
                       const std::vector<std::int64_t>& lengths);

}  // namespace pleat::test
