// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tools/block_pool.hpp"
#include "tools/replay_device.hpp"
#include "tools/schedule.hpp"

namespace pleat::tools {

/// Turns the scheduler's steps into what a device gets, and keeps the pages that go with them.
class StepBuilder {
 public:
  /// `setup` and `requests` must outlive the builder.
  StepBuilder(const ReplaySetup& setup, const std::vector<TraceRequest>& requests,
              const std::vector<PageRules>& rules, std::int64_t padding);

  /// Gives the step's tokens their pages and fills the input. Decode-only steps are padded to a
  /// multiple of `padding` tokens, as engines do for their CUDA graphs.
  const StepInput& build(const Step& step);
  /// Rows of one kind that are final after the step, in its order.
  [[nodiscard]] std::vector<RowRef> final_rows(std::size_t kind, const Step& step) const;
  /// All rows of one kind of the requests that end with the step.
  [[nodiscard]] std::vector<RowRef> finished_rows(std::size_t kind, const Step& step) const;
  /// Takes pages back that nobody needs after the step. The rows are gone with them.
  void release(const Step& step);

  /// Bytes that the ops of one layer of a kind read and write in this step: projections, state rows
  /// read and written, rows stored.
  [[nodiscard]] std::int64_t bytes(std::size_t kind, const Step& step) const;
  [[nodiscard]] const KindPages& pages(std::size_t kind) const { return pages_[kind]; }

 private:
  void add_token(const Slice& s, std::int64_t i);
  void add_padding();

  const ReplaySetup& setup_;
  const std::vector<TraceRequest>& requests_;
  std::int64_t padding_;
  std::vector<KindPages> pages_;
  StepInput input_;
};

}  // namespace pleat::tools
