// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "tools/error.hpp"
#include "tools/replay_call.hpp"
#include "tools/replay_pools.hpp"
#include "tools/replay_step.hpp"

namespace pleat::tools {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check_options(const ReplayOptions& o) {
  if (o.op == ReplayOp::split && o.policy == StatePolicy::tail) {
    throw fail(
        "--op split: expected --state-policy all, got tail: compress reads every row of a window "
        "from the state");
  }
  if (o.schedule.token_budget > (std::int64_t{1} << 20)) {
    throw fail("--token-budget: expected at most {}, got {}", 1 << 20, o.schedule.token_budget);
  }
}

void end_if_stopped(const ReplayHooks& hooks) {
  if (hooks.stop != nullptr && hooks.stop->load(std::memory_order_relaxed)) {
    throw fail("interrupted before the first step: nothing was replayed");
  }
}

/// Between two parts of the set-up, each of which may take seconds.
void prepare(const ReplayHooks& hooks, const char* what, std::int64_t done = 0,
             std::int64_t total = 0) {
  end_if_stopped(hooks);
  if (hooks.preparing) hooks.preparing(what, done, total);
}

ReplaySetup make_setup(const std::vector<TraceRequest>& requests, const ReplayOptions& options,
                       const PoolPlan& pools, const ReplayHooks& hooks) {
  ReplaySetup setup;
  setup.preparing = [&hooks](std::int64_t done, std::int64_t total) {
    prepare(hooks, "state and cache", done, total);
  };
  setup.model = make_model(options.layers, options.recipe, options.row_formats);
  setup.exec = options.exec;
  setup.op = options.op;
  setup.write = {options.policy, static_cast<std::int32_t>(options.schedule.drafts)};
  setup.projection = options.projection;
  setup.state = options.state;
  setup.seed = options.schedule.seed;
  setup.max_tokens =
      (pools.totals.step_tokens + options.padding - 1) / options.padding * options.padding;
  setup.slots = pools.totals.running;
  for (const TraceRequest& r : requests) {
    setup.max_positions = std::max(setup.max_positions, tokens_of(r));
    setup.requests = std::max(setup.requests, r.id + 1);
  }
  for (std::size_t k = 0; k < pools.rules.size(); ++k) {
    const PageRules& rule = pools.rules[k];
    setup.state_pages.push_back(rule.state_pages + 1);
    setup.kv_pages.push_back(rule.kv_pages + 1);
    setup.state_blocks.push_back((setup.max_positions + rule.state_page_rows - 1) /
                                 rule.state_page_rows);
  }
  const std::int32_t rope_dim = setup.model.kinds.front().compressor.geometry.rope_dim;
  auto rope = std::make_shared<std::vector<float>>(
      static_cast<std::size_t>(setup.max_positions * rope_dim));
  const Status built = build_rope_table(
      options.recipe, TensorView::packed(rope->data(), DType::f32, setup.max_positions, rope_dim));
  if (!built.ok()) throw fail("replay: {}", built.message());
  setup.rope = std::move(rope);
  return setup;
}

/// One replay from its first step to its report.
class Replayer {
 public:
  Replayer(const std::vector<TraceRequest>& requests, const ReplayOptions& options,
           const ReplayHooks& hooks)
      : requests_(requests),
        options_(options),
        hooks_(hooks),
        pools_(plan_pools(requests, options.schedule,
                          make_model(options.layers, options.recipe, options.row_formats),
                          size_of(options.state), options.cache_bytes,
                          [&hooks] { end_if_stopped(hooks); })),
        setup_(make_setup(requests, options, pools_, hooks)),
        verifier_(setup_, options.sample_rate),
        builder_(setup_, requests, pools_.rules, options.padding),
        groups_(groups_of(setup_)) {
    for (const std::size_t p : setup_.plan_of_kinds()) {
      plans_ = std::max(plans_, static_cast<std::int64_t>(p) + 1);
    }
    device_ = hooks.make_device ? hooks.make_device(setup_) : make_replay_device(setup_);
  }

  ReplayReport run();

 private:
  void run_step(const Step& step);
  void verify_rows(std::size_t layer, std::span<const RowRef> rows);
  void collect_rows(const Step& step);
  void finish_report();

