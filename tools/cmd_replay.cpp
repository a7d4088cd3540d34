// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/commands.hpp"
#include "tools/error.hpp"
#include "tools/exec_options.hpp"
#include "tools/names.hpp"
#include "tools/option_checks.hpp"
#include "tools/output_file.hpp"
#include "tools/progress.hpp"
#include "tools/provenance.hpp"
#include "tools/replay.hpp"
#include "tools/replay_table.hpp"

namespace pleat::tools {
namespace {

constexpr const char* kAbout =
    "Replays a serving trace through the compressor layers of a model and judges what they "
    "left.\n\n"
    "Each request's first row in every layer and a sample of the others (--sample-rate, 1 % "
    "unless\n"
    "said otherwise) are recomputed in float64 and judged, by kind of layer: no code may be more\n"
    "than one quantum off, except where float32 cannot tell the values apart, less than 0.2 % of\n"
    "all may be one off, and one scale may be a power of two off, or one for every 200 judged\n"
    "rows (the fp32 scales of recipe sglang: 1e-5). All rows go into the digest. Neither rows "
    "that\n"
    "are final nor bytes that no row owns may change.\n\n"
    "TRACE gives arrivals and lengths of real requests: Mooncake JSON lines, Azure CSV, or a CSV\n"
    "of arrival ms, input tokens, output tokens. They are batched as serving engines do it "
    "(prompts\n"
    "in chunks, decode, drafts) with state and cache in pages from block pools, and each step "
    "runs\n"
    "every layer. Projections come from a counter-based generator, so sampled rows can be made\n"
    "again alone, in float64, and judged. The digest is that of the rows of all requests: it does\n"
    "not depend on budgets, batches, drafts, threads, pages or backend.\n\n"
    "Speeds count the compressor's time and bytes; generating projections is left out of both.\n"
    "On a GPU, events time the ops; its L2 may still hold projections, as after an engine's own.";

constexpr const char* kExample =
    "Exit status: 0 nothing wrong was found (the verdict says whether rows were verified),\n"
    "1 verification failed, 2 could not run, or was interrupted before its first step.\n\n"
    "Example:\n"
    "  pleat replay data/mooncake_excerpt.jsonl\n"
    "  pleat replay trace.csv --model flash --token-budget 4096 --drafts 3 --reject-rate 0.4 \\\n"
    "               --json replay.json";

struct CommandLine {
  std::string trace;
  ExecOptions exec;
  std::string model;
  std::string layers = "hca=1,csa=1,indexer=1";
  std::string recipe = "vllm";
  std::string row_format;
  std::string projection = "fp32";
  std::string state = "fp32";
  std::string policy;
  std::string op = "step";
  std::string json;
  std::string commit;
  double step_ms = 30;
  double cache_gb = 6;
  std::int64_t requests = 0;  ///< 0: all
  std::int64_t tokens = 0;    ///< 0: all
  bool with_row_format = false;
  bool no_verify = false;
  ReplayOptions replay;
};

DType dtype_of(const std::string& text) {
  return text == "bf16" ? DType::bf16 : DType::f32;
}

ReplayOptions options_of(const CommandLine& c) {
  ReplayOptions o = c.replay;
  o.exec = exec_of(c.exec);
  const auto recipe = named(kRecipes, c.recipe);
  if (!recipe) throw fail("--recipe: expected one of {}, got {}", names_of(kRecipes), c.recipe);
  o.recipe = *recipe;
  o.layers = c.model.empty() ? parse_layers(c.layers) : layers_of_model(c.model);
  o.row_formats = default_row_formats(o.recipe);
  if (c.with_row_format) o.row_formats = parse_row_formats(c.row_format, o.row_formats, o.layers);
  o.op = c.op == "split" ? ReplayOp::split : ReplayOp::step;
  // Without a word from the user: what is least work for the op that was asked for.
  const bool all = c.policy.empty() ? o.op == ReplayOp::split : c.policy == "all";
  o.policy = all ? StatePolicy::all : StatePolicy::tail;
  o.projection = dtype_of(c.projection);
  o.state = dtype_of(c.state);
  o.verify = !c.no_verify;
  o.schedule.step_us = std::llround(c.step_ms * 1000.0);
  o.cache_bytes = static_cast<std::int64_t>(c.cache_gb * 1073741824.0);
  return o;
}

/// Set by Ctrl-C; the second one ends the program at once, as without a handler.
std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_interrupt(int /*signal*/) {
  stop_requested.store(true);
  std::signal(SIGINT, SIG_DFL);
}

/// Ctrl-C ends the replay after its step, or while it prepares, while this lives.
class InterruptScope {
 public:
  InterruptScope() { before_ = std::signal(SIGINT, on_interrupt); }
  ~InterruptScope() { std::signal(SIGINT, before_); }
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  void (*before_)(int);
};

int run(const CommandLine& c) {
  const ReplayOptions options = options_of(c);
  const std::string json_label = "--json " + c.json;
  if (!c.json.empty()) {
    refuse_input(json_label, c.json, c.trace, "the trace");
    check_writable(json_label, c.json);
  }
  const Trace trace = read_trace(c.trace);
  const std::vector<TraceRequest> requests = first_requests(trace, c.requests, c.tokens);

  Progress progress;
  ReplayHooks hooks;
  hooks.stop = &stop_requested;
  hooks.preparing = [&](const char* what, std::int64_t done, std::int64_t total) {
    if (total == 0) progress.say(fmt::format("preparing {}", what));
    progress.update(done, total, [&] {
      return fmt::format("preparing {:.1f} GiB of {}", static_cast<double>(total) / (1 << 30),
                         what);
    });
  };
  hooks.after_step = [&](std::int64_t done, std::int64_t total, const ReplayReport& r) {
    progress.update(done, total, [&] {
      return fmt::format("{} of {} requests, step {}, {:.0f} s of traffic", r.requests_done,
                         r.requests, r.steps, r.virtual_seconds);
    });
  };
  const InterruptScope interruptible;
  const ReplayReport report = replay(requests, options, hooks);
  progress.finish();

  const ReplayTitle title{c.trace, name(trace.format), &options, c.requests, c.tokens};
  fmt::print("{}", replay_table(title, report, isatty(STDOUT_FILENO) == 1));
  if (!c.json.empty()) {
    make_folder_of(json_label, c.json);
    nlohmann::json json = replay_json(title, report);
    json["header"] = provenance(c.commit);
    write_file(json_label, c.json, [&](std::ostream& out) { out << json.dump(2) << '\n'; });
  }
  return report.ok() ? 0 : 1;
}

/// What would be passed over in silence. --threads is not: on every backend it is the threads that
/// recompute rows.
void refuse_ignored(const CLI::App& command, const CommandLine& c) {
  refuse_unused(command, c.exec, {"--simd"});
  if (command.count("--reject-rate") > 0 && command.count("--drafts") == 0) {
    throw fail("--reject-rate: expected with --drafts alone, got it without");
  }
}

void add_model_options(CLI::App& command, CommandLine& c) {
  auto* model = command.add_option("--model", c.model,
                                   "All compressor layers of a model: flash (20 HCA, 21 CSA, 21 "
                                   "indexer) or pro (31, 30, 30)");
  model->check(CLI::IsMember({"flash", "pro"}));
  command
      .add_option("--layers", c.layers,
                  "Layers by kind, instead of a model, as in hca=20,csa=21,indexer=21; a kind that "
                  "is not named has none")
      ->option_text("LIST")
      ->capture_default_str()
      ->excludes(model);
  command.add_option("--recipe", c.recipe, "Whose roundings: deepseek, vllm, vllm_triton, sglang")
      ->check(CLI::IsMember({"deepseek", "vllm", "vllm_triton", "sglang"}))
      ->capture_default_str();
  command
      .add_option(
          "--row-format", c.row_format,
          fmt::format("Row formats by kind, as in hca=bf16,csa=bf16. hca and csa: {}; indexer: {} "
                      "[{}; recipe deepseek: indexer={}]",
                      formats_of(Kind::csa), formats_of(Kind::indexer),
                      text_of(default_row_formats(Recipe::vllm), {1, 1, 1}),
                      pleat::name(default_row_formats(Recipe::deepseek).back())))
      ->option_text("LIST");
  command.add_option("--proj-dtype", c.projection, "Projections: fp32 or bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  command.add_option("--state-dtype", c.state, "State: fp32 or bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  command
      .add_option("--state-policy", c.policy,
                  "Which state rows a step writes: tail (those that a later step may need) or all "
                  "[tail; all with --op split]")
      ->check(CLI::IsMember({"all", "tail"}));
  command
      .add_option("--op", c.op,
                  "step: one call a layer; split: save_state, compress and norm_rope_store. Same "
                  "bytes")
      ->check(CLI::IsMember({"step", "split"}))
      ->capture_default_str();
}

void add_schedule_options(CLI::App& command, CommandLine& c) {
  ScheduleOptions& s = c.replay.schedule;
  command.add_option("--token-budget", s.token_budget, "Tokens of one step, at most; 1 to 1048576")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str();
  command
      .add_option("--max-running", s.max_running, "Requests in the batch, at most; 1 to 1048576")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--drafts", s.drafts, "Draft tokens that each decode step tries; 0 to 64")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  command.add_option("--reject-rate", s.reject_rate, "Chance that a draft is rejected")
      ->check(number_within(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--step-ms", c.step_ms, "How long a step takes in the trace's time")
      ->check(number_within(0.001, 1e6))
      ->capture_default_str();
  command
      .add_option("--pad", c.replay.padding,
                  "Decode steps are padded to a multiple of this; 1 to 4096")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--cache-gb", c.cache_gb,
                  "GiB for state and cache of all layers, at most: with less than the traffic "
                  "wants, requests wait")
      ->check(number_within(0.0, 1e6))
      ->capture_default_str();
  command.add_option("--requests", c.requests, "Only the first so many requests [all]")
      ->check(CLI::Range(std::int64_t{1}, kUnlimited));
  command
      .add_option("--limit-tokens", c.tokens,
                  "Only the first requests that have at most N tokens together, but at least one "
                  "request [all]")
      ->option_text("N")
      ->check(CLI::Range(std::int64_t{1}, kUnlimited));
  command.add_option("--seed", s.seed, "Seed of projections, weights, drafts and samples")
      ->transform(whole_number_64())
      ->capture_default_str();
}

}  // namespace

void add_replay(CLI::App& app, int& exit_code) {
  auto c = std::make_shared<CommandLine>();
  CLI::App* command = app.add_subcommand("replay", kAbout);
  command->footer(kExample);
  command->add_option("TRACE", c->trace, "The trace file")->required();
  add_exec_options(
      *command, c->exec,
      "Threads of the cpu backend and, on every backend, of recomputing rows; 0 is one "
      "per core. The bytes do not depend on it");
  add_model_options(*command, *c);
  add_schedule_options(*command, *c);
  auto* rate =
      command
          ->add_option("--sample-rate", c->replay.sample_rate,
                       "Share of rows that are recomputed and judged, beside each request's first; "
                       "0: none, not even those")
          ->check(number_within(0.0, 1.0))
          ->capture_default_str();
  command
      ->add_flag("--no-verify", c->no_verify, "Recompute no rows (the digest is made all the same)")
      ->excludes(rate);
  auto* json = command->add_option("--json", c->json, "Write the figures to this file as well")
                   ->check(name_of_file())
                   ->option_text("FILE");
  command
      ->add_option("--commit", c->commit,
                   "Commit to put into that file; by default what git says here")
      ->option_text("TEXT")
      ->needs(json);
  command->callback([c, command, &exit_code] {
    refuse_ignored(*command, *c);
    c->with_row_format = command->count("--row-format") > 0;
    exit_code = run(*c);
  });
}

}  // namespace pleat::tools
