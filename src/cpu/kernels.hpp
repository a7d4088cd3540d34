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

/// Floats that a folded group keeps of a channel: magic, weight, and value as a double.
inline constexpr std::int64_t kPartialFloats = 4;

/// Pools channels [first, last) of a window of `groups` groups; both are multiples of 64. `next`
/// (or null) is the group to be read after these: its rows are prefetched. `partial` has room for
/// kPartialFloats * groups * (last - first) floats if groups > 1. pooled[0] is channel `first`.
using Pool = void (*)(const RowGroup* group, std::int32_t groups, const RowGroup* next,
                      std::int32_t first, std::int32_t last, float* partial, float* pooled);

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
using Store = void (*)(const Finish& finish, const float* rope_row, float* row,
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
