// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/tuning.hpp"

#include <algorithm>

#include "cuda/tokens_chunk.hpp"

namespace pleat::cuda {

namespace {

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Blocks of a fold that run at once. HCA: what a launch can know only of its own kernel, so it
/// lowers this itself.
std::int64_t resident_blocks(Op op, const Geometry& g, const DeviceTraits& device) {
  if (op == Op::norm_rope_store) return 8LL * device.multiprocessors;
  if (g == Hca::value) return device.clusters ? 1LL << 24 : device.multiprocessors;
  return 4LL * device.multiprocessors;
}

bool folds(Op op) {
  return op == Op::compress || op == Op::compress_store || op == Op::step;
}
bool stores(Op op) {
  return op == Op::norm_rope_store || op == Op::compress_store || op == Op::step;
}

}  // namespace

std::int64_t most_closing(const Call& call) {
  const std::int64_t tokens = call.batch.positions.shape[0];
  const std::int64_t ratio = call.compressor.geometry.ratio;
  // each request can be one token short of a window when it comes; without a table each token is
  // one
  const std::int64_t requests =
      call.state.block_table.given() ? call.state.block_table.shape[0] : tokens;
  return std::min(tokens, (tokens + requests * (ratio - 1)) / ratio);
}

const char* why_not_special(Op op, const Call& call) {
  const Geometry& g = call.compressor.geometry;
  const std::int64_t group = g.overlap ? g.ratio : kGroupRows;
  if (folds(op)) {
    const TensorView& s = call.state.pages;
    if (call.state.layout == StateLayout::ring) return "the state is a ring";
    if (s.shape[1] != group) return "state pages are not one group of rows";
    if (s.stride[1] != g.row_width()) return "state rows are not packed";
    if (op == Op::step && call.projection.stride[0] != g.row_width()) {
      return "projection rows are not packed";
    }
  }
  if (stores(op) && call.cache.shape[1] != 256 / g.ratio) {
    return "cache pages are not of 256 tokens";
  }
  return nullptr;
}

FoldTuning tune(Op op, const Call& call, const Exec& exec, const DeviceTraits& device) {
  const Geometry& g = call.compressor.geometry;
  const std::int64_t tokens = call.batch.positions.shape[0];
  const bool hca = g == Hca::value;
  FoldTuning t;
  t.special = why_not_special(op, call) == nullptr;
  t.fast = exec.variant == Variant::fast;
  t.chained = exec.chained && device.clusters;
  t.cluster = hca && device.clusters && folds(op) ? 8 : 1;
  // rows that a block writes at once: SaveShape
  const std::int64_t save_rows = g.row_width() >= 2048 ? 1 : 2;
  if (op == Op::save_state || op == Op::step) {
    const std::int64_t most = std::int64_t{2} * device.multiprocessors;
    const std::int64_t blocks = std::min(divide_up(tokens, save_rows), most);
    t.save_blocks = static_cast<int>(divide_up(blocks, t.cluster) * t.cluster);
  }
  if (op != Op::save_state) {
    // a worker folds one window at a time: a cluster for HCA, a block for CSA, a warp for the
    // indexer
    const std::int64_t per_block = g.head_dim == 128 ? 4 : 1;
    std::int64_t blocks = 0;
    if (call.plan.data == nullptr) {
      blocks = divide_up(tokens, kScanThreads);  // each looks through its own tokens
    } else {
      const std::int64_t most = std::max<std::int64_t>(1, most_closing(call));
      const std::int64_t resident = resident_blocks(op, g, device) / t.cluster;
      const std::int64_t needed = divide_up(most, per_block);
      blocks = divide_up(needed, divide_up(needed, resident));  // an equal share for each
    }
    t.fold_blocks = static_cast<int>(blocks * t.cluster);
  }
  return t;
}

}  // namespace pleat::cuda
