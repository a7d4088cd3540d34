// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "support/engine.hpp"

namespace pleat::test {
namespace {

/// Spec section 3, in its own words: whether a later step may need position p of a request that has
/// reached length n.
bool is_needed(const Geometry& g, const EngineShape& shape, std::int64_t p, std::int64_t n) {
  if (shape.layout == StateLayout::ring && p < n - shape.state_rows) return false;
  if (shape.write.policy == StatePolicy::all) return true;
  const std::int64_t kept = n - shape.write.rollback;
  std::int64_t group = 0;  // floor, also below zero
  while (g.ratio * (group + 1) <= kept)
    ++group;
  while (g.ratio * group > kept)
    --group;
  return p >= g.ratio * group - (g.overlap ? g.ratio : 0);
}

/// Each state row: the tokens whose bytes it may hold; none: what it held at the start.
using Contents = std::map<std::int64_t, std::vector<TokenName>>;

std::string judge_state(const Layer& layer, const EngineShape& shape, const Schedule& schedule,
                        const Bytes& state) {
  const Geometry& g = layer.geometry();
  Contents contents;
  std::map<std::int64_t, bool> written;  // surely, at least once
  for (const Step& step : schedule.steps) {
    for (const StepToken& t : step.tokens) {
      if (!t.live) continue;
      const bool kept_by_ring = shape.layout == StateLayout::paged ||
                                t.name.position >= t.length_after - shape.state_rows;
      auto& may = contents[t.state_slot];
      if (is_needed(g, shape, t.name.position, t.length_after)) {
        may.clear();
        written[t.state_slot] = true;
      }
      if (kept_by_ring) may.push_back(t.name);
    }
  }
  Bytes rest = state;  // what remains when the rows that may be there are taken out
  const std::int64_t element = size_of(layer.shape().state);
  const std::int64_t stride = shape.state_rows * g.row_width() + shape.state_gap;
  for (const auto& [slot, names] : contents) {
    const std::int64_t at =
        (slot / shape.state_rows * stride + slot % shape.state_rows * g.row_width()) * element;
    const auto first = state.begin() + at;
    const auto last = first + g.row_width() * element;
    bool good = !written[slot] && std::all_of(first, last, [](auto b) { return b == 0xFF; });
    for (auto name = names.rbegin(); !good && name != names.rend(); ++name) {
      const Bytes row = layer.state_bytes(*name);
      good = std::equal(row.begin(), row.end(), first, last);
    }
    if (!good) {
      return fmt::format("state slot {} does not hold the row of request {} position {}", slot,
                         names.empty() ? -1 : names.back().request,
                         names.empty() ? -1 : names.back().position);
    }
    std::fill(rest.begin() + at, rest.begin() + at + (last - first), std::uint8_t{0xFF});
  }
  const auto stray = std::find_if(rest.begin(), rest.end(), [](auto b) { return b != 0xFF; });
  if (stray == rest.end()) return {};
  return fmt::format("state byte {} belongs to no token's row but was written",
                     stray - rest.begin());
}

std::string judge_cache(const Layer& layer, const EngineShape& shape, const Schedule& schedule,
                        const Bytes& cache) {
  const RowLayout layout = row_layout(layer.shape().compressor.row_format, layer.geometry());
  const auto stride = static_cast<std::int64_t>(cache.size()) / schedule.cache_pages;
  Bytes want(cache.size(), 0xFF);
  std::map<std::int64_t, StoredRow> owner;
  for (const StoredRow& r : schedule.stored) {
    const Bytes& row = layer.cache_row(r.request, r.window);
    const std::int64_t page = r.slot / shape.cache_rows * stride;
    const std::int64_t in_page = r.slot % shape.cache_rows;
    std::copy(row.begin(), row.begin() + layout.value_bytes,
              want.begin() + page + layout.value_offset(in_page));
    std::copy(row.begin() + layout.value_bytes, row.end(),
              want.begin() + page + layout.scale_offset(shape.cache_rows, in_page));
    owner[r.slot] = r;
  }
  const auto bad = std::mismatch(cache.begin(), cache.end(), want.begin());
  if (bad.first == cache.end()) return {};
  const std::int64_t at = bad.first - cache.begin();
  const std::int64_t in_page = at % stride;
  const std::int64_t values = shape.cache_rows * layout.value_bytes;
  std::int64_t row = -1;
  if (in_page < values) row = in_page / layout.value_bytes;
  if (in_page >= values && in_page < layout.page_bytes(shape.cache_rows)) {
    row = (in_page - values) / layout.scale_bytes;
  }
  const auto o = owner.find(at / stride * shape.cache_rows + row);
  if (row < 0 || o == owner.end()) {
    return fmt::format("cache page {} byte {} belongs to no row but was written", at / stride,
                       in_page);
  }
  return fmt::format(
      "cache page {} row {} (request {} window {}): byte {} of the page is {}, not {}", at / stride,
      row, o->second.request, o->second.window, in_page, *bad.first, *bad.second);
}

}  // namespace

std::string judge(const Layer& layer, const EngineShape& shape, const Schedule& schedule,
                  const Outcome& outcome) {
  if (!outcome.status.ok()) return "refused: " + outcome.status.message();
  if (!outcome.fault.empty()) return outcome.fault;
  const std::string bad = judge_cache(layer, shape, schedule, outcome.cache);
  return !bad.empty() ? bad : judge_state(layer, shape, schedule, outcome.state);
}

std::string compare(const Outcome& want, const Outcome& got) {
  if (!got.status.ok()) return "refused: " + got.status.message();
  if (!got.fault.empty()) return got.fault;
  for (std::size_t i = 0; i < want.digests.size(); ++i) {
    if (i >= got.digests.size() || got.digests[i] != want.digests[i]) {
      return fmt::format("step {}: plan or compressed rows differ", i);
    }
  }
  const auto differ = [](const char* what, const Bytes& a, const Bytes& b) -> std::string {
    if (a == b) return {};
    return fmt::format("{} differs from byte {}", what,
                       std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  };
  const std::string state = differ("state", want.state, got.state);
  return !state.empty() ? state : differ("cache", want.cache, got.cache);
}

}  // namespace pleat::test
