// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>

#include "api/plan_layout.hpp"
#include "cpu/kernels.hpp"
#include "cpu/scratch.hpp"

namespace pleat::cpu {

/// Turns pooled rows into cache rows: where they go, and with what.
class RowWriter {
 public:
  /// `widened` has room for the norm's weights as floats; it is used if they are bf16.
  RowWriter(const Call& call, const Kernels& kernels, Buffer& widened);

  /// Whether a row is written for this token.
  [[nodiscard]] bool wanted(std::int64_t token) const { return slots_[token] >= 0; }
  /// Asks for what write() will touch.
  void prefetch(const PlanEntry& entry) const;
  /// Uses `row` [D] up. The token is wanted. `ahead`: for the rows that are read next.
  void write(const PlanEntry& entry, float* row, Ahead& ahead) const;

 private:
  [[nodiscard]] const float* rope_row(const PlanEntry& entry) const;

  const Call& call_;
  const Kernels& kernels_;
  const std::int64_t* slots_;
  RowLayout layout_;
  Finish finish_;
};

}  // namespace pleat::cpu
