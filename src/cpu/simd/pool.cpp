// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/simd/kernels.hpp"

#if PLEAT_HAVE_HIGHWAY
#include "cpu/simd/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/pool.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <algorithm>

#include "cpu/simd/numerics-inl.hpp"
#include "numerics/order.hpp"

#if PLEAT_SIMD_TARGET
HWY_BEFORE_NAMESPACE();
namespace pleat::cpu::HWY_NAMESPACE {

/// Rows whose weights are computed side by side, of one vector of channels. While they are, the
/// scores of the next ones are reduced. AVX2 has half as many registers.
inline constexpr int kAtOnce = HWY_TARGET == HWY_AVX2 ? 1 : 2;
/// Whether the sums of a vector of channels stay in registers from its first row until they are
/// joined and kept. Where AVX2 has to spill for it, that is slower than sums in memory.
inline constexpr bool kSumsInRegisters = HWY_TARGET != HWY_AVX2;
/// Rows of a vector for each request of lines to come: many at once overrun the queue of the cache,
/// which drops them.
inline constexpr int kRowsPerFetch = 4;
/// Vectors of a tile.
inline constexpr int kVectors = kTileChannels / kLanes;

// How a row is read. In the fold of a group `source` is a constant and the branches are none.

HWY_INLINE VF LoadFloats(const Source& source, const std::byte* row, std::int64_t c) {
  if (source.dtype == DType::bf16) return LoadBf16(reinterpret_cast<const std::uint16_t*>(row) + c);
  return hn::LoadU(F(), reinterpret_cast<const float*>(row) + c);
}
HWY_INLINE Halves LoadWide(const Source& source, const std::byte* row, std::int64_t c) {
  if (source.dtype == DType::bf16) return Widened(LoadFloats(source, row, c));
  const float* x = reinterpret_cast<const float*>(row) + c;
  return {LoadDoubles(x), LoadDoubles(x + kLanes / 2)};
}
HWY_INLINE Halves Kv(const Source& source, const RowGroup& g, int r, std::int64_t c) {
  if (source.rounding == Rounding::none) return LoadWide(source, g.row[r], c);
  return Widened(ToBf16(LoadFloats(source, g.row[r], c)));
}
HWY_INLINE ScoreVec Score(const Source& source, const RowGroup& g, int r, std::int64_t c) {
  const std::byte* row = g.row[r] + g.score_offset;
  VF x = LoadFloats(source, row, c);
  if (!source.ape && source.rounding == Rounding::none) return {x, LoadWide(source, row, c)};
  if (source.rounding == Rounding::before_ape) x = ToBf16(x);
  if (source.late) {
    const VF ape = hn::LoadU(F(), g.ape[r] + c);
    return {hn::Add(x, ape), Add(Widened(x), Widened(ape))};
  }
  if (source.ape) x = hn::Add(x, hn::LoadU(F(), g.ape[r] + c));
  if (source.rounding == Rounding::after_ape) x = ToBf16(x);
  return {x, Widened(x)};
}

/// Magnitudes as integers, which NaN does not escape.
HWY_INLINE VI LargerSize(VF score, VI size) {
  return hn::Max(hn::BitCast(I(), hn::Abs(score)), size);
}

/// Rows first..first+kCount-1 of a vector of channels, measured from 0.
template <Source kSource, int kCount>
HWY_INLINE Reduced<2 * kCount> ReduceRows(const RowGroup& g, int first, std::int64_t c, VI& size) {
  VD z[2 * kCount];
  PLEAT_UNROLL(8)
  for (int i = 0; i < kCount; ++i) {
    const ScoreVec score = Score(kSource, g, first + i, c);
    size = LargerSize(score.value, size);
    z[2 * i] = score.exact.low;
    z[2 * i + 1] = score.exact.high;
  }
  const VD magic = hn::Set(D64(), numerics::kRoundMagic);
  return ReduceScores<2 * kCount>(z, [magic](int) HWY_ATTR { return magic; });
}

template <Source kSource, int kCount>
HWY_INLINE void AddRows(const RowGroup& g, int first, std::int64_t c,
                        const Reduced<2 * kCount>& reduced, FoldedVec& f) {
  VD w[2 * kCount];
  WeightsOf(reduced, w);
  PLEAT_UNROLL(8)
  for (int i = 0; i < kCount; ++i)
    AddRow(f, {w[2 * i], w[2 * i + 1]}, Kv(kSource, g, first + i, c));
}

/// Adds the rows of a vector of channels to `f` as if no score were beyond_plain, and asks for
/// `lines` of the rows to come. kCount is the number of the group's rows, or 0: ask the group.
template <Source kSource, int kCount>
HWY_INLINE void FoldRows(const RowGroup& g, std::int64_t c, Ahead& ahead, int lines, VI& size,
                         FoldedVec& f) {
  if constexpr (kCount == 0) {
    for (int r = 0; r < g.rows; ++r)
      AddRows<kSource, 1>(g, r, c, ReduceRows<kSource, 1>(g, r, c, size), f);
    ahead.fetch(lines);
  } else {
    Reduced<2 * kAtOnce> now = ReduceRows<kSource, kAtOnce>(g, 0, c, size);
    PLEAT_UNROLL(8)
    for (int first = 0; first < kCount; first += kAtOnce) {
      if (first % kRowsPerFetch == 0) ahead.fetch(lines / (kCount / kRowsPerFetch));
      Reduced<2 * kAtOnce> next = now;
      if (first + kAtOnce < kCount) {
        next = ReduceRows<kSource, kAtOnce>(g, first + kAtOnce, c, size);
      }
      AddRows<kSource, kAtOnce>(g, first, c, now, f);
      now = next;
    }
  }
}

/// What the groups of a window have in common.
struct Pooling {
  const PoolShape& shape;
  double* partial;  ///< [level][vector of channels][weight, value]: level 0 is the open span
  float* pooled;
};

HWY_INLINE Halves LoadHalves(const double* from) {
  return {hn::LoadU(D64(), from), hn::LoadU(D64(), from + kLanes / 2)};
}
HWY_INLINE void StoreHalves(const Halves& x, double* to) {
  hn::StoreU(x.low, D64(), to);
  hn::StoreU(x.high, D64(), to + kLanes / 2);
}

HWY_INLINE FoldedVec LoadFolded(const double* partial) {
  return {LoadHalves(partial), LoadHalves(partial + kLanes)};
}
HWY_INLINE void StoreFolded(const FoldedVec& f, double* partial) {
  StoreHalves(f.weight, partial);
  StoreHalves(f.value, partial + kLanes);
}

/// Groups of a span. The first leaves its sums to the second.
inline constexpr int kSpanGroups = numerics::kSpanRows / kGroupRows;
static_assert(kSpanGroups == 2);

/// Joins a span of a vector of channels, complete with group `index`, with those before it as
/// numerics::join_neighbours does, but one by one: like counting in binary, equal numbers of spans
/// join as soon as there are two. `at`: of the vector among the channels that are pooled.
HWY_INLINE void JoinSpan(FoldedVec& f, std::int32_t index, const Pooling& p, std::int64_t at) {
  const std::int64_t level = 2 * (p.shape.last - p.shape.first);
  const double* partial = p.partial + level + 2 * at;
  for (std::int32_t spans = index / kSpanGroups; (spans & 1) != 0; spans >>= 1) {
    const FoldedVec before = LoadFolded(partial);
    f = {Add(before.weight, f.weight), Add(before.value, f.value)};
    partial += level;
  }
}
/// The level to which the sums up to group `index` go.
HWY_INLINE int LevelOf(std::int32_t index) {
  if (index % kSpanGroups == 0) return 0;
  return 1 + __builtin_ctz(~static_cast<std::uint32_t>(index / kSpanGroups));
}

/// Folds and joins group `index`. Returns, as bits, the tiles in which a score is beyond_plain.
template <Source kSource, int kCount>
std::uint64_t FoldGroup(const RowGroup& group, std::int32_t index, const Pooling& p, Ahead& ahead) {
  constexpr int kSize = kSource.dtype == DType::bf16 ? 2 : 4;
  constexpr int kLines = 2 * kGroupRows * kLanes * kSize / 64;  // of a vector
  // the finish asks for the rest of the last group's
  const int lines = index + 1 == p.shape.groups ? kLines * 3 / 4 : kLines;
  const std::int64_t width = p.shape.last - p.shape.first;
  const VI most = hn::Set(I(), static_cast<std::int32_t>(numerics::bits_of(numerics::kPlainScore)));
  const bool goes_on = index % kSpanGroups != 0;
  // the last group finds all that it needs to pool
  const bool last = index + 1 == p.shape.groups;
  double* const sums = p.partial + 2 * width * LevelOf(index);
  const auto settle = [&](FoldedVec& f, std::int64_t c) HWY_ATTR {
    if (goes_on) JoinSpan(f, index, p, c);
    if (!last) StoreFolded(f, sums + 2 * c);
  };
  std::uint64_t beyond = 0;
  for (std::int64_t at = 0; at < width; at += kTileChannels) {
    FoldedVec tile[kVectors];  // pooling is long waits for short work: so it is of a tile at once
    VI size = hn::Zero(I());
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t c = at + v * kLanes;
      if constexpr (kSumsInRegisters) {
        FoldedVec f = goes_on ? LoadFolded(p.partial + 2 * c) : NoRows();
        FoldRows<kSource, kCount>(group, p.shape.first + c, ahead, lines, size, f);
        settle(f, c);
        if (last) tile[v] = f;
      } else {
        tile[v] = goes_on ? LoadFolded(p.partial + 2 * c) : NoRows();
        FoldRows<kSource, kCount>(group, p.shape.first + c, ahead, lines, size, tile[v]);
      }
    }
    if constexpr (!kSumsInRegisters) {
      for (int v = 0; v < kVectors; ++v)
        settle(tile[v], at + v * kLanes);
    }
    if (HWY_UNLIKELY(!hn::AllFalse(I(), hn::Gt(size, most)))) {
      beyond |= std::uint64_t{1} << (at / kTileChannels);
    }
    if (last) {
      for (int v = 0; v < kVectors; ++v)
        hn::StoreU(PooledOf(tile[v], p.shape.odd), F(), p.pooled + at + v * kLanes);
    }
  }
  return beyond;
}

