// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <pleat/pleat.hpp>
#include <span>
#include <string>
#include <vector>

#include "tools/block_pool.hpp"
#include "tools/replay_model.hpp"

namespace pleat::tools {

/// Which ops a step is made of. All give the same bytes.
enum class ReplayOp : std::uint8_t {
  step,   ///< one call: step; csa_step for a CSA layer and its indexer
  split,  ///< three calls: save_state, compress, norm_rope_store
};

/// What a device needs to know before the first step.
struct ReplaySetup {
  Model model;
  Exec exec;
  ReplayOp op = ReplayOp::step;
  StateWrite write;
  DType projection = DType::f32;
  DType state = DType::f32;
  std::uint64_t seed = 0;
  std::int64_t max_tokens = 0;     ///< of one step, padding included
  std::int64_t slots = 0;          ///< rows of the block tables
  std::int64_t max_positions = 0;  ///< the longest request
  std::int64_t requests = 0;       ///< of the trace
  /// f32 [max_positions, rope_dim], arranged as the recipe says.
  std::shared_ptr<const std::vector<float>> rope;
  std::vector<std::int64_t> state_pages;  ///< per kind, the null page included
  std::vector<std::int64_t> kv_pages;
  std::vector<std::int64_t> state_blocks;  ///< in a row of a block table, per kind
  /// May be empty. The device calls it while it fills state and cache: bytes done, and in all.
  /// Throws where that is to end.
  std::function<void(std::int64_t, std::int64_t)> preparing;

  /// Kinds that fold alike share a plan: which one each kind uses, numbered from 0 in order.
  [[nodiscard]] std::vector<std::size_t> plan_of_kinds() const;
};

/// A step's tokens as the device gets them.
struct StepInput {
  static constexpr std::int32_t kPadding = -1;

  std::int64_t tokens = 0;  ///< padding included
  std::vector<std::int64_t> positions;
  std::vector<std::int32_t> token_to_req;  ///< batch row
  std::vector<std::int32_t> requests;      ///< id in the trace; kPadding: the projection is NaN
  std::vector<std::int64_t> attempts;      ///< 0: the token stays; else a draft to be rejected
  struct PerKind {
    std::vector<std::int64_t> state_slots;
    std::vector<std::int64_t> kv_slots;
    std::span<const TableUpdate> updates;  ///< of the state's block table, since the last step
  };
  std::vector<PerKind> kinds;
};

/// A row of the cache, and whose it is.
struct RowRef {
  std::int32_t request;
  std::int64_t row;
  std::int64_t kv_slot;
};

/// Digests are summed per request on the device and read once, at the end.
enum class DigestOf : std::uint8_t {
  final_rows,     ///< rows at the step after which they are final
  finished_rows,  ///< the same rows when their request ends
};

/// Rows to digest, in every layer of their kind.
struct RowList {
  std::size_t kind;
  DigestOf which;
  std::span<const RowRef> rows;
};

struct StepSeconds {
  /// Per kind, all its layers. What two kinds' layers took together is dealt to them by the widths
  /// of their rows.
  std::vector<double> ops;
  double plans = 0;
  double generator = 0;
};

/// What a device runs at once: a layer, or a CSA layer and its indexer.
struct LayerGroup {
  std::size_t layer;
  std::optional<std::size_t> indexer = std::nullopt;
};

/// The model's layers in the order in which they run. With op step, CSA layer i and indexer layer i
/// are called together, at the CSA layer's place; the model's other layers alone.
std::vector<LayerGroup> groups_of(const ReplaySetup& setup);

/// Where a replay computes. All memory is allocated at construction; a step is begin_step(), then
/// run() for each group in order, then finish_step(). Errors are thrown as tools::Error.
class ReplayDevice {
 public:
  ReplayDevice() = default;
  ReplayDevice(const ReplayDevice&) = delete;
  ReplayDevice& operator=(const ReplayDevice&) = delete;
  virtual ~ReplayDevice() = default;

  /// Takes the metadata in, updates the block tables and makes the plans. `input` stays as it is
  /// until the next step begins.
  virtual void begin_step(const StepInput& input) = 0;
  /// Generates the projections of the group's layers and runs their ops.
  virtual void run(const LayerGroup& group) = 0;
  /// Waits for the step.
  virtual StepSeconds finish_step() = 0;

  /// Of all rows of a step at once: after finish_step(), before the rows' pages are used anew.
  /// Lists of one kind stand together.
  virtual void add_digests(std::span<const RowList> lists) = 0;
  /// Per request of the trace.
  virtual std::vector<std::uint64_t> digests(DigestOf which) = 0;
  /// Copies rows out, row_bytes each: values, then scales.
  virtual void read_rows(std::size_t layer, std::span<const RowRef> rows, std::uint8_t* out) = 0;

  /// Bytes that no row owns (page padding, the null page) and that changed all the same.
  virtual std::int64_t stray_bytes() = 0;
  /// The code that runs a kind's layers, for instance "cpu/avx512".
  virtual std::string describe(std::size_t kind) = 0;
};

/// On the host, for the backends cpu and reference.
std::unique_ptr<ReplayDevice> make_host_device(const ReplaySetup& setup);

/// By setup.exec.backend. Throws Error where this build or this machine cannot run it.
std::unique_ptr<ReplayDevice> make_replay_device(const ReplaySetup& setup);

/// GB/s (10^9) of a plain read of the memory that the backend computes in.
double measure_read_limit_of(const Exec& exec);
/// The GPU that it runs on, or the processor and its cores.
std::string machine_of(const Exec& exec);

}  // namespace pleat::tools
