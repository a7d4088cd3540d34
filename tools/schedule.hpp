// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tools/trace.hpp"

namespace pleat::tools {

inline constexpr std::int64_t kUnlimited = std::int64_t{1} << 62;

struct ScheduleOptions {
  std::int64_t token_budget = 8192;  ///< tokens of one step at most, padding aside
  std::int64_t max_running = 256;    ///< requests in the batch at most
  std::int64_t drafts = 0;           ///< draft tokens that each decode step tries
  double reject_rate = 0;            ///< chance that a draft is rejected, 0 to 1
  std::uint64_t seed = 0;            ///< decides which drafts are
  std::int64_t step_us = 30'000;     ///< what one step takes in the trace's time
};

/// Paged memory of one kind of layer, as the scheduler counts it. All layers of a kind have the
/// same pages in use, each in memory of its own.
struct PageRules {
  std::int64_t ratio = 0;
  bool overlap = false;
  std::int64_t state_page_rows = 0;
  std::int64_t kv_page_rows = 0;
  std::int64_t state_pages = kUnlimited;  ///< in the pool
  std::int64_t kv_pages = kUnlimited;

  /// First position whose state a request of `length` tokens still needs.
  [[nodiscard]] std::int64_t keep_from(std::int64_t length) const;
  /// State pages that one request never has too few of while it decodes with so many drafts.
  [[nodiscard]] std::int64_t decode_pages(std::int64_t drafts) const;
  /// Cache pages of a request of so many tokens.
  [[nodiscard]] std::int64_t cache_pages(std::int64_t tokens) const;
};

/// What one request does in one step.
struct Slice {
  std::int64_t request = 0;   ///< its index in the list given to the scheduler
  std::int32_t slot = 0;      ///< its row in the batch; rows are reused
  std::int64_t first = 0;     ///< position of its first token in this step
  std::int64_t tokens = 0;    ///< with its drafts
  std::int64_t accepted = 0;  ///< of those, how many stay; the others come again
  bool prefill = false;
  bool starts = false;  ///< the slot's first step with this request
  bool ends = false;    ///< its pages are free after this step
};

struct Step {
  std::int64_t time_us = 0;  ///< when it starts, in the trace's time
  std::int64_t tokens = 0;
  bool decode_only = true;
  std::vector<Slice> slices;  ///< decoding requests first, then prefill chunks
};

/// Most pages (per kind of layer), batch rows and steps that a run has needed so far.
struct ScheduleTotals {
  std::vector<std::int64_t> state_pages;
  std::vector<std::int64_t> kv_pages;
  std::int64_t running = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;       ///< with drafts that were rejected
  std::int64_t step_tokens = 0;  ///< of the largest step
};

/// Continuous batching in a virtual clock, as serving engines do it: each step first gives every
/// decoding request its token and drafts, then fills the token budget with chunks of prompts,
/// oldest first, and admits requests that have arrived, in order. A request waits while its whole
/// cache and the state of a decode step cannot be promised to it; a prompt's chunk is cut to the
/// state pages that are free. So nothing is ever evicted, and there is no deadlock. Pure
/// arithmetic: which pages these are is the block pools' business.
class Scheduler {
 public:
  /// `requests` by arrival, each at least one token long; both vectors must outlive the scheduler.
  /// Throws Error naming the request when one cannot fit the pools even alone.
  Scheduler(const std::vector<TraceRequest>& requests, const ScheduleOptions& options,
            std::vector<PageRules> rules);

  /// The next step; false when all requests are done.
  bool next(Step& step);

  [[nodiscard]] const ScheduleTotals& totals() const { return totals_; }
  /// Whether this draft is one that will be rejected. Depends on nothing but its arguments.
  [[nodiscard]] static bool rejects(const ScheduleOptions& options, std::int64_t request_id,
                                    std::int64_t position);

 private:
  struct Running {
    std::int64_t request;
    std::int32_t slot;
    std::int64_t length = 0;     ///< accepted tokens
    std::int64_t allocated = 0;  ///< positions that have state and cache; more after a rejection
    bool fresh = true;
  };

  void admit(std::int64_t budget);
  void take_slice(Running& r, std::int64_t tokens, Step& step);
  std::int64_t state_use(std::size_t kind, const Running& r, std::int64_t end) const;
  std::int64_t chunk_that_fits(const Running& r, std::int64_t wanted) const;
  void count_state(const Running& r, std::int64_t end, std::int64_t sign);
  void retire();

  const std::vector<TraceRequest>& requests_;
  ScheduleOptions options_;
  std::vector<PageRules> rules_;
  std::vector<std::int64_t> state_held_;  ///< per kind: promised or used, whichever is more
  std::vector<std::int64_t> kv_held_;
  std::vector<Running> running_;  ///< in the order of their admission
  std::vector<std::int32_t> free_slots_;
  std::int64_t admitted_ = 0;  ///< requests, from the front of the list
  std::int64_t now_us_ = 0;
  ScheduleTotals totals_;
};

/// Tokens of a request that pass through the compressor: the prompt and every output token that is
/// fed back, which the last one is not.
std::int64_t tokens_of(const TraceRequest& r);

}  // namespace pleat::tools
