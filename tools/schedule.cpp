// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/schedule.hpp"

#include <algorithm>
#include <cmath>

#include "tools/error.hpp"
#include "tools/generator.hpp"

namespace pleat::tools {
namespace {

constexpr std::int64_t pages_for(std::int64_t rows, std::int64_t page_rows) {
  return (rows + page_rows - 1) / page_rows;
}

}  // namespace

std::int64_t tokens_of(const TraceRequest& r) {
  return r.input_tokens + std::max<std::int64_t>(r.output_tokens - 1, 0);
}

std::int64_t PageRules::keep_from(std::int64_t length) const {
  return std::max<std::int64_t>(length / ratio * ratio - (overlap ? ratio : 0), 0);
}

/// Enough, wherever in a page it starts, for what is kept and one decode step with its drafts.
std::int64_t PageRules::decode_pages(std::int64_t drafts) const {
  const std::int64_t kept = ratio * (overlap ? 2 : 1) - 1;
  return pages_for(kept + 1 + drafts, state_page_rows) + 1;
}

std::int64_t PageRules::cache_pages(std::int64_t tokens) const {
  return pages_for(tokens / ratio, kv_page_rows);
}

bool Scheduler::rejects(const ScheduleOptions& options, std::int64_t request_id,
                        std::int64_t position) {
  std::uint64_t h = mix_in(options.seed, 0x64726166U);  // apart from the generator's counters
  h = mix_in(h, static_cast<std::uint64_t>(request_id));
  h = mix_in(h, static_cast<std::uint64_t>(position));
  return static_cast<double>(h >> 11) * 0x1p-53 < options.reject_rate;
}

Scheduler::Scheduler(const std::vector<TraceRequest>& requests, const ScheduleOptions& options,
                     std::vector<PageRules> rules)
    : requests_(requests),
      options_(options),
      rules_(std::move(rules)),
      state_held_(rules_.size(), 0),
      kv_held_(rules_.size(), 0) {
  totals_.state_pages.assign(rules_.size(), 0);
  totals_.kv_pages.assign(rules_.size(), 0);
  for (const PageRules& rule : rules_) {
    for (const TraceRequest& r : requests_) {
      const std::int64_t state = rule.decode_pages(options_.drafts);
      const std::int64_t cache = rule.cache_pages(tokens_of(r));
      if (state <= rule.state_pages && cache <= rule.kv_pages) continue;
      throw fail(
          "request {} ({} tokens): expected pools of at least {} state and {} cache pages for "
          "ratio "
          "{}, got {} and {}",
          r.id, tokens_of(r), state, cache, rule.ratio, rule.state_pages, rule.kv_pages);
    }
  }
}

/// Pages that hold the positions from the first one still needed to `end`.
std::int64_t Scheduler::state_use(std::size_t kind, const Running& r, std::int64_t end) const {
  const PageRules& rule = rules_[kind];
  return pages_for(end, rule.state_page_rows) - rule.keep_from(r.length) / rule.state_page_rows;
}

/// Adds or removes what a running request holds when its positions up to `end` have pages.
void Scheduler::count_state(const Running& r, std::int64_t end, std::int64_t sign) {
  for (std::size_t k = 0; k < rules_.size(); ++k) {
    state_held_[k] +=
        sign * std::max(state_use(k, r, end), rules_[k].decode_pages(options_.drafts));
  }
}

std::int64_t Scheduler::chunk_that_fits(const Running& r, std::int64_t wanted) const {
  for (std::size_t k = 0; k < rules_.size(); ++k) {
    const PageRules& rule = rules_[k];
    if (rule.state_pages >= kUnlimited) continue;
    const std::int64_t mine =
        std::max(state_use(k, r, r.allocated), rules_[k].decode_pages(options_.drafts));
    const std::int64_t pages = rule.state_pages - state_held_[k] + mine;
    const std::int64_t end =
        (rule.keep_from(r.length) / rule.state_page_rows + pages) * rule.state_page_rows;
    wanted = std::min(wanted, end - r.length);
  }
  return wanted;
}

void Scheduler::admit(std::int64_t budget) {
  const auto count = static_cast<std::int64_t>(requests_.size());
  while (budget > 0 && admitted_ < count && requests_[admitted_].arrival_us <= now_us_ &&
         static_cast<std::int64_t>(running_.size()) < options_.max_running) {
    for (std::size_t k = 0; k < rules_.size(); ++k) {
      if (state_held_[k] + rules_[k].decode_pages(options_.drafts) > rules_[k].state_pages) return;
      if (kv_held_[k] + rules_[k].cache_pages(tokens_of(requests_[admitted_])) > rules_[k].kv_pages)
        return;
    }
    Running r{admitted_, 0};
    if (free_slots_.empty()) {
      r.slot = static_cast<std::int32_t>(totals_.running++);
    } else {
      r.slot = free_slots_.back();
      free_slots_.pop_back();
    }
    count_state(r, 0, +1);
    for (std::size_t k = 0; k < rules_.size(); ++k)
      kv_held_[k] += rules_[k].cache_pages(tokens_of(requests_[admitted_]));
    running_.push_back(r);
    budget -= requests_[admitted_].input_tokens;
    ++admitted_;
  }
}

/// Puts the request's next tokens into the step and decides at once what becomes of the drafts.
void Scheduler::take_slice(Running& r, std::int64_t tokens, Step& step) {
  const TraceRequest& request = requests_[r.request];
  Slice s;
  s.request = r.request;
  s.slot = r.slot;
  s.first = r.length;
  s.tokens = tokens;
  s.prefill = r.length < request.input_tokens;
  s.starts = r.fresh;
  s.accepted = s.prefill ? tokens : 1;
  while (s.accepted < tokens && !rejects(options_, request.id, s.first + s.accepted))
    ++s.accepted;
  r.fresh = false;

  count_state(r, r.allocated, -1);
  r.allocated = std::max(r.allocated, s.first + tokens);
  count_state(r, r.allocated, +1);
  s.ends = s.first + s.accepted == tokens_of(request);
  step.slices.push_back(s);
  step.tokens += tokens;
  step.decode_only &= !s.prefill;
}

/// Moves every request of the step on; ended ones leave.
void Scheduler::retire() {
  std::erase_if(running_, [this](const Running& r) {
    if (r.length < tokens_of(requests_[r.request])) return false;
    count_state(r, r.allocated, -1);
    for (std::size_t k = 0; k < rules_.size(); ++k)
      kv_held_[k] -= rules_[k].cache_pages(tokens_of(requests_[r.request]));
    free_slots_.push_back(r.slot);
    return true;
  });
}

bool Scheduler::next(Step& step) {
  step.slices.clear();
  step.tokens = 0;
  step.decode_only = true;
  const auto count = static_cast<std::int64_t>(requests_.size());
  if (running_.empty()) {
    if (admitted_ == count) return false;
    now_us_ = std::max(now_us_, requests_[admitted_].arrival_us);  // nothing to do until then
  }
  step.time_us = now_us_;

  std::vector<std::size_t> members;  // of running_, one a slice
  const auto decoding = [this](const Running& r) {
    return r.length >= requests_[r.request].input_tokens;
  };
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Running& r = running_[i];
    const std::int64_t budget = options_.token_budget - step.tokens;
    if (budget == 0 || !decoding(r)) continue;
    const std::int64_t left = tokens_of(requests_[r.request]) - r.length;
    take_slice(r, std::min({options_.drafts + 1, left, budget}), step);
    members.push_back(i);
  }
  std::int64_t unstarted = 0;  // prompt tokens of requests that are in already
  for (const Running& r : running_) {
    if (!decoding(r)) unstarted += requests_[r.request].input_tokens - r.length;
  }
  admit(options_.token_budget - step.tokens - unstarted);
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Running& r = running_[i];
    const std::int64_t budget = options_.token_budget - step.tokens;
    if (budget == 0) break;
    if (decoding(r)) continue;
    const std::int64_t left = requests_[r.request].input_tokens - r.length;
    const std::int64_t tokens = chunk_that_fits(r, std::min(left, budget));
    if (tokens <= 0) continue;
    take_slice(r, tokens, step);
    members.push_back(i);
  }
  if (step.slices.empty()) throw fail("scheduler: expected a step, got none (a fault of Pleat)");

  for (std::size_t k = 0; k < rules_.size(); ++k) {
    totals_.state_pages[k] = std::max(totals_.state_pages[k], state_held_[k]);
    totals_.kv_pages[k] = std::max(totals_.kv_pages[k], kv_held_[k]);
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    Running& r = running_[members[i]];
    count_state(r, r.allocated, -1);
    r.length = step.slices[i].first + step.slices[i].accepted;
    count_state(r, r.allocated, +1);
  }
  retire();
  totals_.steps += 1;
  totals_.tokens += step.tokens;
  totals_.step_tokens = std::max(totals_.step_tokens, step.tokens);
  now_us_ += options_.step_us;
  return true;
}

}  // namespace pleat::tools
