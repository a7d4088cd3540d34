// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/perf_batch.hpp"

#include <algorithm>
#include <numeric>
#include <random>

namespace pleat::tools {
namespace {

std::vector<std::int64_t> shuffled(std::int64_t n, std::mt19937_64& random) {
  std::vector<std::int64_t> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), 0);
  std::shuffle(v.begin(), v.end(), random);
  return v;
}

/// First position and number of tokens of a request in the step.
struct Span {
  std::int64_t start;
  std::int64_t tokens;
  bool closes;
};

/// Decode requests stand in their ninth window; those that close one are spread over the batch.
Span span_of(const PerfRow& row, std::int64_t request) {
  if (row.prefill) return {0, row.tokens / row.requests, true};
  const std::int64_t ratio = row.geometry.ratio;
  const bool closes =
      request * row.closing / row.requests != (request + 1) * row.closing / row.requests;
  return {8 * ratio + (closes ? ratio - 1 : request * 5 % (ratio - 1)), 1, closes};
}

/// Pages in random order: an engine's are.
void place_pages(const PerfRow& row, PerfBatch& b, std::mt19937_64& random) {
  const Geometry& g = row.geometry;
  const std::int64_t page_rows = b.page_rows;
  b.blocks = (span_of(row, 0).start + span_of(row, 0).tokens + g.ratio) / page_rows + 1;
  b.block_table.assign(static_cast<std::size_t>(row.requests * b.blocks), -1);
  for (std::int64_t r = 0; r < row.requests; ++r) {
    const Span s = span_of(row, r);
    const std::int64_t end = s.start + s.tokens;
    const std::int64_t first = s.closes ? std::max<std::int64_t>(0, end - g.window()) : s.start;
    for (std::int64_t block = std::min(first, s.start) / page_rows; block * page_rows < end;
         ++block) {
      b.block_table[static_cast<std::size_t>(r * b.blocks + block)] =
          static_cast<std::int32_t>(b.state_pages++);
    }
  }
  const std::vector<std::int64_t> order = shuffled(b.state_pages, random);
  for (std::int32_t& page : b.block_table) {
    page = page < 0 ? 0 : static_cast<std::int32_t>(order[static_cast<std::size_t>(page)]);
  }
}

PerfBytes bytes_of(const PerfRow& row, std::int64_t rows, std::int64_t saved) {
  const Geometry& g = row.geometry;
  const std::int64_t row_bytes = g.row_width() * 4;
  // a window needs R rows' worth of bytes: with overlap, half the columns of 2R rows
  const std::int64_t window_bytes = g.ratio * row_bytes;
  const std::int64_t stored = rows * row_layout(row.format, g).row_bytes();
  switch (row.op) {
    case Op::plan:
      return {row.tokens * 20, rows * 16 + 64};
    case Op::save_state:
      return {saved * row_bytes, saved * row_bytes};
    case Op::compress:
      return {rows * window_bytes, rows * g.head_dim * 4 + (row.with_store ? stored : 0)};
    case Op::norm_rope_store:
      return {rows * g.head_dim * 4, stored};
    case Op::compress_store:
      return {rows * window_bytes, stored};
    case Op::step:
      break;
  }
  const std::int64_t read =
      row.prefill ? row.tokens * row_bytes : (row.tokens - rows) * row_bytes + rows * window_bytes;
  return {read, stored + saved * row_bytes};
}

}  // namespace

PerfBatch make_perf_batch(const PerfRow& row) {
  const Geometry& g = row.geometry;
  std::mt19937_64 random(7);
  PerfBatch b;
  b.page_rows = g.overlap ? g.ratio : kGroupRows;
  place_pages(row, b, random);
  std::int64_t rows = 0;
  std::int64_t saved = 0;
  for (std::int64_t r = 0; r < row.requests; ++r) {
    const Span s = span_of(row, r);
    const std::int64_t end = s.start + s.tokens;
    for (std::int64_t p = s.start; p < end; ++p) {
      const std::int64_t page =
          b.block_table[static_cast<std::size_t>(r * b.blocks + p / b.page_rows)];
      b.positions.push_back(p);
      b.token_to_req.push_back(static_cast<std::int32_t>(r));
      b.state_slots.push_back(page * b.page_rows + p % b.page_rows);
      const bool closes = (p + 1) % g.ratio == 0;
      b.kv_slots.push_back(closes ? rows++ : -1);
      if (closes) {
        const std::int64_t start = std::max<std::int64_t>(0, p + 1 - g.window());
        b.windows.push_back(r * b.blocks + start / b.page_rows);
      }
    }
    const std::int64_t kept = end - (end / g.ratio * g.ratio - (g.overlap ? g.ratio : 0));
    saved += row.policy == StatePolicy::all ? s.tokens : std::min(s.tokens, kept);
  }
  const std::vector<std::int64_t> slots = shuffled(rows, random);
  for (std::int64_t& s : b.kv_slots)
    s = s < 0 ? -1 : slots[static_cast<std::size_t>(s)];
  b.cache_pages = rows / (256 / g.ratio) + 1;
  b.bytes = bytes_of(row, rows, saved);
  return b;
}

}  // namespace pleat::tools
