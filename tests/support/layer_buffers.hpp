// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

#include "support/layer.hpp"
#include "support/memory.hpp"
#include "support/random.hpp"
#include "support/schedule.hpp"

namespace pleat::test {

/// Bytes after a 256-byte boundary, a multiple of `unit` below 64.
std::size_t misalignment(std::int64_t unit, Random& random);

/// Elements between pages of state; bytes between pages of the cache.
std::int64_t state_stride(const Layer& layer, const EngineShape& shape);
std::int64_t cache_stride(const Layer& layer, const EngineShape& shape);

/// A layer's weights, state and cache in a Memory. State and cache hold 0xFF (NaN) at first.
struct LayerBuffers {
  LayerBuffers(Memory& memory, const Layer& layer, const EngineShape& shape,
               std::int64_t state_pages, std::int64_t cache_pages, Random& random);

  /// A call's compressor, state but for the block table, cache, weights and write.
  [[nodiscard]] Call call(const Layer& layer, const EngineShape& shape) const;
  /// What was written that must not be; empty where all is well.
  [[nodiscard]] std::string damage() const;

  std::int64_t state_pages;
  std::int64_t cache_pages;
  Buffer ape;
  Buffer norm;
  Buffer rope;
  Buffer scale;
  Buffer state;
  Buffer cache;
};

}  // namespace pleat::test
