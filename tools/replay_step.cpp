// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_step.hpp"

#include <algorithm>

namespace pleat::tools {

StepBuilder::StepBuilder(const ReplaySetup& setup, const std::vector<TraceRequest>& requests,
                         const std::vector<PageRules>& rules, std::int64_t padding)
    : setup_(setup), requests_(requests), padding_(padding) {
  for (const PageRules& r : rules)
    pages_.emplace_back(r, setup.slots, setup.max_positions);
  input_.kinds.resize(rules.size());
}

void StepBuilder::add_token(const Slice& s, std::int64_t i) {
  const std::int64_t position = s.first + i;
  input_.positions.push_back(position);
  input_.token_to_req.push_back(s.slot);
  input_.requests.push_back(static_cast<std::int32_t>(requests_[s.request].id));
  input_.attempts.push_back(i < s.accepted ? 0 : s.first + 1);
  for (std::size_t k = 0; k < pages_.size(); ++k) {
    const std::int64_t ratio = setup_.model.kinds[k].compressor.geometry.ratio;
    const bool closes = (position + 1) % ratio == 0;
    input_.kinds[k].state_slots.push_back(pages_[k].state_slot(s.slot, position));
    input_.kinds[k].kv_slots.push_back(closes ? pages_[k].kv_slot(s.slot, position / ratio) : -1);
  }
}

/// Nothing of a padding token means anything: its slot says so.
void StepBuilder::add_padding() {
  input_.positions.push_back(-7);
  input_.token_to_req.push_back(-1);
  input_.requests.push_back(StepInput::kPadding);
  input_.attempts.push_back(0);
  for (StepInput::PerKind& k : input_.kinds) {
    k.state_slots.push_back(-1);
    k.kv_slots.push_back(-1);
  }
}

const StepInput& StepBuilder::build(const Step& step) {
  input_.positions.clear();
  input_.token_to_req.clear();
  input_.requests.clear();
  input_.attempts.clear();
  for (std::size_t k = 0; k < pages_.size(); ++k) {
    input_.kinds[k].state_slots.clear();
    input_.kinds[k].kv_slots.clear();
    for (const Slice& s : step.slices)
      pages_[k].extend(s.slot, s.first + s.tokens);
    input_.kinds[k].updates = pages_[k].updates();
  }
  for (const Slice& s : step.slices) {
    for (std::int64_t i = 0; i < s.tokens; ++i)
      add_token(s, i);
  }
  if (step.decode_only) {
    const std::int64_t padded = (step.tokens + padding_ - 1) / padding_ * padding_;
    for (std::int64_t i = step.tokens; i < padded; ++i)
      add_padding();
  }
  input_.tokens = static_cast<std::int64_t>(input_.positions.size());
  return input_;
}

std::vector<RowRef> StepBuilder::final_rows(std::size_t kind, const Step& step) const {
  const std::int64_t ratio = setup_.model.kinds[kind].compressor.geometry.ratio;
  std::vector<RowRef> rows;
  for (const Slice& s : step.slices) {
    const auto id = static_cast<std::int32_t>(requests_[s.request].id);
    for (std::int64_t r = s.first / ratio; r < (s.first + s.accepted) / ratio; ++r) {
      rows.push_back({id, r, pages_[kind].kv_slot(s.slot, r)});
    }
  }
  return rows;
}

std::vector<RowRef> StepBuilder::finished_rows(std::size_t kind, const Step& step) const {
  const std::int64_t ratio = setup_.model.kinds[kind].compressor.geometry.ratio;
  std::vector<RowRef> rows;
  for (const Slice& s : step.slices) {
    if (!s.ends) continue;
    const auto id = static_cast<std::int32_t>(requests_[s.request].id);
    for (std::int64_t r = 0; r < (s.first + s.accepted) / ratio; ++r) {
      rows.push_back({id, r, pages_[kind].kv_slot(s.slot, r)});
    }
  }
  return rows;
}

void StepBuilder::release(const Step& step) {
  for (KindPages& pages : pages_) {
    pages.clear_updates();  // the step has seen them
    for (const Slice& s : step.slices) {
      if (s.ends) {
        pages.release(s.slot);
      } else {
        pages.trim(s.slot, s.first + s.accepted);
      }
    }
  }
}

std::int64_t StepBuilder::bytes(std::size_t kind, const Step& step) const {
  const KindSpec& spec = setup_.model.kinds[kind];
  const Geometry& g = spec.compressor.geometry;
  const std::int64_t width = g.row_width();
  const std::int64_t state_bytes = size_of(setup_.state);
  const bool split = setup_.op == ReplayOp::split;
  std::int64_t total = 0;
  for (const Slice& s : step.slices) {
    const std::int64_t end = s.first + s.tokens;
    std::int64_t saved = s.tokens;
    if (setup_.write.policy == StatePolicy::tail) {
      const std::int64_t sure = std::max<std::int64_t>(end - setup_.write.rollback, 0);
      const std::int64_t from = sure / g.ratio * g.ratio - (g.overlap ? g.ratio : 0);
      saved = end - std::max(s.first, from);
    }
    total += s.tokens * width * size_of(setup_.projection) + saved * width * state_bytes;
    const std::int64_t rows = end / g.ratio - s.first / g.ratio;
    total += rows * spec.row().row_bytes();
    if (split) total += rows * g.head_dim * 8;  // pooled rows, written and read again
    // Of a token in state a window reads kv and score of one half: D channels each.
    std::int64_t read = rows * g.window();
    for (std::int64_t r = s.first / g.ratio; r < end / g.ratio; ++r) {
      const std::int64_t oldest = (r + 1) * g.ratio - g.window();
      if (oldest < 0) read += oldest;
      if (split) continue;
      if (oldest >= s.first) {  // this window and all later ones are of this step alone
        read -= (end / g.ratio - r) * g.window();
        break;
      }
      read -= (r + 1) * g.ratio - s.first;
    }
    total += read * 2 * g.head_dim * state_bytes;
  }
  return total;
}

}  // namespace pleat::tools
