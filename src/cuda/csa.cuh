// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"
#include "cuda/rows.cuh"
#include "cuda/save.cuh"
#include "cuda/tokens.cuh"

// Windows of one group (CSA and the indexer: 4 rows and the 4 before them). A thread folds the
// whole window of its four channels; head_dim / 4 threads make a row: a block for CSA, a warp for
// the indexer. While a row is normalised and stored, the loads of the worker's next window are in
// flight.
namespace pleat::cuda {

inline constexpr int kCsaThreads = 128;

/// The two pages that hold the window's groups, when a page is a group.
struct GroupPages {
  std::int32_t previous;
  std::int32_t current;
};

template <class G, int PageRows>
__device__ __forceinline__ GroupPages group_pages(const FoldParams& p, const PlanEntry& e) {
  if constexpr (PageRows != G::ratio) return {0, 0};
  const int fresh = p.projection != nullptr ? e.fresh : 0;
  const std::int32_t* table = p.block_table + e.request * p.table_stride + e.row;
  GroupPages pages{0, 0};
  if (fresh < G::window && e.row > 0) pages.previous = table[-1];
  if (fresh < G::ratio) pages.current = table[0];
  return pages;
}

/// Issues all of the thread's loads: 8 rows of score, then of kv. Rows before position 0 are not
/// loaded.
template <class G, class S, class P, int PageRows>
__device__ __forceinline__ void issue_window(const FoldParams& p, const PlanEntry& e,
                                             const GroupPages& pages, int channel,
                                             RawRow (&rows)[G::window]) {
  const int fresh_from = G::window - (p.projection != nullptr ? e.fresh : 0);
  const std::int64_t token = static_cast<std::int64_t>(e.token) - (G::window - 1);
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const int offset = part == 0 ? G::state_width : 0;
#pragma unroll
    for (int w = 0; w < G::window; ++w) {
      if (w < G::ratio && e.row == 0) continue;
      const int column = (w < G::ratio ? 0 : G::head_dim) + channel + offset;
      uint4 raw;
      if (w >= fresh_from) {
        raw = Loader<P>::load(p.projection, (token + w) * step_stride<G, PageRows>(p) + column);
      } else if constexpr (PageRows == G::ratio) {
        const std::int64_t page = w < G::ratio ? pages.previous : pages.current;
        raw = Loader<S>::load(p.state, page * p.page_stride +
                                           w % G::ratio * page_row_stride<G, PageRows>(p) + column);
      } else {
        const std::int64_t position = (static_cast<std::int64_t>(e.row) - 1) * G::ratio + w;
        raw = Loader<S>::load(p.state, state_row<PageRows>(p, e.request, position) + column);
      }
      (part == 0 ? rows[w].score : rows[w].kv) = raw;
    }
  }
}

template <class G, class S, class P, bool Fast>
__device__ __forceinline__ Quad pool_window(const FoldParams& p, const PlanEntry& e, int channel,
                                            const RawRow (&rows)[G::window]) {
  const int fresh_from = G::window - (p.projection != nullptr ? e.fresh : 0);
  const int ape_from = p.ape == nullptr ? G::window : p.recipe.ape_when_pooled ? 0 : fresh_from;
  const bool late = p.recipe.ape_when_pooled && p.ape != nullptr;
  const auto ape_row = [&](int w) {
    return p.ape + w % G::ratio * p.ape_stride + channel + (w < G::ratio ? 0 : G::head_dim);
  };
  const auto ape_of = [&](int w, int c) { return __ldg(ape_row(w) + c); };
  Quad score[G::window];
  Quad kv[G::window];
#pragma unroll
  for (int w = 0; w < G::window; ++w) {
    const bool early = !late && w >= ape_from;
    float4 a{};
    if (early) a = load_again16(ape_row(w));
    settle<S, P>(rows[w], w >= fresh_from, early, a, score[w], kv[w]);
  }
  Folded folded[4];
  if (e.row == 0) {
    if (late) {
      fold_rows<G::ratio, G::window, Fast, true>(score, kv, ape_of, folded);
    } else {
      fold_rows<G::ratio, G::window, Fast, false>(score, kv, ape_of, folded);
    }
  } else if (late) {
    fold_rows<0, G::window, Fast, true>(score, kv, ape_of, folded);
  } else {
    fold_rows<0, G::window, Fast, false>(score, kv, ape_of, folded);
  }
  Quad x;
#pragma unroll
  for (int c = 0; c < 4; ++c)
    x.v[c] = numerics::pooled_of(folded[c].value, folded[c].weight);
  return x;
}

