// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <limits>

#include "api/plan_layout.hpp"
#include "numerics/exp2.hpp"

namespace pleat::cuda {

/// What a fold kernel leaves: a cache row, or the pooled row alone.
enum class Output : std::int32_t { cache = 0, compressed = 1 };

/// Every window there is, where a number of windows is asked for.
inline constexpr std::int32_t kEveryWindow = std::numeric_limits<std::int32_t>::max();

/// Entries of a plan that may be loaded before its count is known, as far as there are tokens:
/// those past the count are zeros.
inline constexpr std::int32_t kAskedEarly = 4096;

/// How the windows of a fold are shared out among its blocks.
struct FoldShares {
  std::int32_t blocks = 1;  ///< blocks past these do nothing but write state rows
  bool split = false;       ///< CSA, indexer: two warps fold what else one does
  /// Without a plan: blocks (HCA: clusters) that look through a chunk of tokens, each for its part
  /// of the windows.
  std::int32_t sharing = 1;
  /// HCA, a block a window: blocks that run at once, and how many windows they take in turn. The
  /// rest are the later blocks'.
  std::int32_t early_blocks = 0;
  std::int32_t early_windows = 0;
};

/// What the rows of the state and of the projection hold: bf16, or fp32.
struct Types {
  bool state_bf16 = false;
  bool projection_bf16 = false;
};

/// One call, flattened for the device; passed by value. Strides are in elements of their tensor.
struct FoldParams {
  // batch, [tokens] each, packed
  const std::int64_t* positions;
  const std::int32_t* token_to_req;
  const std::int64_t* state_slots;  ///< < 0: padding
  const std::int64_t* kv_slots;     ///< < 0: no row; null when output is compressed
  std::int32_t tokens;

  // plan; null: each block looks through a chunk of tokens itself
  const PlanHeader* plan;
  const PlanEntry* entries;
  const std::int32_t* saves;

  const void* projection;  ///< [tokens, 2S]; null: every row comes from the state
  std::int64_t projection_stride;

  void* state;  ///< [pages, page_rows, 2S]
  std::int64_t page_stride;
  std::int64_t row_stride;
  std::int32_t page_rows;
  std::int32_t page_shift;          ///< log2 of page_rows; -1: it is no power of two
  const std::int32_t* block_table;  ///< [requests, blocks]
  std::int64_t table_stride;
  bool ring;

  float* compressed;  ///< [tokens, D]; read by norm_rope_store, written by compress
  std::int64_t compressed_stride;

  std::uint8_t* cache;
  std::int64_t cache_page_stride;  ///< bytes
  std::int32_t cache_rows;

  const float* ape;  ///< [R, S]; null: none is added
  std::int64_t ape_stride;
  const void* norm;  ///< [D] f32 or bf16
  const float* rope;
  std::int64_t rope_stride;
  std::int32_t rope_windows;  ///< windows whose first position the table has
  const float* fp8_scale;
  float eps;

  RecipeTraits recipe;
  RowFormat format;
  std::int32_t value_bytes;  ///< row_layout() of the format
  std::int32_t scale_bytes;
  Output output;
  bool norm_bf16;
  bool early;           ///< Chain::early: only rows are waited for
  bool writes_through;  ///< the fold writes state rows that it reads (write_through.cuh)
  StatePolicy policy;
  std::int32_t rollback;
  std::int32_t tile_slots;  ///< HCA: tiles of a warp in shared memory
  FoldShares shares;
  numerics::ExpTable exp = numerics::kExpTable;  ///< parameters are the constants nearest by
};

/// What the plan kernel writes, and what it has not counted.
struct PlanParams {
  PlanHeader* header;
  PlanEntry* entries;
  std::int32_t* saves;
  PlanHeader values;  ///< everything but the counts
  bool list_saves;
};

}  // namespace pleat::cuda