using FoldGroupFunction = std::uint64_t (*)(const RowGroup&, std::int32_t, const Pooling&, Ahead&);

template <DType kDType, Rounding kRounding, bool kApe, bool kLate>
FoldGroupFunction ChooseFold(const RowGroup& g) {
  constexpr Source kSource{kDType, kRounding, kApe, kLate};
  return g.rows == kGroupRows ? &FoldGroup<kSource, kGroupRows> : &FoldGroup<kSource, 0>;
}

template <DType kDType, Rounding kRounding>
FoldGroupFunction ChooseFold(const RowGroup& g) {
  if constexpr (kRounding != Rounding::after_ape) {
    if (g.source.late) return ChooseFold<kDType, kRounding, true, true>(g);
  }
  if constexpr (kRounding != Rounding::before_ape) {
    if (g.source.ape) return ChooseFold<kDType, kRounding, true, false>(g);
  }
  return ChooseFold<kDType, kRounding, false, false>(g);
}

template <DType kDType>
FoldGroupFunction ChooseFold(const RowGroup& g) {
  switch (g.source.rounding) {
    case Rounding::none:
      break;
    case Rounding::before_ape:
      return ChooseFold<kDType, Rounding::before_ape>(g);
    case Rounding::after_ape:
      return ChooseFold<kDType, Rounding::after_ape>(g);
  }
  return ChooseFold<kDType, Rounding::none>(g);
}

