// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "tools/block_pool.hpp"
#include "tools/row_turns.hpp"

/// What a replay on CUDA does besides the ops, on the device. Each is one launch; all pointers are
/// device memory.
namespace pleat::tools {

/// The tokens of a step, as StepInput has them.
struct TokenArrays {
  const std::int64_t* positions;
  const std::int64_t* attempts;
  const std::int32_t* requests;  ///< StepInput::kPadding: the token's projection is NaN
  std::int64_t tokens;
};

/// Fills [tokens, width] with generate_row()'s bytes. width is a multiple of 4.
cudaError_t generate_projections(const TokenArrays& tokens, std::uint64_t layer_key,
                                 std::int64_t width, bool bf16, void* out, cudaStream_t stream);

/// table[slot, block] = page. Entries that name the same place must agree.
cudaError_t update_table(std::int32_t* table, std::int64_t blocks, const TableUpdate* updates,
                         std::int64_t count, cudaStream_t stream);

/// A layer's cache.
struct DeviceCache {
  const std::uint8_t* memory;
  std::uint64_t identity;    ///< of the layer
  std::int32_t value_bytes;  ///< of a row; both multiples of 4
  std::int32_t scale_bytes;
  std::int32_t kind;
  std::int32_t reserved;
};

/// A row, at the same place in the caches of all layers of a kind, and whose it is.
struct DeviceRow {
  std::int64_t values;  ///< where they begin, in bytes from the cache's first page
  std::int64_t scales;
  std::int64_t row;
  std::int32_t request;
  std::int32_t which;  ///< DigestOf; only digests ask
};

struct RowsToDigest {
  const DeviceRow* rows;
  const RowRange* kinds;      ///< where each kind's rows lie among them
  const DeviceCache* caches;  ///< [layers]
  std::int64_t layers;
  std::int64_t requests;
};

/// sums[which, request] += digest_of_row(), for each row in each layer of its kind. `longest` is
/// how many rows the kind has that has most.
cudaError_t add_row_digests(const RowsToDigest& all, std::int64_t longest, std::uint64_t* sums,
                            cudaStream_t stream);
/// Packs rows of one layer: values, then scales.
cudaError_t gather_rows(const DeviceRow* rows, std::int64_t count, const DeviceCache& cache,
                        std::uint8_t* out, cudaStream_t stream);

cudaError_t fill_words(std::uint32_t* words, std::size_t count, std::uint32_t word,
                       cudaStream_t stream);
/// Adds to *strays how many of the bytes [from, to) of each page differ from `word`, repeated from
/// the page's first byte on.
cudaError_t count_strays(const std::uint8_t* data, std::int64_t from, std::int64_t to,
                         std::int64_t stride, std::int64_t pages, std::uint32_t word,
                         std::uint64_t* strays, cudaStream_t stream);

/// Keeps the stream busy for so long: what the host queues meanwhile then runs back to back, and
/// events between it time the device and not the host.
cudaError_t hold(std::uint32_t microseconds, cudaStream_t stream);

}  // namespace pleat::tools
