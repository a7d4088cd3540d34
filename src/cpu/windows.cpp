// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/windows.hpp"

#include <algorithm>

namespace pleat::cpu {

class Windows::StateRows {
 public:
  StateRows() = default;
  StateRows(const StateView& s, std::int32_t request, std::int64_t position)
      : pages_(static_cast<const std::byte*>(s.pages.data)),
        table_(static_cast<const std::int32_t*>(s.block_table.data) +
               request * s.block_table.stride[0]),
        ring_(s.layout == StateLayout::ring),
        rows_(s.pages.shape[1]),
        page_bytes_(s.pages.stride[0] * size_of(s.pages.dtype)),
        row_bytes_(s.pages.stride[1] * size_of(s.pages.dtype)),
        block_(ring_ ? 0 : position / rows_),
        row_(position % rows_) {}

  const std::byte* next() {
    const std::byte* row = pages_ + table_[block_] * page_bytes_ + row_ * row_bytes_;
    if (++row_ == rows_) {
      row_ = 0;
      if (!ring_) ++block_;
    }
    return row;
  }

 private:
  const std::byte* pages_ = nullptr;
  const std::int32_t* table_ = nullptr;
  bool ring_ = false;
  std::int64_t rows_ = 0;
  std::int64_t page_bytes_ = 0;
  std::int64_t row_bytes_ = 0;
  std::int64_t block_ = 0;
  std::int64_t row_ = 0;
};

Windows::Windows(const Call& call, const Kernels& kernels, bool from_state_only)
    : call_(call),
      kernels_(kernels),
      geometry_(call.compressor.geometry),
      from_state_only_(from_state_only),
      group_rows_(std::min(geometry_.window(), kGroupRows)),
      groups_(geometry_.window() / group_rows_),
      state_size_(size_of(call.state.pages.dtype)),
      fresh_size_(size_of(call.projection.dtype)) {
  const bool late = traits_of(call.compressor.recipe).ape_when_pooled;
  state_source_ = {call.state.pages.dtype, Rounding::none, geometry_.ape && late,
                   geometry_.ape && late};
  fresh_source_ = {call.projection.dtype, Rounding::none, geometry_.ape, geometry_.ape && late};
  if (call.state.pages.dtype == DType::bf16) {
    fresh_source_.rounding = late ? Rounding::before_ape : Rounding::after_ape;
    // a bf16 projection is what a bf16 state keeps, unless the APE is in
    if (call.projection.dtype == DType::bf16 && (late || !geometry_.ape)) {
      fresh_source_.rounding = Rounding::none;
    }
  }
}

std::size_t Windows::staging_bytes() const {
  return static_cast<std::size_t>(kGroupRows * staged_row_bytes());
}

/// kv [D], then scores [D] as far behind as in a state row.
std::int64_t Windows::staged_row_bytes() const {
  return (geometry_.state_width() + geometry_.head_dim) * state_size_;
}

const float* Windows::ape_of(std::int64_t position, std::int64_t half) const {
  const TensorView& ape = call_.weights.ape;
  return static_cast<const float*>(ape.data) + (position & (geometry_.ratio - 1)) * ape.stride[0] +
         half;
}

void Windows::stage(RowGroup& g, std::int32_t r, std::int64_t position, std::int64_t half,
                    std::byte* to) const {
  const std::int64_t d = geometry_.head_dim;
  const DType from_type = fresh_source_.dtype;
  const DType to_type = state_source_.dtype;
  const std::byte* kv = g.row[r];
  const bool early = geometry_.ape && !state_source_.ape;
  kernels_.keep(kv, from_type, nullptr, to, to_type, d);
  kernels_.keep(kv + geometry_.state_width() * fresh_size_, from_type,
                early ? ape_of(position, half) : nullptr,
                to + geometry_.state_width() * state_size_, to_type, d);
  g.row[r] = to;
}

void Windows::locate(const PlanEntry& entry, RowGroup* group, std::byte* staging) const {
  const std::int32_t window = geometry_.window();
  const std::int64_t first = (static_cast<std::int64_t>(entry.row) + 1) * geometry_.ratio - window;
  const auto absent = static_cast<std::int32_t>(std::max<std::int64_t>(0, -first));
  // rows [absent, fresh) are in the state, rows [fresh, window) are tokens of this step
  const std::int32_t fresh = from_state_only_ ? window : std::max(absent, window - entry.fresh);
  StateRows state;
  if (absent < fresh) state = StateRows(call_.state, entry.request, first + absent);
  const auto* projection = static_cast<const std::byte*>(call_.projection.data);
  const std::int64_t projection_bytes = call_.projection.stride[0] * fresh_size_;
  const std::int64_t state_scores = geometry_.state_width() * state_size_;
  const std::int64_t fresh_scores = geometry_.state_width() * fresh_size_;
  const bool same_source = state_source_ == fresh_source_ && state_scores == fresh_scores;

  for (std::int32_t i = 0; i < groups_; ++i) {
    RowGroup& g = group[i];
    const std::int32_t begin = std::max(absent, i * group_rows_);
    const std::int32_t end = (i + 1) * group_rows_;
    g.rows = std::max(0, end - begin);
    const bool all_fresh = fresh <= begin;
    g.source = all_fresh ? fresh_source_ : state_source_;
    g.score_offset = all_fresh ? fresh_scores : state_scores;
    const bool staged = !all_fresh && fresh < end && !same_source;
    for (std::int32_t w = begin; w < end; ++w) {
      const std::int32_t r = w - begin;
      const std::int64_t half = geometry_.overlap && w >= geometry_.ratio ? geometry_.head_dim : 0;
      if (g.source.ape) g.ape[r] = ape_of(first + w, half);
      if (w < fresh) {
        g.row[r] = state.next() + half * state_size_;
      } else {
        g.row[r] =
            projection + (entry.token - (window - 1 - w)) * projection_bytes + half * fresh_size_;
        if (staged) stage(g, r, first + w, half, staging + r * staged_row_bytes());
      }
    }
  }
}

}  // namespace pleat::cpu
