// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What checked mode asks of one token by itself: a few integers in, a small code out. On the host,
/// whatever the backend: cuda checks copies of the arrays. The words are made in checked.cpp.
namespace pleat::api {

/// Positions and rows of a plan are 32 bits wide.
inline constexpr std::int64_t kMaxPosition = (std::int64_t{1} << 31) - 1;

/// The bounds of one call; a bound of kUnbounded belongs to a view that the op does not use.
struct IndexLimits {
  static constexpr std::int64_t kUnbounded = -1;

  std::int64_t requests = kUnbounded;        ///< rows of the block table
  std::int64_t state_rows = kUnbounded;      ///< slots: pages * page_rows
  std::int64_t kv_rows = kUnbounded;         ///< slots: cache pages * page_rows
  std::int64_t rope_positions = kUnbounded;  ///< rows of the RoPE table
  std::int32_t ratio = 1;
  std::int32_t window = 1;
  bool uses_requests = false;    ///< token_to_req is given
  bool ring = false;             ///< column 0 of the block table serves every position
  bool reads_window = false;     ///< a closing token's rows are found through the block table
  bool slot_from_table = false;  ///< the state slot must be the one that the block table names
  bool slot_in_ring = false;     ///< the state slot must be in the ring row of the position

  const std::int32_t* block_table = nullptr;  ///< [requests, blocks]
  std::int64_t table_stride = 0;              ///< elements between its rows
  std::int64_t blocks = 0;
  std::int64_t pages = 0;
  std::int64_t page_rows = 1;
};

enum class IndexFault : std::int32_t {
  none = 0,
  position,       ///< not in [0, kMaxPosition)
  request,        ///< not in [0, requests)
  state_slot,     ///< not less than state_rows
  table_column,   ///< position at: needs a column that the block table does not have
  table_page,     ///< position at: the block table names no page of the state
  slot_of_table,  ///< the state slot is not the one that the block table names
  ring_row,       ///< the state slot is not in the ring row limit
  kv_slot,        ///< not less than kv_rows
  rope_row,       ///< the RoPE table ends before the window's first position
};

struct IndexFinding {
  IndexFault fault = IndexFault::none;
  std::int64_t got = 0;
  std::int64_t limit = 0;  ///< what got had to stay below, or to equal (slot_of_table)
  std::int64_t at = 0;     ///< the position whose page was looked up
};

struct TokenIndices {
  std::int64_t position;
  std::int32_t request;     ///< 0 where the op has none
  std::int64_t state_slot;  ///< < 0: padding
  std::int64_t kv_slot;     ///< -1 where the op has none
};

/// What a token's place among its request's tokens says about its state row and its window.
struct TokenUse {
  bool row_written = true;  ///< by this op or, where it only reads state, by one before it
  std::int32_t fresh = 0;   ///< last rows of its window that the op does not take from the state
};

inline bool within(std::int64_t value, std::int64_t limit) {
  return value >= 0 && value < limit;
}

/// The page of a position, or what is wrong with its entry. The request must be in range.
inline IndexFinding check_page(const IndexLimits& l, std::int32_t request, std::int64_t position,
                               std::int64_t* page) {
  const std::int64_t column = l.ring ? 0 : position / l.page_rows;
  if (column >= l.blocks) return {IndexFault::table_column, column, l.blocks, position};
  *page = l.block_table[request * l.table_stride + column];
  if (!within(*page, l.pages)) return {IndexFault::table_page, *page, l.pages, position};
  return {};
}

/// Every page that rows of the window closing at `position` are read from.
inline IndexFinding check_window(const IndexLimits& l, std::int32_t request, std::int64_t position,
                                 std::int32_t fresh) {
  const std::int64_t first = position - l.window + 1;
  std::int64_t at = first < 0 ? 0 : first;
  while (at <= position - fresh) {
    std::int64_t page = 0;
    const IndexFinding found = check_page(l, request, at, &page);
    if (found.fault != IndexFault::none || l.ring) return found;
    at = (at / l.page_rows + 1) * l.page_rows;
  }
  return {};
}

/// Who a token is. What padding holds is never looked at.
inline IndexFinding check_identity(const IndexLimits& l, const TokenIndices& t) {
  if (t.state_slot < 0) return {};
  if (!within(t.position, kMaxPosition)) {
    return {IndexFault::position, t.position, kMaxPosition, t.position};
  }
  const std::int64_t requests = l.requests == IndexLimits::kUnbounded ? kMaxPosition : l.requests;
  if (l.uses_requests && !within(t.request, requests)) {
    return {IndexFault::request, t.request, requests, t.position};
  }
  return {};
}

/// The state row that a token's slot names.
inline IndexFinding check_slot(const IndexLimits& l, const TokenIndices& t) {
  if (l.state_rows != IndexLimits::kUnbounded && t.state_slot >= l.state_rows) {
    return {IndexFault::state_slot, t.state_slot, l.state_rows, t.position};
  }
  const std::int64_t row = t.position % l.page_rows;
  if (l.slot_in_ring && t.state_slot % l.page_rows != row) {
    return {IndexFault::ring_row, t.state_slot, row, t.position};
  }
  if (!l.slot_from_table) return {};
  std::int64_t page = 0;
  const IndexFinding found = check_page(l, t.request, t.position, &page);
  if (found.fault != IndexFault::none) return found;
  const std::int64_t slot = page * l.page_rows + row;
  if (t.state_slot == slot) return {};
  return {IndexFault::slot_of_table, t.state_slot, slot, t.position};
}

/// Where a token's rows lie, of one that is who it says. A row that is neither written nor read may
/// lie anywhere: policy tail leaves most of a prefill chunk without state.
inline IndexFinding check_rows(const IndexLimits& l, const TokenIndices& t, const TokenUse& use) {
  if (t.state_slot < 0) return {};
  if (use.row_written) {
    const IndexFinding found = check_slot(l, t);
    if (found.fault != IndexFault::none) return found;
  }
  if ((t.position + 1) % l.ratio != 0) return {};
  if (l.reads_window) {
    const IndexFinding found = check_window(l, t.request, t.position, use.fresh);
    if (found.fault != IndexFault::none) return found;
  }
  if (l.kv_rows == IndexLimits::kUnbounded || t.kv_slot < 0) return {};
  if (t.kv_slot >= l.kv_rows) {
    return {IndexFault::kv_slot, t.kv_slot, l.kv_rows, t.position};
  }
  const std::int64_t row = t.position / l.ratio * l.ratio;
  if (row >= l.rope_positions) return {IndexFault::rope_row, l.rope_positions, row, t.position};
  return {};
}

}  // namespace pleat::api
