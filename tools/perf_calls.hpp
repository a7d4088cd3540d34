// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <pleat/pleat.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tools/cuda_handles.hpp"
#include "tools/page_copy.cuh"
#include "tools/perf_batch.hpp"
#include "tools/perf_rows.hpp"

namespace pleat::tools {

/// Device memory as long as the row is measured.
class Held {
 public:
  void* keep(std::unique_ptr<DeviceMemory> m) {
    held_.push_back(std::move(m));
    return held_.back()->get();
  }

 private:
  std::vector<std::unique_ptr<DeviceMemory>> held_;
};

/// One layer's calls of a row: what they have in common, and large buffers of their own.
class LayerOnGpu {
 public:
  LayerOnGpu(const PerfRow& row, Held& held);

  [[nodiscard]] const PerfBytes& bytes() const { return batch_.bytes; }
  /// Device memory of one call's buffers.
  [[nodiscard]] std::int64_t set_bytes() const;
  /// The call on buffer set i, which is allocated and filled.
  [[nodiscard]] Call make_call(std::int64_t i);
  /// All that such a call reads of its state, if that is windows and they can be copied.
  [[nodiscard]] std::optional<PagedWindows> windows_of(const Call& call) const;
  [[nodiscard]] Call& common() { return call_; }

 private:
  const PerfRow row_;
  Held& held_;
  PerfBatch batch_;
  RowLayout layout_;
  std::int64_t page_floats_;
  std::int64_t cache_rows_;
  std::int64_t cache_stride_;
  std::int64_t projection_;  ///< floats of it, of the state and of compressed
  std::int64_t state_;
  std::int64_t compressed_;
  Call call_;
};

/// Bytes that calls go round before they come to the same buffers again; the L2 has 50 to 60 MiB.
inline constexpr std::int64_t kRotation = 320LL << 20;
/// Buffers that they go round at most: each is a launch of a graph.
inline constexpr std::int64_t kMostSets = 1000;

/// A row's calls, each on buffers of its own, as many as make up kRotation.
class PerfCalls {
 public:
  /// Has the plan made on the stream of exec, and waits for it. Throws Error when CUDA or Pleat
  /// refuses.
  PerfCalls(const PerfRow& row, const Exec& exec);

  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(calls_.size()); }
  /// Of one call.
  [[nodiscard]] PerfBytes bytes() const;
  /// What runs, as describe() names it; of two launches, each after its op.
  [[nodiscard]] std::string code(const Exec& exec) const;
  /// Call i, below count().
  void launch(std::int64_t i, const Exec& exec) const;
  /// What copy_pages_once() can copy of each call, if anything.
  [[nodiscard]] std::vector<PagedWindows> windows() const;
  /// Of call i, below count(): the projections that it takes, one or the two of csa_step.
  [[nodiscard]] std::vector<TensorView> projections(std::int64_t i) const;

 private:
  const PerfRow row_;
  Held held_;
  LayerOnGpu layer_;
  std::optional<LayerOnGpu> indexer_;  ///< of csa_step
  std::vector<Call> calls_;
  std::vector<Call> indexers_;
};

}  // namespace pleat::tools
