// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace pleat {

/// How tokens fold into rows, as a run-time value. With overlap each window also looks at the
/// previous `ratio` tokens, and a token carries two sets of channels: [0, head_dim) for its role in
/// the next group's window, [head_dim, 2 * head_dim) for its role in its own.
struct Geometry {
  std::int32_t ratio = 0;     ///< R: tokens folded into one row
  bool overlap = false;       ///< window of 2R instead of R
  std::int32_t head_dim = 0;  ///< D: channels of a row
  std::int32_t rope_dim = 0;  ///< the last channels of a row, rotated in interleaved pairs
  bool ape = false;           ///< scores carry a learned position bias [R, S]

  /// W: tokens that one row is made from.
  [[nodiscard]] constexpr std::int32_t window() const { return overlap ? 2 * ratio : ratio; }
  /// S: channels of kv, and of score, that a token keeps.
  [[nodiscard]] constexpr std::int32_t state_width() const {
    return overlap ? 2 * head_dim : head_dim;
  }
  /// Elements of a projection row, and of a state row: [kv S | score S].
  [[nodiscard]] constexpr std::int32_t row_width() const { return 2 * state_width(); }

  friend constexpr bool operator==(const Geometry& a, const Geometry& b) {
    return a.ratio == b.ratio && a.overlap == b.overlap && a.head_dim == b.head_dim &&
           a.rope_dim == b.rope_dim && a.ape == b.ape;
  }
};

/// Rows are pooled in groups of this many; see docs/numerics.md.
inline constexpr std::int32_t kGroupRows = 8;
/// Channels are summed, and quantised for attention, in tiles of this many.
inline constexpr std::int32_t kTileChannels = 64;

constexpr bool is_power_of_two(std::int64_t n) {
  return n > 0 && (n & (n - 1)) == 0;
}

/// The shapes that the fixed order of operations is defined for. Not each has a row format: a head
/// dim of 64 has none, so plan, save_state and compress take it, and the ops that store rows do not
/// (row_format_fits() in layout.hpp).
constexpr bool is_valid(const Geometry& g) {
  return is_power_of_two(g.ratio) && g.ratio <= 1024 && is_power_of_two(g.head_dim) &&
         g.head_dim >= kTileChannels && g.head_dim <= 4096 && g.rope_dim > 0 &&
         g.rope_dim % 2 == 0 && g.rope_dim <= kTileChannels;
}

/// The same as a type: what the fast kernels are compiled for. Impossible shapes do not compile.
template <int Ratio, bool Overlap, int HeadDim, int RopeDim, bool Ape>
struct GeometryOf {
  static constexpr Geometry value{Ratio, Overlap, HeadDim, RopeDim, Ape};
  static constexpr int ratio = Ratio;
  static constexpr bool overlap = Overlap;
  static constexpr int head_dim = HeadDim;
  static constexpr int rope_dim = RopeDim;
  static constexpr bool ape = Ape;
  static constexpr int window = value.window();
  static constexpr int state_width = value.state_width();
  static constexpr int row_width = value.row_width();
  static constexpr int group_rows = window < kGroupRows ? window : kGroupRows;
  static constexpr int groups = window / group_rows;
  static constexpr int tiles = HeadDim / kTileChannels;
  static constexpr int nope_dim = HeadDim - RopeDim;

  static_assert(is_power_of_two(Ratio) && Ratio <= 1024, "ratio: a power of two up to 1024");
  static_assert(is_power_of_two(HeadDim) && HeadDim >= kTileChannels && HeadDim <= 4096,
                "head_dim: a power of two from 64 to 4096");
  static_assert(RopeDim > 0 && RopeDim % 2 == 0 && RopeDim <= kTileChannels,
                "rope_dim: even, from 2 to 64");
  static_assert(groups * group_rows == window);
};

/// Heavily compressed attention ("C128"): 128 tokens, one 512-wide row.
using Hca = GeometryOf<128, false, 512, 64, true>;
/// Compressed sparse attention ("C4"): 4 tokens and the 4 before them, one 512-wide row.
using Csa = GeometryOf<4, true, 512, 64, true>;
/// Keys of the sparse selection: as CSA, 128 wide.
using Indexer = GeometryOf<4, true, 128, 64, true>;

static_assert(Hca::window == 128 && Hca::row_width == 1024 && Hca::groups == 16);
static_assert(Csa::window == 8 && Csa::row_width == 2048 && Csa::groups == 1);
static_assert(Indexer::window == 8 && Indexer::row_width == 512 && Indexer::tiles == 2);

}  // namespace pleat
