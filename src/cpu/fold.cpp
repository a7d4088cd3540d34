// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/fold.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "cpu/plan.hpp"
#include "cpu/rows.hpp"
#include "cpu/state.hpp"
#include "cpu/thread_pool.hpp"
#include "cpu/windows.hpp"

namespace pleat::cpu {

namespace {

/// A part that moves less than this is not worth another thread.
constexpr std::int64_t kPartBytes = 32 * 1024;

constexpr bool pools(Op op) {
  return op == Op::compress || op == Op::compress_store || op == Op::step;
}
constexpr bool stores(Op op) {
  return op == Op::norm_rope_store || op == Op::compress_store || op == Op::step;
}
constexpr bool saves(Op op) {
  return op == Op::save_state || op == Op::step;
}

constexpr std::size_t padded(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

/// Memory of this thread's calls, kept between them.
struct Scratch {
  Buffer parts;
  Buffer pooled;
  Buffer norm;
};

/// A call has one; a call of two steps needs both at once.
Scratch& scratch_of(std::size_t i) {
  static thread_local std::array<Scratch, 2> all;
  return all[i];
}

/// One call, in parts.
class Job {
 public:
  Job(Op op, const Call& call, const Kernels& kernels, const PlanPointers& plan, int threads,
      Scratch& scratch);
  void run();

 private:
  /// What a part needs for itself. The groups and staged rows of two windows: one is located, and
  /// its rows prefetched, while the one before it is folded.
  struct PartMemory {
    RowGroup* group[2];
    std::byte* staging[2];
    double* partial;
    float* row;
  };
  [[nodiscard]] PartMemory memory_of(int part) const;

  void fold_part(int part);
  void pool_units(int part, std::int64_t save_from, std::int64_t save_to);
  void store_windows(int part, const float* pooled, std::int64_t stride, bool by_token);
  void save_part(int part);
  [[nodiscard]] std::int64_t next_unit(std::int64_t unit, std::int64_t last) const;
  [[nodiscard]] float* pooled_row(std::int64_t window) const;
  void choose_slices();

  Op op_;
  const Call& call_;
  const Kernels& kernels_;
  const PlanEntry* entries_;
  std::int64_t closing_ = 0;
  std::int32_t head_dim_;
  int parts_;
  /// Channels of a window are split in this many slices, so that few windows feed many threads.
  std::int32_t slices_ = 1;
  bool save_beside_ = false;  ///< state is written while other windows are still folded
  std::optional<Windows> windows_;
  std::optional<RowWriter> rows_;
  std::optional<StateWriter> state_;
  std::byte* part_memory_ = nullptr;
  std::size_t part_bytes_ = 0;
  float* pooled_ = nullptr;  ///< [closing][D], if windows are sliced
};

Job::Job(Op op, const Call& call, const Kernels& kernels, const PlanPointers& plan, int threads,
         Scratch& scratch)
    : op_(op),
      call_(call),
      kernels_(kernels),
      entries_(plan.entries),
      head_dim_(call.compressor.geometry.head_dim) {
  std::int64_t bytes = 0;
  const Geometry& g = call.compressor.geometry;
  if (op != Op::save_state) closing_ = plan.header->closing;
  if (pools(op)) {
    windows_.emplace(call, kernels, op != Op::step);
    bytes += closing_ * g.window() * g.head_dim * 2 * size_of(call.state.pages.dtype);
  }
  if (stores(op)) {
    rows_.emplace(call, kernels, scratch.norm);
    bytes += closing_ * g.head_dim * 4;
  }
  if (saves(op)) {
    state_.emplace(call, kernels, plan);
    bytes += state_->count() * g.row_width() *
             (size_of(call.state.pages.dtype) + size_of(call.projection.dtype));
    save_beside_ = call.state.layout == StateLayout::paged && is_unbroken(call.batch);
  }
  parts_ = static_cast<int>(std::clamp<std::int64_t>(bytes / kPartBytes, 1, threads));
  if (pools(op)) choose_slices();

  const std::size_t row = static_cast<std::size_t>(head_dim_) * 4;
  part_bytes_ = padded(row);
  if (pools(op)) {
    const auto groups = static_cast<std::size_t>(windows_->groups());
    part_bytes_ += 2 * padded(groups * sizeof(RowGroup)) + 2 * padded(windows_->staging_bytes()) +
                   padded(static_cast<std::size_t>(partial_doubles(windows_->groups())) * 2 * row);
  }
  part_memory_ = static_cast<std::byte*>(
      scratch.parts.reserve(part_bytes_ * static_cast<std::size_t>(parts_)));
  if (slices_ > 1 && op != Op::compress) {
    pooled_ = static_cast<float*>(scratch.pooled.reserve(row * static_cast<std::size_t>(closing_)));
  }
}

void Job::choose_slices() {
  const std::int32_t most = head_dim_ / kTileChannels;
  while (slices_ < most && closing_ * slices_ < 8 * parts_ && closing_ * slices_ % parts_ != 0)
    slices_ *= 2;
}

Job::PartMemory Job::memory_of(int part) const {
  std::byte* p = part_memory_ + part_bytes_ * static_cast<std::size_t>(part);
  const auto take = [&p](std::size_t bytes) { return std::exchange(p, p + padded(bytes)); };
  PartMemory m{};
  m.row = reinterpret_cast<float*>(take(static_cast<std::size_t>(head_dim_) * 4));
  if (!windows_) return m;
  const auto groups = static_cast<std::size_t>(windows_->groups());
  for (int i = 0; i < 2; ++i) {
    m.group[i] = reinterpret_cast<RowGroup*>(take(groups * sizeof(RowGroup)));
    m.staging[i] = take(windows_->staging_bytes());
  }
  m.partial = reinterpret_cast<double*>(p);
  return m;
}

/// The pooled row of a window where it is not the part's own: sliced, or the op's result.
float* Job::pooled_row(std::int64_t window) const {
  if (op_ == Op::compress) {
    return static_cast<float*>(call_.compressed.data) +
           entries_[window].token * call_.compressed.stride[0];
  }
  return slices_ > 1 ? pooled_ + window * head_dim_ : nullptr;
}

/// The next unit, from this one on, whose result anybody wants.
std::int64_t Job::next_unit(std::int64_t unit, std::int64_t last) const {
  while (unit < last && rows_ && !rows_->wanted(entries_[unit / slices_].token))
    ++unit;
  return unit;
}

/// Pools this part's units and, where a unit is a window, stores it. Saves its rows of state as it
/// goes: a token's projection is still in the cache when its window has just been folded.
void Job::pool_units(int part, std::int64_t save_from, std::int64_t save_to) {
  PartMemory m = memory_of(part);
  const auto [first, last] = part_of<std::int64_t>(closing_ * slices_, parts_, part);
  const std::int32_t width = head_dim_ / slices_;
  const auto save_up_to = [&](std::int64_t token) {
    for (; save_from < save_to && state_->token(save_from) <= token; ++save_from)
      state_->write(save_from);
  };
  std::int64_t unit = next_unit(first, last);
  if (unit < last) windows_->locate(entries_[unit / slices_], m.group[0], m.staging[0]);
  while (unit < last) {
    const PlanEntry& entry = entries_[unit / slices_];
    const auto channel = static_cast<std::int32_t>(unit % slices_) * width;
    const std::int64_t next = next_unit(unit + 1, last);
    if (next < last) windows_->locate(entries_[next / slices_], m.group[1], m.staging[1]);
    if (rows_) rows_->prefetch(entry);
    float* shared = pooled_row(unit / slices_);
    Ahead ahead;
    if (next < last) {
      const auto then = static_cast<std::int32_t>(next % slices_) * width;
      ahead = Ahead(*m.group[1], then, then + width);
    }
    kernels_.pool(m.group[0],
                  {windows_->groups(), channel, channel + width,
                   traits_of(call_.compressor.recipe).pooled_bf16},
                  ahead, m.partial, shared != nullptr ? shared + channel : m.row);
    if (shared == nullptr) rows_->write(entry, m.row, ahead);
    save_up_to(entry.token);
    std::swap(m.group[0], m.group[1]);
    std::swap(m.staging[0], m.staging[1]);
    unit = next;
  }
  for (; save_from < save_to; ++save_from)
    state_->write(save_from);
}

void Job::fold_part(int part) {
  if (!save_beside_) return pool_units(part, 0, 0);
  const auto [from, to] = part_of<std::int64_t>(state_->count(), parts_, part);
  pool_units(part, from, to);
}

void Job::store_windows(int part, const float* pooled, std::int64_t stride, bool by_token) {
  const PartMemory m = memory_of(part);
  const auto [first, last] = part_of<std::int64_t>(closing_, parts_, part);
  for (std::int64_t w = first; w < last; ++w) {
    const PlanEntry& entry = entries_[w];
    if (!rows_->wanted(entry.token)) continue;
    const float* row = pooled + (by_token ? entry.token : w) * stride;
    std::memcpy(m.row, row, static_cast<std::size_t>(head_dim_) * 4);
    Ahead nothing;
    rows_->write(entry, m.row, nothing);
  }
}

void Job::save_part(int part) {
  const auto [first, last] = part_of<std::int64_t>(state_->count(), parts_, part);
  for (std::int64_t i = first; i < last; ++i)
    state_->write(i);
}

void Job::run() {
  if (op_ == Op::norm_rope_store) {
    const auto* pooled = static_cast<const float*>(call_.compressed.data);
    return run_parts(
        parts_, [&](int part) { store_windows(part, pooled, call_.compressed.stride[0], true); });
  }
  if (op_ == Op::save_state) return run_parts(parts_, [this](int part) { save_part(part); });
  run_parts(parts_, [this](int part) { fold_part(part); });
  if (pooled_ != nullptr) {
    run_parts(parts_, [this](int part) { store_windows(part, pooled_, head_dim_, false); });
  }
  // after all windows: a ring's old rows are read before this step's replace them
  if (op_ == Op::step && !save_beside_) run_parts(parts_, [this](int part) { save_part(part); });
}

}  // namespace

void fold(Op op, const Call& call, const Kernels& kernels, const PlanPointers& plan, int threads) {
  Job(op, call, kernels, plan, threads, scratch_of(0)).run();
}

void fold_both(const Planned& first, const Planned& second, const Kernels& kernels, int threads) {
  Job a(Op::step, first.call, kernels, first.plan, threads, scratch_of(0));
  Job b(Op::step, second.call, kernels, second.plan, threads, scratch_of(1));
  a.run();
  b.run();
}

}  // namespace pleat::cpu