  const std::vector<TraceRequest>& requests_;
  const ReplayOptions& options_;
  const ReplayHooks& hooks_;
  PoolPlan pools_;
  ReplaySetup setup_;
  RowVerifier verifier_;
  StepBuilder builder_;
  std::vector<LayerGroup> groups_;
  std::unique_ptr<ReplayDevice> device_;
  std::int64_t plans_ = 0;  ///< in one step
  ReplayReport report_;
  std::vector<bool> done_;
  std::vector<std::uint8_t> row_bytes_;
};

void Replayer::run_step(const Step& step) {
  const StepInput& input = builder_.build(step);
  device_->begin_step(input);
  for (const LayerGroup& group : groups_)
    device_->run(group);
  const StepSeconds seconds = device_->finish_step();
  const double ops = std::accumulate(seconds.ops.begin(), seconds.ops.end(), seconds.plans);
  report_.compressor_seconds += ops;
  report_.generator_seconds += seconds.generator;
  StepTimes& times = step.decode_only ? report_.decode : report_.mixed;
  times.seconds.push_back(ops);
  for (std::size_t k = 0; k < setup_.model.kinds.size(); ++k) {
    const std::int64_t bytes = builder_.bytes(k, step) * setup_.model.kinds[k].layers;
    report_.kinds[k].seconds += seconds.ops[k];
    report_.kinds[k].bytes += bytes;
    times.bytes += bytes;
  }
  for (const LayerGroup& group : groups_)
    report_.calls += calls_of(group, options_.op);
  report_.plans += plans_;
  report_.steps += 1;
  report_.steps_decode += step.decode_only;
  report_.tokens += step.tokens;
  for (const Slice& s : step.slices)
    report_.drafts_rejected += s.tokens - s.accepted;
  report_.virtual_seconds = static_cast<double>(step.time_us + options_.schedule.step_us) * 1e-6;
}

/// Queues those rows of a layer that are sampled.
void Replayer::verify_rows(std::size_t layer, std::span<const RowRef> rows) {
  std::vector<RowRef> samples;
  for (const RowRef& r : rows) {
    if (verifier_.sampled(layer, r.request, r.row)) samples.push_back(r);
  }
  if (samples.empty()) return;
  const KindSpec& spec = setup_.model.kind_of(setup_.model.layers[layer]);
  const auto size = static_cast<std::size_t>(spec.row().row_bytes());
  row_bytes_.resize(samples.size() * size);
  device_->read_rows(layer, samples, row_bytes_.data());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    verifier_.add(layer, samples[i], row_bytes_.data() + i * size);
  }
}

/// Digests rows that became final, queues those that are sampled, and digests the rows of ending
/// requests once more, from the cache as they leave it.
void Replayer::collect_rows(const Step& step) {
  const Model& model = setup_.model;
  std::vector<std::vector<RowRef>> final_rows;
  std::vector<std::vector<RowRef>> finished;
  std::vector<RowList> lists;
  for (std::size_t k = 0; k < model.kinds.size(); ++k) {
    // A RowList looks into an inner vector, which stays where it is when the outer one grows.
    final_rows.push_back(builder_.final_rows(k, step));
    finished.push_back(builder_.finished_rows(k, step));
    lists.push_back({k, DigestOf::final_rows, final_rows[k]});
    lists.push_back({k, DigestOf::finished_rows, finished[k]});
    report_.kinds[k].rows += std::ssize(final_rows[k]) * model.kinds[k].layers;
  }
  device_->add_digests(lists);
  for (std::size_t layer = 0; options_.verify && layer < model.layers.size(); ++layer) {
    verify_rows(layer, final_rows[model.layers[layer].kind]);
  }
  for (const Slice& s : step.slices) {
    if (!s.ends) continue;
    done_[static_cast<std::size_t>(requests_[s.request].id)] = true;
    report_.requests_done += 1;
  }
}

