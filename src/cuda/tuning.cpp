// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/tuning.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "cuda/any_shape.hpp"
#include "cuda/params.hpp"
#include "cuda/tokens_chunk.hpp"

namespace pleat::cuda {

namespace {

/// Blocks that share an HCA window (hca_fold.cuh), by what was measured. Eight for about as many
/// windows as run at once; then two while all run at once; with many windows a block for each, but
/// with a position bias two, as they have room for it twice on a multiprocessor. Other than a step,
/// an op does not say whether all of its tokens close a window or, decoding, one in 128: eight cost
/// a few percent where all do, anything else three times the latency where one does.
int hca_cluster(Op op, std::int64_t windows, bool biased, bool special,
                const DeviceTraits& device) {
  const std::int64_t all = device.multiprocessors;
  const std::int64_t many = biased ? 3 * all : 3 * all / 4;
  if (!special) return windows < many ? 8 : 1;
  if (op != Op::step) return windows < many ? 8 : biased ? 2 : 1;
  if (windows <= all / 4) return 8;
  return biased || windows <= all / 2 ? 2 : 1;
}

/// Blocks of a fold that run at once. Where several share a window: what a launch can know only of
/// its own kernel, so it lowers this itself.
std::int64_t resident_blocks(Op op, const Geometry& g, const FoldTuning& t,
                             const DeviceTraits& device) {
  if (op == Op::norm_rope_store) return 8LL * device.multiprocessors;
  if (t.cluster > 1) return 1LL << 24;
  // Generic kernels of HCA look up where each row lies, in more registers: kHcaResident.
  return (g == Hca::value && !t.special ? 1LL : 2LL) * device.multiprocessors;
}

/// How many windows may close; only the device knows how many do. On a step, tokens of a request
/// follow one another, or come one by one at any place in a window.
std::int64_t windows_expected(Op op, const Call& call) {
  const std::int64_t most = std::max<std::int64_t>(1, most_closing(call));
  if (op != Op::step) return most;
  return std::min(most, call.batch.positions.shape[0] / call.compressor.geometry.ratio + 4);
}

/// Of many HCA windows, a block each, the blocks that run at once are sure of seven tenths; the
/// rest have blocks of their own, which start where one has ended. Blocks that find nothing to do
/// cost time too, so there are not more of them than a few for each place.
void share_out(FoldShares& s, std::int64_t windows, std::int64_t resident) {
  constexpr std::int64_t least = 3;  // a block: with fewer, starting others costs more
  s.early_blocks = s.blocks;
  s.early_windows = kEveryWindow;
  const std::int64_t share = (7 * windows + 5 * resident) / (10 * resident);
  if (share < least) return;
  const std::int64_t later = std::min(windows - share * resident, 8 * resident);
  s.early_blocks = static_cast<std::int32_t>(resident);
  s.early_windows = static_cast<std::int32_t>(share * resident);
  s.blocks = static_cast<std::int32_t>(resident + later);
}

bool folds(Op op) {
  return op == Op::compress || op == Op::compress_store || op == Op::step;
}
bool stores(Op op) {
  return op == Op::norm_rope_store || op == Op::compress_store || op == Op::step;
}

/// Windows that a block works on at once. HCA: a block or a cluster one. CSA: four warps each, the
/// indexer: a warp each, when a warp has two tiles.
int windows_at_once(Op op, const Geometry& g) {
  const bool indexer = g.head_dim == 128;
  if (op == Op::norm_rope_store) return indexer ? 4 : 1;
  if (g == Hca::value) return 1;
  return indexer ? 8 : 2;
}

/// Without a plan blocks look through chunks of tokens, as many through each as makes `wanted` in
/// all, and as there can be windows for in a chunk.
void share_chunks(FoldShares& s, const Call& call, std::int64_t wanted, int at_once) {
  const std::int64_t tokens = std::max<std::int64_t>(1, call.batch.positions.shape[0]);
  const std::int64_t chunks = divide_up(tokens, kScanThreads);
  const std::int64_t most = kScanThreads / at_once;
  s.sharing = static_cast<std::int32_t>(std::clamp<std::int64_t>(wanted / chunks, 1, most));
  s.blocks = static_cast<std::int32_t>(chunks * s.sharing);
}

FoldShares share_windows(Op op, const Call& call, const FoldTuning& t, const DeviceTraits& device) {
  const Geometry& g = call.compressor.geometry;
  const std::int64_t windows = windows_expected(op, call);
  const bool hca = g == Hca::value;
  int at_once = windows_at_once(op, g);
  FoldShares s;
  if (!hca && folds(op)) {  // where a block a multiprocessor is enough, all of its warps work
    s.split = windows <= device.multiprocessors * at_once / 2;
    if (s.split) at_once /= 2;
  }
  const std::int64_t resident = resident_blocks(op, g, t, device) / t.cluster;
  const std::int64_t spread = std::min<std::int64_t>(windows, device.multiprocessors);
  const std::int64_t needed = std::max(divide_up(windows, at_once), spread);
  const std::int64_t equal = divide_up(needed, divide_up(needed, resident));  // shares
  if (call.plan.data == nullptr) {
    // two blocks a multiprocessor; but clusters of 8 do not reach all of them
    const int places = 2 * device.multiprocessors * (t.cluster == 8 ? 9 : 10) / 10 / t.cluster;
    share_chunks(s, call, std::min<std::int64_t>(equal, std::max(places, 1)), at_once);
    s.blocks *= t.cluster;
    return s;
  }
  s.blocks = static_cast<std::int32_t>(equal * t.cluster);
  if (hca && folds(op) && t.cluster == 1) share_out(s, windows, resident);
  return s;
}

/// The same for a geometry that no kernel is compiled for: a block has a window at a time. Without
/// a plan several look through each chunk of tokens, as long as all of them run at once.
FoldShares share_any_windows(Op op, const Call& call, const DeviceTraits& device) {
  const std::int64_t windows = windows_expected(op, call);
  // of a multiprocessor, or nearly: it has room for more where they have fewer threads
  const std::int64_t blocks =
      kAnyFoldBlocks * (kAnyThreads / any_threads(call.compressor.geometry.head_dim));
  const std::int64_t resident = blocks * device.multiprocessors;
  FoldShares s;
  if (call.plan.data != nullptr) {
    s.blocks = static_cast<std::int32_t>(std::min(windows, resident));
    return s;
  }
  const std::int64_t tokens = std::max<std::int64_t>(1, call.batch.positions.shape[0]);
  const std::int64_t chunks = divide_up(tokens, kScanThreads);
  const std::int64_t most = std::min<std::int64_t>(kScanThreads, divide_up(windows, chunks));
  s.blocks =
      static_cast<std::int32_t>(chunks * std::clamp<std::int64_t>(resident / chunks, 1, most));
  return s;
}

/// Blocks of a save for such a geometry: a warp has a part of a row at a time.
int blocks_that_save_any(const Call& call, const DeviceTraits& device) {
  constexpr std::int64_t warps = kAnyThreads / 32;
  const std::int64_t parts = divide_up(call.compressor.geometry.row_width(), kAnySaveChannels);
  const std::int64_t needed = divide_up(call.batch.positions.shape[0] * parts, warps);
  return static_cast<int>(std::min<std::int64_t>(needed, 8LL * device.multiprocessors));
}

/// Blocks that save rows: all at once, if folds leave some room.
int blocks_that_save(Op op, const Call& call, const FoldTuning& t, const DeviceTraits& device) {
  // rows that a block writes at once: SaveShape
  const std::int64_t rows = (op == Op::step ? 4096 : 2048) / call.compressor.geometry.row_width();
  const std::int64_t places = (t.alone ? 1LL : 2LL) * device.multiprocessors;
  const std::int64_t most = std::max<std::int64_t>({places - t.shares.blocks, places / 4, 1});
  const std::int64_t blocks = std::min(divide_up(call.batch.positions.shape[0], rows), most);
  return static_cast<int>(divide_up(blocks, t.cluster) * t.cluster);
}

/// The first thing about a call that is not as the special kernels have it. Not yet a text: every
/// launch asks, and must not allocate.
struct Unlike {
  const char* text = nullptr;  ///< null: there is none; else for fmt, of what came and is wanted
  std::int64_t got = 0;
  std::int64_t want = 0;
};

Unlike unlike_special(Op op, const Call& call) {
  const Geometry& g = call.compressor.geometry;
  if (folds(op)) {
    const TensorView& s = call.state.pages;
    const std::int64_t rows = g.overlap ? g.ratio : kGroupRows;
    const std::int64_t width = g.row_width();
    constexpr std::int64_t farthest = std::numeric_limits<std::int32_t>::max();
    if (call.state.layout == StateLayout::ring) return {"the state is a ring, not paged"};
    if (s.shape[1] != rows) return {"state pages have {} rows, not {}", s.shape[1], rows};
    if (s.stride[1] != width) {
      return {"state rows are {} elements apart, not {}", s.stride[1], width};
    }
    if (s.stride[0] > farthest) {
      return {"state pages are {} elements apart, not {} at most", s.stride[0], farthest};
    }
    if (op == Op::step && call.projection.stride[0] != width) {
      return {"projection rows are {} elements apart, not {}", call.projection.stride[0], width};
    }
  }
  const std::int64_t rows = kCachePageTokens / g.ratio;
  if (stores(op) && call.cache.shape[1] != rows) {
    return {"cache pages have {} rows, not {}", call.cache.shape[1], rows};
  }
  return {};
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

int clusters_that_fold(int at_once, int saving) {
  return std::max({at_once - saving, at_once / 4, 1});
}

std::string why_not_special(Op op, const Call& call) {
  const Unlike u = unlike_special(op, call);
  return u.text == nullptr ? std::string() : fmt::format(fmt::runtime(u.text), u.got, u.want);
}

FoldTuning tune(Op op, const Call& call, const Exec& exec, const DeviceTraits& device) {
  const Geometry& g = call.compressor.geometry;
  const std::int64_t tokens = call.batch.positions.shape[0];
  FoldTuning t;
  t.fast = exec.variant == Variant::fast;
  t.chained = exec.chain != Chain::none && device.clusters;
  if (!is_compiled(g)) {
    if (op != Op::save_state) t.shares = share_any_windows(op, call, device);
    if (op == Op::save_state || op == Op::step) t.save_blocks = blocks_that_save_any(call, device);
    return t;
  }
  t.special = unlike_special(op, call).text == nullptr;
  if (g == Hca::value && device.clusters && folds(op)) {
    t.cluster =
        call.plan.data == nullptr && op == Op::step
            ? 8
            : hca_cluster(op, windows_expected(op, call), adds_bias(op, call), t.special, device);
  }
  // The fold of clusters of 2 is short of registers where two blocks share a multiprocessor's; the
  // approximate one is not.
  t.alone = op == Op::step && t.cluster == 2 && !t.fast &&
            2 * (tokens / g.ratio) <= device.multiprocessors;
  if (op != Op::save_state) t.shares = share_windows(op, call, t, device);
  if (op == Op::save_state || op == Op::step) t.save_blocks = blocks_that_save(op, call, t, device);
  return t;
}

}  // namespace pleat::cuda
