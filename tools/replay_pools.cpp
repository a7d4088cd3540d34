// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_pools.hpp"

#include <algorithm>
#include <cmath>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

/// Tight memory still leaves room for a prompt chunk of this many tokens.
constexpr std::int64_t kLeastChunk = 256;

ScheduleTotals dry_run(const std::vector<TraceRequest>& requests, const ScheduleOptions& options,
                       const std::vector<PageRules>& rules, const std::function<void()>& going_on) {
  Scheduler scheduler(requests, options, rules);
  Step step;
  for (std::int64_t n = 0; scheduler.next(step); ++n) {
    if (n % 1024 == 0) going_on();
  }
  return scheduler.totals();
}

struct PageBytes {
  std::int64_t state;
  std::int64_t kv;
};

std::int64_t total_bytes(const std::vector<PageRules>& rules, const std::vector<PageBytes>& page) {
  std::int64_t bytes = 0;
  for (std::size_t k = 0; k < rules.size(); ++k) {
    bytes += (rules[k].state_pages + 1) * page[k].state + (rules[k].kv_pages + 1) * page[k].kv;
  }
  return bytes;
}

constexpr double kGib = 1073741824.0;

/// In a unit that shows how far it is from the other one, and in that of the option.
std::string size_text(double bytes) {
  return fmt::format("{:.1f} MiB ({:.3g} GiB)", bytes / 1048576.0, bytes / kGib);
}

/// The next size that size_text() gives in full, so that what it says is enough.
double rounded_up(std::int64_t bytes) {
  const double gib = static_cast<double>(bytes) / kGib;
  const double digit = std::pow(10.0, std::floor(std::log10(gib)) - 2);
  return std::ceil(gib / digit) * digit * kGib;
}

}  // namespace

PoolPlan plan_pools(const std::vector<TraceRequest>& requests, const ScheduleOptions& options,
                    const Model& model, std::int64_t state_element_bytes, std::int64_t max_bytes,
                    const std::function<void()>& going_on) {
  PoolPlan plan;
  std::vector<PageBytes> page;  // of all layers of a kind together
  for (const KindSpec& spec : model.kinds) {
    plan.rules.push_back(spec.rules());
    page.push_back({spec.layers * spec.state_page_stride * state_element_bytes,
                    spec.layers * spec.kv_page_stride});
  }
  plan.totals = dry_run(requests, options, plan.rules, going_on);
  std::vector<PageRules> low = plan.rules;
  std::int64_t longest = 0;
  for (const TraceRequest& r : requests)
    longest = std::max(longest, tokens_of(r));
  for (std::size_t k = 0; k < plan.rules.size(); ++k) {
    PageRules& rule = plan.rules[k];
    rule.state_pages = plan.totals.state_pages[k];
    rule.kv_pages = plan.totals.kv_pages[k];
    const std::int64_t chunk = std::min(kLeastChunk, options.token_budget) / rule.state_page_rows;
    low[k].state_pages = std::min(rule.state_pages, rule.decode_pages(options.drafts) + chunk);
    low[k].kv_pages = std::min(rule.kv_pages, rule.cache_pages(longest));
  }

  const std::int64_t wanted = total_bytes(plan.rules, page);
  if (wanted <= max_bytes) return plan;
  const std::int64_t least = total_bytes(low, page);
  if (least > max_bytes) {
    throw fail(
        "--cache-gb: expected at least {} for state and cache of the longest request ({} tokens) "
        "in {} layers, got {}",
        size_text(rounded_up(least)), longest, model.layers.size(),
        size_text(static_cast<double>(max_bytes)));
  }
  const double share = static_cast<double>(max_bytes - least) / static_cast<double>(wanted - least);
  const auto between = [share](std::int64_t from, std::int64_t to) {
    return from + static_cast<std::int64_t>(static_cast<double>(to - from) * share);
  };
  for (std::size_t k = 0; k < plan.rules.size(); ++k) {
    plan.rules[k].state_pages = between(low[k].state_pages, plan.rules[k].state_pages);
    plan.rules[k].kv_pages = between(low[k].kv_pages, plan.rules[k].kv_pages);
  }
  plan.totals = dry_run(requests, options, plan.rules, going_on);
  return plan;
}

}  // namespace pleat::tools
