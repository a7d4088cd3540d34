// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <pleat/pleat.hpp>
#include <string>
#include <vector>

#include "tools/replay_device.hpp"
#include "tools/replay_model.hpp"
#include "tools/replay_verify.hpp"
#include "tools/schedule.hpp"
#include "tools/trace.hpp"

namespace pleat::tools {

struct ReplayOptions {
  LayerCounts layers{1, 1, 1};
  Recipe recipe = Recipe::vllm;
  RowFormats row_formats = default_row_formats(Recipe::vllm);
  Exec exec;
  ReplayOp op = ReplayOp::step;
  StatePolicy policy = StatePolicy::tail;  ///< split needs all
  ScheduleOptions schedule;
  DType projection = DType::f32;
  DType state = DType::f32;
  std::int64_t padding = 16;  ///< decode steps are padded to a multiple of this many tokens
  std::int64_t cache_bytes = std::int64_t{6} << 30;  ///< state and cache of all layers, at most
  bool verify = true;
  double sample_rate = 0.01;  ///< of rows that are recomputed
  bool measure_limit = true;
};

/// One kind of layer, for the report.
struct KindReport {
  std::string name;
  std::string row_format;
  std::string code;  ///< what ran, for instance "cpu/avx512"
  std::int64_t layers = 0;
  std::int64_t rows = 0;   ///< final rows, all layers
  std::int64_t bytes = 0;  ///< that its ops read and wrote
  double seconds = 0;      ///< in its ops
  std::int64_t state_bytes = 0;
  std::int64_t cache_bytes = 0;
  VerifyTotals verified;
};

/// Steps of one sort.
struct StepTimes {
  std::vector<double> seconds;  ///< the compressor's, all layers, of each
  std::int64_t bytes = 0;       ///< that the ops of all of them read and wrote
};

struct ReplayReport {
  std::string machine;  ///< the GPU, or the processor and its cores
  bool interrupted = false;
  std::int64_t requests = 0;
  std::int64_t requests_done = 0;
  std::int64_t steps = 0;
  std::int64_t steps_decode = 0;
  std::int64_t tokens = 0;  ///< through the compressor, rejected drafts included
  std::int64_t drafts_rejected = 0;
  std::int64_t calls = 0;              ///< of ops, plans not among them
  std::int64_t launches_per_step = 0;  ///< kernels of all layers, plans not among them; 0: no GPU
  std::int64_t plans = 0;
  std::int64_t peak_running = 0;
  double virtual_seconds = 0;     ///< in the trace's time
  double wall_seconds = 0;        ///< all that follow together, and what lies between
  double preparing_seconds = 0;   ///< the schedule, the memory and the read limit
  double compressor_seconds = 0;  ///< ops and plans
  double generator_seconds = 0;
  double verify_seconds = 0;
  double read_limit_gbs = 0;  ///< 0: not measured
  std::int64_t projection_bytes = 0;
  std::int64_t table_bytes = 0;  ///< block tables: the scheduler's, and what the ops read of them
  StepTimes decode;              ///< steps without prefill
  StepTimes mixed;               ///< the others
  std::vector<KindReport> kinds;
  bool verify = true;
  std::int64_t changed_requests = 0;  ///< whose rows changed after they were final
  std::int64_t stray_bytes = 0;
  std::uint64_t digest = 0;  ///< of the rows of the requests that are done

  [[nodiscard]] std::int64_t rows() const;
  [[nodiscard]] std::int64_t bytes() const;
  /// Part of `seconds` that a plain read of the bytes would take; 0 where the limit is not known.
  [[nodiscard]] double share_of_limit(std::int64_t bytes, double seconds) const;
  /// Nothing that was checked was found wrong.
  [[nodiscard]] bool ok() const;
};

/// What the caller of a replay may hook into.
struct ReplayHooks {
  /// Makes the device; null: by options.exec.backend.
  std::function<std::unique_ptr<ReplayDevice>(const ReplaySetup&)> make_device;
  /// Before the first step: what is prepared, and how much of it is done, in bytes; 0 of 0 where
  /// that is not known.
  std::function<void(const char*, std::int64_t, std::int64_t)> preparing;
  /// After each step: tokens done, tokens in all, and the report so far.
  std::function<void(std::int64_t, std::int64_t, const ReplayReport&)> after_step;
  /// Once true, the replay ends after the step it is in; while it prepares, by an Error.
  const std::atomic<bool>* stop = nullptr;
};

/// Replays a trace's requests through the model's compressor layers. Throws Error for options that
/// do not fit together, for a trace that needs more memory than allowed, and when an op fails.
ReplayReport replay(const std::vector<TraceRequest>& requests, const ReplayOptions& options,
                    const ReplayHooks& hooks = {});

/// The first requests of a trace: at most `requests`, and only as many as have `tokens` tokens
/// together (always at least one). 0 is no limit.
std::vector<TraceRequest> first_requests(const Trace& trace, std::int64_t requests,
                                         std::int64_t tokens);

}  // namespace pleat::tools
