// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tools/replay_device.hpp"

namespace pleat::tools {

struct RowRange {
  std::int64_t first;
  std::int64_t last;  ///< behind it
};

/// Rows that are sent and digested in one go.
struct RowTurn {
  std::vector<RowList> lists;   ///< none is empty
  std::vector<RowRange> kinds;  ///< per kind: where its rows lie, all lists in a row
  std::int64_t rows = 0;

  /// Rows of the kind that has most.
  [[nodiscard]] std::int64_t longest() const;
};

/// Cuts lists into turns of at most `most` rows: every row comes once, in the order given, and no
/// turn is empty. Throws Error where lists of one kind do not stand together.
std::vector<RowTurn> turns_of(std::span<const RowList> lists, std::size_t kinds, std::int64_t most);

}  // namespace pleat::tools
