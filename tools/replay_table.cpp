// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

namespace pleat::tools {
namespace {

double per_second(double amount, double seconds) {
  return seconds > 0 ? amount / seconds : 0.0;
}

double gigabytes_per_second(std::int64_t bytes, double seconds) {
  return per_second(static_cast<double>(bytes), seconds) * 1e-9;
}

double total(const std::vector<double>& seconds) {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

/// Of the time, what a plain read of the same bytes would take.
std::string share_text(const ReplayReport& r, std::int64_t bytes, double seconds) {
  if (r.read_limit_gbs <= 0) return "-";
  return fmt::format("{:.0f} %", 100 * r.share_of_limit(bytes, seconds));
}

/// 12345678 as "12,345,678"; n >= 0.
std::string grouped(std::int64_t n) {
  if (n < 1000) return std::to_string(n);
  return grouped(n / 1000) + fmt::format(",{:03}", n % 1000);
}

std::string size_text(std::int64_t bytes) {
  const auto b = static_cast<double>(bytes);
  return b >= 1073741824.0 ? fmt::format("{:.2f} GiB", b / 1073741824.0)
                           : fmt::format("{:.1f} MiB", b / 1048576.0);
}

std::string milliseconds(double seconds) {
  return fmt::format("{:.3f}", seconds * 1e3);
}

const char* name(ReplayOp op) {
  return op == ReplayOp::step ? "step" : "save_state + compress + norm_rope_store";
}

const char* name(DType t) {
  return t == DType::bf16 ? "bf16" : "fp32";
}

class Table {
 public:
  explicit Table(bool colour) : colour_(colour) {}

  template <typename... Args>
  void line(const char* label, fmt::format_string<Args...> text, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), "{:<14}{}\n", label,
                   fmt::format(text, std::forward<Args>(args)...));
  }
  void verdict(bool good, const std::string& words) {
    const char* on = good ? "\033[32m" : "\033[31m";
    line("verdict", "{}{}{}", colour_ ? on : "", words, colour_ ? "\033[0m" : "");
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  bool colour_;
  std::string text_;
};

void add_latency(Table& table, const char* label, const ReplayReport& r, const StepTimes& steps) {
  if (steps.seconds.empty()) return;
  table.line(label, "p50 {} ms   p99 {} ms   {} at the read limit   ({} steps)",
             milliseconds(percentile(steps.seconds, 0.5)),
             milliseconds(percentile(steps.seconds, 0.99)),
             share_text(r, steps.bytes, total(steps.seconds)), grouped(std::ssize(steps.seconds)));
}

void add_kinds(Table& table, const ReplayReport& r) {
  table.line("layers", "{:<8} {:>6}  {:<12} {:>13} {:>9} {:>8}  {}", "kind", "layers", "row format",
             "rows", "GB/s", "of read", "code");
  for (const KindReport& k : r.kinds) {
    table.line("", "{:<8} {:>6}  {:<12} {:>13} {:>9.2f} {:>8}  {}", k.name, k.layers, k.row_format,
               grouped(k.rows), gigabytes_per_second(k.bytes, k.seconds),
               share_text(r, k.bytes, k.seconds), k.code);
  }
}

std::int64_t rows_verified(const ReplayReport& r) {
  std::int64_t rows = 0;
  for (const KindReport& k : r.kinds)
    rows += k.verified.rows;
  return rows;
}

void add_verification(Table& table, const ReplayReport& r) {
  for (const KindReport& k : r.kinds) {
    if (rows_verified(r) == 0) break;
    table.line("verified",
               "{:<8} {:>9} rows, {:>11} codes: {} off by one ({:.1e}), {} further, {} "
               "scales differ",
               k.name, grouped(k.verified.rows), grouped(k.verified.counts.codes),
               grouped(k.verified.counts.one_quantum), k.verified.off_by_one_rate(),
               grouped(k.verified.counts.further), grouped(k.verified.counts.scales));
    if (!k.verified.first_failure.empty()) table.line("", "{}", k.verified.first_failure);
  }
  if (r.changed_requests > 0) {
    table.line("", "{} requests whose rows changed after they were final",
               grouped(r.changed_requests));
  }
  if (r.stray_bytes > 0) {
    table.line("", "{} bytes written that no row owns", grouped(r.stray_bytes));
  }
}

/// Says "verified" only where something was.
std::string verdict_of(const ReplayReport& r) {
  if (!r.ok()) return "FAILED: the cache does not hold what it should";
  if (rows_verified(r) == 0) {
    return r.interrupted ? "interrupted, no rows verified" : "ran to its end, rows not verified";
  }
  return r.interrupted ? "interrupted; verified so far" : "verified";
}

/// All that it takes to run the same again.
nlohmann::json options_json(const ReplayTitle& title) {
  const ReplayOptions& o = *title.options;
  const auto limit = [](std::int64_t n) { return n > 0 ? nlohmann::json(n) : nlohmann::json(); };
  return {{"op", o.op == ReplayOp::step ? "step" : "split"},
          {"layers", text_of(o.layers)},
          {"recipe", pleat::name(o.recipe)},
          {"row_format", text_of(o.row_formats, o.layers)},
          {"backend", pleat::name(o.exec.backend)},
          {"simd", pleat::name(o.exec.simd)},
          {"threads", o.exec.threads},
          {"variant", pleat::name(o.exec.variant)},
          {"checked", o.exec.checked},
          {"projection", name(o.projection)},
          {"state", name(o.state)},
          {"state_policy", pleat::name(o.policy)},
          {"token_budget", o.schedule.token_budget},
          {"max_running", o.schedule.max_running},
          {"drafts", o.schedule.drafts},
          {"reject_rate", o.schedule.reject_rate},
          {"step_ms", static_cast<double>(o.schedule.step_us) * 1e-3},
          {"pad", o.padding},
          {"cache_gb", static_cast<double>(o.cache_bytes) / 1073741824.0},
          {"requests", limit(title.requests)},
          {"limit_tokens", limit(title.limit_tokens)},
          {"seed", o.schedule.seed},
          {"sample_rate", o.sample_rate}};
}

}  // namespace

double percentile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::ptrdiff_t>(std::ceil(q * static_cast<double>(values.size())));
  const auto at = values.begin() + std::clamp<std::ptrdiff_t>(rank - 1, 0, std::ssize(values) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::string replay_table(const ReplayTitle& title, const ReplayReport& r, bool colour) {
  const ReplayOptions& o = *title.options;
  std::int64_t state = 0;
  std::int64_t cache = 0;
  for (const KindReport& k : r.kinds) {
    state += k.state_bytes;
    cache += k.cache_bytes;
  }
  Table table(colour);
  table.line("trace", "{} ({}), {} requests", title.trace, title.format, grouped(r.requests));
  table.line("run", "{}, recipe {}, projections {}, state {} ({}), backend {}", name(o.op),
             pleat::name(o.recipe), name(o.projection), name(o.state), pleat::name(o.policy),
             pleat::name(o.exec.backend));
  table.line("machine", "{}", r.machine);
  if (r.interrupted) {
    table.line("", "INTERRUPTED after {} of {} requests; what follows is up to there",
               grouped(r.requests_done), grouped(r.requests));
  }
  table.line("steps", "{} ({} decode only, {} with prefill), at most {} requests at once",
             grouped(r.steps), grouped(r.steps_decode), grouped(r.steps - r.steps_decode),
             grouped(r.peak_running));
  table.line("tokens", "{}{}", grouped(r.tokens),
             r.drafts_rejected > 0
                 ? fmt::format(", {} of them drafts that were rejected", grouped(r.drafts_rejected))
                 : "");
  table.line("rows", "{}", grouped(r.rows()));
  table.line("calls", "{:.0f} per step, {:.0f} plans per step",
             per_second(static_cast<double>(r.calls), static_cast<double>(r.steps)),
             per_second(static_cast<double>(r.plans), static_cast<double>(r.steps)));
  if (r.launches_per_step > 0) {
    table.line("launches", "{} per step, 1 per plan", r.launches_per_step);
  }
  table.line("speed", "{} tokens/s, {:.2f} GB/s",
             grouped(std::llround(per_second(static_cast<double>(r.tokens), r.compressor_seconds))),
             gigabytes_per_second(r.bytes(), r.compressor_seconds));
  if (r.read_limit_gbs > 0) {
    table.line("read limit", "{:.2f} GB/s in a plain read here: {} of the compressor's time",
               r.read_limit_gbs, share_text(r, r.bytes(), r.compressor_seconds));
  }
  table.line("time",
             "{:.2f} s preparing, {:.2f} s compressing, {:.2f} s generating projections (not in "
             "any rate), {:.2f} s verifying; {:.2f} s in all for {:.0f} s of traffic",
             r.preparing_seconds, r.compressor_seconds, r.generator_seconds, r.verify_seconds,
             r.wall_seconds, r.virtual_seconds);
  add_latency(table, "decode steps", r, r.decode);
  add_latency(table, "mixed steps", r, r.mixed);
  add_kinds(table, r);
  table.line("memory", "state {}, cache {}, projections {}, block tables {}", size_text(state),
             size_text(cache), size_text(r.projection_bytes), size_text(r.table_bytes));
  add_verification(table, r);
  // A sum over nothing is 0, which would look like any other digest.
  if (r.digest == 0) {
    table.line("digest", "none (no rows)");
  } else {
    table.line("digest", "{:016x} (rows of {} requests)", r.digest, grouped(r.requests_done));
  }
  table.verdict(r.ok(), verdict_of(r));
  return table.take();
}

nlohmann::json replay_json(const ReplayTitle& title, const ReplayReport& r) {
  const auto latency = [&r](const StepTimes& s) {
    return nlohmann::json{{"steps", s.seconds.size()},
                          {"p50_s", percentile(s.seconds, 0.5)},
                          {"p99_s", percentile(s.seconds, 0.99)},
                          {"share_of_read_limit", r.share_of_limit(s.bytes, total(s.seconds))}};
  };
  nlohmann::json kinds = nlohmann::json::array();
  for (const KindReport& k : r.kinds) {
    kinds.push_back({{"kind", k.name},
                     {"row_format", k.row_format},
                     {"code", k.code},
                     {"layers", k.layers},
                     {"rows", k.rows},
                     {"bytes", k.bytes},
                     {"seconds", k.seconds},
                     {"gb_per_s", gigabytes_per_second(k.bytes, k.seconds)},
                     {"share_of_read_limit", r.share_of_limit(k.bytes, k.seconds)},
                     {"state_bytes", k.state_bytes},
                     {"cache_bytes", k.cache_bytes},
                     {"verified",
                      {{"rows", k.verified.rows},
                       {"codes", k.verified.counts.codes},
                       {"one_quantum", k.verified.counts.one_quantum},
                       {"further", k.verified.counts.further},
                       {"scales", k.verified.counts.scales},
                       {"ok", k.verified.ok()}}}});
  }
  return {{"format", "pleat-replay/1"},
          {"pleat", version()},
          {"trace", title.trace},
          {"trace_format", title.format},
          {"options", options_json(title)},
          {"machine", r.machine},
          {"interrupted", r.interrupted},
          {"requests", r.requests},
          {"requests_done", r.requests_done},
          {"steps", r.steps},
          {"steps_decode", r.steps_decode},
          {"tokens", r.tokens},
          {"drafts_rejected", r.drafts_rejected},
          {"rows", r.rows()},
          {"calls", r.calls},
          {"plans", r.plans},
          {"launches_per_step", r.launches_per_step},
          {"peak_running", r.peak_running},
          {"virtual_s", r.virtual_seconds},
          {"wall_s", r.wall_seconds},
          {"preparing_s", r.preparing_seconds},
          {"compressor_s", r.compressor_seconds},
          {"generator_s", r.generator_seconds},
          {"verify_s", r.verify_seconds},
          {"tokens_per_s", per_second(static_cast<double>(r.tokens), r.compressor_seconds)},
          {"gb_per_s", gigabytes_per_second(r.bytes(), r.compressor_seconds)},
          {"read_limit_gb_per_s", r.read_limit_gbs},
          {"share_of_read_limit", r.share_of_limit(r.bytes(), r.compressor_seconds)},
          {"decode_steps", latency(r.decode)},
          {"mixed_steps", latency(r.mixed)},
          {"projection_bytes", r.projection_bytes},
          {"table_bytes", r.table_bytes},
          {"kinds", std::move(kinds)},
          {"verify", r.verify},
          {"rows_verified", rows_verified(r)},
          {"verdict", verdict_of(r)},
          {"changed_requests", r.changed_requests},
          {"stray_bytes", r.stray_bytes},
          {"digest", fmt::format("{:016x}", r.digest)},
          {"ok", r.ok()}};
}

}  // namespace pleat::tools