ReplayReport Replayer::run() {
  const auto start = Clock::now();
  const Model& model = setup_.model;
  report_.requests = static_cast<std::int64_t>(requests_.size());
  report_.verify = options_.verify;
  if (options_.exec.backend == Backend::cuda) {
    for (const LayerGroup& group : groups_)
      report_.launches_per_step += launches_of(group, options_.op);
  }
  report_.kinds.resize(model.kinds.size());
  done_.assign(static_cast<std::size_t>(setup_.requests), false);

  Scheduler scheduler(requests_, options_.schedule, pools_.rules);
  Step step;
  while (scheduler.next(step)) {
    run_step(step);
    const auto checking = Clock::now();
    collect_rows(step);
    builder_.release(step);
    report_.verify_seconds += seconds_since(checking);
    if (hooks_.after_step) hooks_.after_step(report_.tokens, pools_.totals.tokens, report_);
    if (hooks_.stop != nullptr && hooks_.stop->load(std::memory_order_relaxed)) break;
  }
  report_.interrupted = report_.requests_done < report_.requests;
  report_.peak_running = scheduler.totals().running;
  const auto checking = Clock::now();
  finish_report();
  report_.verify_seconds += seconds_since(checking);
  report_.wall_seconds = seconds_since(start);
  return std::move(report_);
}

void Replayer::finish_report() {
  const Model& model = setup_.model;
  verifier_.finish();
  for (std::size_t k = 0; k < model.kinds.size(); ++k) {
    const KindSpec& spec = model.kinds[k];
    KindReport& kind = report_.kinds[k];
    kind.name = name(spec.kind);
    kind.row_format = pleat::name(spec.compressor.row_format);
    kind.code = device_->describe(k);
    kind.layers = spec.layers;
    kind.state_bytes = spec.layers * state_of(setup_, k).bytes();
    kind.cache_bytes = spec.layers * cache_of(setup_, k).bytes();
    kind.verified = verifier_.totals()[k];
    report_.projection_bytes += projection_bytes(setup_, k);
    report_.table_bytes +=
        builder_.pages(k).table_bytes() + setup_.slots * setup_.state_blocks[k] * 4;
  }
  const std::vector<std::uint64_t> when_final = device_->digests(DigestOf::final_rows);
  const std::vector<std::uint64_t> when_finished = device_->digests(DigestOf::finished_rows);
  for (std::size_t r = 0; r < done_.size(); ++r) {
    if (!done_[r]) continue;
    report_.digest += when_finished[r];
    report_.changed_requests += when_final[r] != when_finished[r];
  }
  report_.stray_bytes = device_->stray_bytes();
}

}  // namespace

std::int64_t ReplayReport::rows() const {
  std::int64_t n = 0;
  for (const KindReport& k : kinds)
    n += k.rows;
  return n;
}

std::int64_t ReplayReport::bytes() const {
  std::int64_t n = 0;
  for (const KindReport& k : kinds)
    n += k.bytes;
  return n;
}

double ReplayReport::share_of_limit(std::int64_t bytes, double seconds) const {
  if (read_limit_gbs <= 0 || seconds <= 0) return 0;
  return static_cast<double>(bytes) / (read_limit_gbs * 1e9) / seconds;
}

bool ReplayReport::ok() const {
  return changed_requests == 0 && stray_bytes == 0 &&
         std::all_of(kinds.begin(), kinds.end(),
                     [](const KindReport& k) { return k.verified.ok(); });
}

std::vector<TraceRequest> first_requests(const Trace& trace, std::int64_t requests,
                                         std::int64_t tokens) {
  std::vector<TraceRequest> chosen;
  std::int64_t total = 0;
  for (const TraceRequest& r : trace.requests) {
    total += tokens_of(r);
    if (requests > 0 && static_cast<std::int64_t>(chosen.size()) == requests) break;
    if (tokens > 0 && total > tokens && !chosen.empty()) break;
    chosen.push_back(r);
  }
  return chosen;
}

ReplayReport replay(const std::vector<TraceRequest>& requests, const ReplayOptions& options,
                    const ReplayHooks& hooks) {
  check_options(options);
  const auto start = Clock::now();
  prepare(hooks, "the schedule");
  Replayer replayer(requests, options, hooks);
  prepare(hooks, "the read limit");
  double limit = 0;
  if (options.measure_limit) limit = measure_read_limit_of(options.exec);
  end_if_stopped(hooks);
  const double preparing = seconds_since(start);
  ReplayReport report = replayer.run();
  report.preparing_seconds = preparing;
  report.wall_seconds += preparing;
  report.read_limit_gbs = limit;
  report.machine = machine_of(options.exec);
  return report;
}

}  // namespace pleat::tools