FoldGroupFunction ChooseFold(const RowGroup& g) {
  return g.source.dtype == DType::bf16 ? ChooseFold<DType::bf16>(g) : ChooseFold<DType::f32>(g);
}

/// numerics::join_neighbours of 2^n spans, taking them one by one.
class SpanSum {
 public:
  HWY_INLINE void Add(const ScaledVec& span) {
    ScaledVec sum = span;
    for (int joined = count_++; (joined & 1) != 0; joined >>= 1)
      sum = Joined(stack_[--depth_], sum);
    stack_[depth_++] = sum;
  }
  [[nodiscard]] HWY_INLINE const FoldedVec& Total() const { return stack_[0].sums; }

 private:
  ScaledVec stack_[12];
  int depth_ = 0;
  int count_ = 0;
};

HWY_INLINE ScaleVec ScaleOf(const RowGroup& g, std::int64_t c) {
  VF max = hn::Set(F(), -__builtin_inff());
  VI size = hn::Zero(I());
  for (int r = 0; r < g.rows; ++r) {
    const VF score = Score(g.source, g, r, c).value;
    max = Larger(score, max);
    size = LargerSize(score, size);
  }
  return ScaleOfGroup(max, hn::BitCast(F(), size));
}

/// Adds a group to those of its span before it.
HWY_INLINE void AddScaledGroup(const RowGroup& g, std::int64_t c, ScaledVec& span) {
  if (g.rows == 0) return;
  const ScaleVec scale = ScaleOf(g, c);
  const Halves n = ExponentOf(scale);
  span.n = IfEqual(span.n, NoScaledRows().n, n, span.n);
  FoldedVec f = IfEqual(span.n, n, span.sums, NoRows());
  for (int r = 0; r < g.rows; ++r) {
    const Halves z = WithinReach(Score(g.source, g, r, c).exact, scale);
    AddRow(f, WeightOfScore(z, scale.magic), Kv(g.source, g, r, c));
  }
  const ScaledVec both = Joined(span, {f, n});
  span = {IfEqual(span.n, n, f, both.sums), both.n};
}

