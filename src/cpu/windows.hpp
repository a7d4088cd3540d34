// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstddef>
#include <cstdint>

#include "api/plan_layout.hpp"
#include "cpu/kernels.hpp"

namespace pleat::cpu {

/// Finds the rows of windows: in state pages, in a ring, or in this step's projection.
class Windows {
 public:
  /// Rows come from state alone (compress, compress_store), or fresh ones from the projection.
  Windows(const Call& call, const Kernels& kernels, bool from_state_only);

  [[nodiscard]] std::int32_t groups() const { return groups_; }
  /// Bytes that locate() may need for rows it has to copy.
  [[nodiscard]] std::size_t staging_bytes() const;

  /// The groups of the window that a plan's entry names. A group whose rows are read in two ways,
  /// some from state and some from the projection, gets the latter copied to `staging`, as the
  /// state would hold them; what `group` points to is valid as long as that is.
  void locate(const PlanEntry& entry, RowGroup* group, std::byte* staging) const;

 private:
  /// The state rows of a request's consecutive positions, one by one.
  class StateRows;

  [[nodiscard]] const float* ape_of(std::int64_t position, std::int64_t half) const;
  [[nodiscard]] std::int64_t staged_row_bytes() const;
  void stage(RowGroup& g, std::int32_t r, std::int64_t position, std::int64_t half,
             std::byte* to) const;

  const Call& call_;
  const Kernels& kernels_;
  Geometry geometry_;
  bool from_state_only_;
  std::int32_t group_rows_;
  std::int32_t groups_;
  Source state_source_;
  Source fresh_source_;
  std::int64_t state_size_;  ///< bytes of an element
  std::int64_t fresh_size_;
};

}  // namespace pleat::cpu
