// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tools/perf_rows.hpp"

namespace pleat::tools {

/// What a call must move through device memory, each byte once.
struct PerfBytes {
  std::int64_t read = 0;     ///< rows of windows and of saved tokens
  std::int64_t written = 0;  ///< state rows and cache rows
};
inline PerfBytes operator+(const PerfBytes& a, const PerfBytes& b) {
  return {a.read + b.read, a.written + b.written};
}

/// The batch of a row, on the host: which request, where it stands, where its state lies.
struct PerfBatch {
  std::vector<std::int64_t> positions, state_slots, kv_slots;
  std::vector<std::int32_t> token_to_req, block_table;
  std::int64_t blocks = 0;            ///< columns of the table
  std::int64_t page_rows = 0;         ///< of a state page
  std::vector<std::int64_t> windows;  ///< that close: where the table names the first page of each
  std::int64_t state_pages = 0;
  std::int64_t cache_pages = 0;
  PerfBytes bytes;
};

/// The same for every run. Pages lie in random order, and cache rows are written in random order.
PerfBatch make_perf_batch(const PerfRow& row);

}  // namespace pleat::tools
