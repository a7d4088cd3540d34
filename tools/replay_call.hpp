// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <pleat/pleat.hpp>
#include <span>
#include <string>
#include <vector>

#include "tools/replay_device.hpp"

/// What replay devices have in common: the calls they make and the layout of the memory that they
/// make them on, wherever it lies.
namespace pleat::tools {

/// The ops of a layer's step, in order.
std::span<const Op> ops_of(ReplayOp op);

/// Calls of ops that a group of layers takes in a step.
std::int64_t calls_of(const LayerGroup& group, ReplayOp op);

/// Kernels that a call launches on CUDA, whatever the op or the state's layout; csa_step on calls
/// with the same dtypes, as a replay's are. It is said here only; a test counts them in a graph.
inline constexpr std::int64_t kLaunchesOfCall = 1;
/// Of a group of layers in a step.
std::int64_t launches_of(const LayerGroup& group, ReplayOp op);

/// Equal pages, one behind the other. What they hold before anything is written is `poison`, word
/// by word: huge as a float, and telling where nothing should have been written.
struct Pages {
  std::int64_t pages = 0;
  std::int64_t used = 0;  ///< bytes of a page that rows own; none of the null page's are
  std::int64_t stride = 0;
  std::uint32_t poison = 0;

  [[nodiscard]] std::int64_t bytes() const { return pages * stride; }
  /// From which byte on nobody owns page p.
  [[nodiscard]] std::int64_t unowned_from(std::int64_t p) const {
    return p == kNullPage ? 0 : used;
  }
};
Pages state_of(const ReplaySetup& setup, std::size_t kind);
Pages cache_of(const ReplaySetup& setup, std::size_t kind);
/// Of both, in all layers.
std::int64_t page_bytes(const ReplaySetup& setup);

/// Bytes of a kind's projections: [max_tokens, 2S].
std::int64_t projection_bytes(const ReplaySetup& setup, std::size_t kind);
/// Bytes of its pooled rows, [max_tokens, D] f32; none where no op writes them.
std::int64_t compressed_bytes(const ReplaySetup& setup, std::size_t kind);

/// Where a row's values and scales begin, in bytes from the cache's first page.
struct RowPlace {
  std::int64_t values;
  std::int64_t scales;
};
RowPlace place_of(const KindSpec& spec, std::int64_t kv_slot);

/// Where one layer's call finds its memory in this step.
struct CallMemory {
  void* positions = nullptr;
  void* token_to_req = nullptr;
  void* state_slots = nullptr;
  void* kv_slots = nullptr;
  void* projection = nullptr;
  void* compressed = nullptr;
  void* table = nullptr;  ///< [slots, state_blocks] i32
  void* plan = nullptr;   ///< for max_tokens
  void* state = nullptr;
  void* cache = nullptr;
  void* ape = nullptr;
  void* norm = nullptr;
  void* rope = nullptr;
  void* fp8_scale = nullptr;
};
Call call_of(const ReplaySetup& setup, std::size_t layer, std::int64_t tokens,
             const CallMemory& memory);

/// Per plan a layer whose call makes it.
std::vector<std::size_t> planning_layers(const ReplaySetup& setup);

/// Runs the layer's ops, or a CSA layer's and its indexer's together. Throws Error when one is
/// refused.
void run_ops(const ReplaySetup& setup, const Call& call);
void run_ops(const ReplaySetup& setup, const Call& main, const Call& indexer);
void make_plan(const ReplaySetup& setup, const Call& call);
/// Names the code that run_ops() runs for the first group with a layer of the kind; \p call gives a
/// layer's call.
std::string describe_kind(const ReplaySetup& setup, std::size_t kind,
                          const std::function<Call(std::size_t)>& call);
/// Deals the time of a group to the kinds of its layers.
void add_seconds(const ReplaySetup& setup, const LayerGroup& group, double seconds,
                 std::vector<double>* of_kinds);

}  // namespace pleat::tools
