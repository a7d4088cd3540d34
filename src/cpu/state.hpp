// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>

#include "api/plan_layout.hpp"
#include "cpu/kernels.hpp"

namespace pleat::cpu {

/// Writes the state rows of a step's tokens: those the plan lists, or every live one.
class StateWriter {
 public:
  StateWriter(const Call& call, const Kernels& kernels, const PlanPointers& plan);

  /// Rows are numbered in token order; of some there is nothing to write (padding).
  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t token(std::int64_t i) const { return listed_ ? saves_[i] : i; }
  void write(std::int64_t i) const;

 private:
  const Call& call_;
  const Kernels& kernels_;
  const std::int32_t* saves_;
  bool listed_;
  bool ape_;  ///< added now, not when pooling
  std::int64_t count_;
};

}  // namespace pleat::cpu