/// Pools channels c.. of a window, each group of each channel measured as its scores demand.
void PoolScaled(const RowGroup* group, const PoolShape& shape, std::int64_t c, float* pooled) {
  SpanSum sum;
  for (std::int32_t first = 0; first < shape.groups; first += kSpanGroups) {
    ScaledVec span = NoScaledRows();
    for (std::int32_t i = first; i < std::min(first + kSpanGroups, shape.groups); ++i)
      AddScaledGroup(group[i], c, span);
    sum.Add(span);
  }
  hn::StoreU(PooledOf(sum.Total(), shape.odd), F(), pooled);
}

void PoolWindow(const RowGroup* group, const PoolShape& shape, Ahead& ahead, double* partial,
                float* pooled) {
  const Pooling pooling{shape, partial, pooled};
  std::uint64_t beyond = 0;
  for (std::int32_t g = 0; g < shape.groups; ++g) {
    const FoldGroupFunction fold = ChooseFold(group[g]);
    if (g + 1 < shape.groups) {
      Ahead own(group[g + 1], shape.first, shape.last);
      beyond |= fold(group[g], g, pooling, own);
    } else {
      beyond |= fold(group[g], g, pooling, ahead);
    }
  }
  for (; beyond != 0; beyond &= beyond - 1) {
    const std::int64_t tile = __builtin_ctzll(beyond) * kTileChannels;
    for (std::int64_t c = tile; c < tile + kTileChannels; c += kLanes)
      PoolScaled(group, shape, shape.first + c, pooled + c);
  }
}

}  // namespace pleat::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // PLEAT_SIMD_TARGET

#if HWY_ONCE
namespace pleat::cpu::simd {

Pool pool([[maybe_unused]] SimdTarget target) {
  return PLEAT_SIMD_CHOOSE(PoolWindow, target);
}

}  // namespace pleat::cpu::simd
#endif  // HWY_ONCE
#endif  // PLEAT_HAVE_HIGHWAY