template <class G, class S, class P, int PageRows, int CacheRows, bool Fast>
__global__ void __launch_bounds__(kCsaThreads, 2) csa_kernel(const __grid_constant__ FoldParams p) {
  static_assert(G::overlap && G::window == kGroupRows);
  constexpr int row_threads = G::head_dim / 4;
  constexpr int workers = kCsaThreads / row_threads;  // windows a block folds at once
  static_assert(workers == 1 || row_threads == 32);
  __shared__ float squares[2][G::tiles];
  __shared__ PlanEntry found[kScanThreads];
  __shared__ LateInputs late[2][kCsaThreads];  // of this window and the next
  __shared__ float4 norm[kCsaThreads];

  const int tid = static_cast<int>(threadIdx.x);
  if (static_cast<int>(blockIdx.x) >= p.fold_blocks) {
    wait_for_predecessor();
    save_rows<G, S, P, PageRows, kCsaThreads>(p, static_cast<int>(blockIdx.x) - p.fold_blocks,
                                              static_cast<int>(gridDim.x) - p.fold_blocks);
    return;
  }
  const int worker = tid / row_threads;
  const int lane = tid % row_threads;
  const int channel = 4 * lane;
  const int tile = channel / kTileChannels;
  const bool rotated = tile == G::tiles - 1;
  if (p.output == Output::cache) norm[tid] = norm_quad(p, channel);
  wait_for_predecessor();

  WindowList list;
  const int first = static_cast<int>(blockIdx.x) * workers + worker;
  if (p.plan != nullptr) {
    list = plan_windows(p, first, p.fold_blocks * workers);
  } else {
    list = scan_chunk<G>(p, static_cast<int>(blockIdx.x), worker, workers, found);
  }

  RawRow rows[G::window];
  std::int32_t index = list.first;
  PlanEntry entry{};
  PlanEntry next{};
  if (index < list.count) {
    entry = list.head[0];
    if (p.output == Output::cache) fetch_late<G>(p, entry, rotated, lane % 16, late[0][tid]);
    issue_window<G, S, P, PageRows>(p, entry, group_pages<G, PageRows>(p, entry), channel, rows);
  }
  GroupPages next_pages{0, 0};
  if (index + list.stride < list.count) {
    next = list.head[1];
    next_pages = group_pages<G, PageRows>(p, next);
  }

  std::uint32_t round = 0;
#pragma unroll 1
  for (; index < list.count; index += list.stride, ++round) {
    const bool more = index + list.stride < list.count;
    const std::uint32_t side = round & 1U;
    wait_for_copies();
    Quad x = pool_window<G, S, P, Fast>(p, entry, channel, rows);
    if (more) {
      if (p.output == Output::cache) {
        fetch_late<G>(p, next, rotated, lane % 16, late[side ^ 1U][tid]);
      }
      issue_window<G, S, P, PageRows>(p, next, next_pages, channel, rows);
    }

    if (p.output == Output::compressed) {
      *reinterpret_cast<float4*>(p.compressed + entry.token * p.compressed_stride + channel) = {
          x.v[0], x.v[1], x.v[2], x.v[3]};
    } else {
      if (p.recipe.pooled_bf16) round_quad(x);
      float sum = tile_squares(x);
      if constexpr (row_threads == 32) {
        sum = sum + __shfl_xor_sync(kAllLanes, sum, 16);
      } else {
        if (lane % 16 == 0) squares[side][tile] = sum;
        __syncthreads();
        sum = ((squares[side][0] + squares[side][4]) + (squares[side][2] + squares[side][6])) +
              ((squares[side][1] + squares[side][5]) + (squares[side][3] + squares[side][7]));
      }
      const std::int64_t kv_slot = late[side][tid].kv_slot;
      if (kv_slot >= 0) {
        const float scale = numerics::rms_scale(sum, G::head_dim, p.eps);
        norm_rope_quad(p, x, scale, norm[tid], late[side][tid], rotated);
        const RowTarget to = row_target<CacheRows>(p, kv_slot);
        if constexpr (row_threads == 32) {
          store_index_row(p, x, lane, to);
        } else {
          store_tile<G>(p, x, tile, lane % 16, to);
        }
      }
    }
    entry = next;
    if (index + 2 * list.stride < list.count) {
      next = list.entries[index + 2 * list.stride];
      next_pages = group_pages<G, PageRows>(p, next);
    }
  }
  let_successor_start();
}

}  // namespace pleat::cuda
