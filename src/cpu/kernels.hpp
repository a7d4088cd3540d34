// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstddef>
#include <cstdint>

/// What is compiled once per SIMD target, behind function pointers. Everything else of the backend
/// is ordinary code. All targets give the bytes of src/reference.
namespace pleat::cpu {

/// Where the state's dtype rounds a row of this step's projection: such a row counts as if it had
/// been stored. Rows from a state need none.
enum class Rounding : std::uint8_t {
  none,
  before_ape,  ///< to bf16, then the APE is added (recipe sglang)
  after_ape,   ///< to bf16 when the APE is in
};

/// How the rows of a group are read.
struct Source {
  DType dtype = DType::f32;
  Rounding rounding = Rounding::none;
  bool ape = false;   ///< RowGroup::ape is added to the scores
  bool late = false;  ///< when pooling: what rounding takes from that sum counts

  friend bool operator==(const Source&, const Source&) = default;
};

/// Up to eight rows that are folded together, oldest first, read the same way.
struct RowGroup {
  const std::byte* row[kGroupRows];  ///< kv [D] of the half that the window looks at
  const float* ape[kGroupRows];      ///< [D] of the same half; used if source.ape
  std::int64_t score_offset;         ///< bytes from a row's kv to its scores
  std::int32_t rows;                 ///< those that exist; the others are before position 0
  Source source;
};

/// Doubles per channel that pooling a window of so many groups needs room for: the weight and the
/// value of a span and of each level of the tree that joins spans.
constexpr std::int64_t partial_doubles(std::int64_t groups) {
  std::int64_t levels = 1;
  for (; groups > 2; groups /= 2)
    ++levels;
  return 2 * levels;
}

/// Asks the memory for the rows of a group before they are read, in the order of their addresses.
/// The kernels call it as they go along, so that memory is busy also while they compute. The first
/// line of every piece is asked for at once, at the start: where a group's pages are scattered that
/// is faster (probably since their addresses are then translated side by side, not one by one).
class Ahead {
 public:
  /// Nothing to ask for.
  Ahead() = default;
  /// Channels [first, last) of the group's kv and scores.
  Ahead(const RowGroup& group, std::int32_t first, std::int32_t last)
      : group_(&group),
        spans_(2 * group.rows),
        first_(first * size_of(group.source.dtype)),
        bytes_((last - first) * size_of(group.source.dtype)) {
    for (int r = 0; r < group.rows; ++r) {
      __builtin_prefetch(group.row[r] + first_, 0, 2);
      __builtin_prefetch(group.row[r] + group.score_offset + first_, 0, 2);
    }
    open();
  }
  /// The next `lines` cache lines, an even number.
  void fetch(int lines) {
    for (; lines > 0 && span_ < spans_; lines -= 2) {
      __builtin_prefetch(at_, 0, 2);  // into the second level: the first is full of other rows
      __builtin_prefetch(at_ + 64, 0, 2);
      at_ += 128;
      if (at_ >= end_) {
        ++span_;
        open();
      }
    }
  }

 private:
  void open() {
    if (span_ >= spans_) return;
    at_ = group_->row[span_ / 2] + (span_ % 2 != 0 ? group_->score_offset : 0) + first_;
    end_ = at_ + bytes_;
  }
  const RowGroup* group_ = nullptr;
  int span_ = 0;
  int spans_ = 0;
  std::int64_t first_ = 0;
  std::int64_t bytes_ = 0;
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
};

/// What a pooling call works on.
struct PoolShape {
  std::int32_t groups;  ///< of the window
  std::int32_t first;   ///< channels [first, last), both multiples of 64
  std::int32_t last;
  bool odd;  ///< pooled channels are rounded to odd
};

/// Pools channels of a window. `ahead` is for the group to be read after these. `partial` has room
/// for partial_doubles(groups) * (last - first). pooled[0] is channel `first`.
using Pool = void (*)(const RowGroup* group, const PoolShape& shape, Ahead& ahead, double* partial,
                      float* pooled);

/// Writes n elements as a state of dtype `to_type` keeps them; ape (or null) is added first. n is a
/// multiple of 64, dtypes are f32 or bf16.
using Keep = void (*)(const void* from, DType from_type, const float* ape, void* to, DType to_type,
                      std::int64_t n);

/// What norm, RoPE and quantising need besides the row.
struct Finish {
  Compressor compressor;
  const float* norm;  ///< [D], widened
  float fp8_scale;
};
/// Pooled row [D] to the bytes of a cache row; uses `row` up.
using Store = void (*)(const Finish& finish, const float* rope_row, float* row, Ahead& ahead,
                       std::uint8_t* values, std::uint8_t* scales);

/// Loads every byte, 64 at a time; returns something that depends on all of them.
using Read = std::uint64_t (*)(const void* data, std::size_t bytes);

struct Kernels {
  SimdTarget target;
  Pool pool;
  Keep keep;
  Store store;
  Read read;
};

/// The kernels of a target, or of the best one; null if this build or this machine has none.
const Kernels* kernels_of(SimdTarget target);

/// "avx2, avx512" and so on: what kernels_of finds.
const char* available_targets();

}  // namespace pleat::cpu
