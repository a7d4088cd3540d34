// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "cuda/csa_launch.cuh"

// A step of CSA and of its indexer in one launch. Blocks in the order in which they
// are wanted: the folds, main's first as they are the longest, then the blocks that save state
// rows.
namespace pleat::cuda {

template <class S, class P, int PageRows, int CacheRows, bool Fast>
__global__ void __launch_bounds__(kCsaThreads, 2)
    csa_pair_kernel(const __grid_constant__ FoldParams main,
                    const __grid_constant__ FoldParams indexer, int main_save_blocks) {
  union Shared {
    CsaShared<Csa> main;
    CsaShared<Indexer> indexer;
  };
  __shared__ Shared shared;
  extern __shared__ uint4 dynamic_memory[];
  uint4* const dynamic = aligned_dynamic(dynamic_memory);
  const int folds = main.shares.blocks + indexer.shares.blocks;
  const int block = static_cast<int>(blockIdx.x);
  if (block < main.shares.blocks) {
    fold_groups<Csa, S, P, PageRows, CacheRows, Fast>(main, block, dynamic, shared.main);
  } else if (block < folds) {
    fold_groups<Indexer, S, P, PageRows, CacheRows, Fast>(indexer, block - main.shares.blocks,
                                                          dynamic, shared.indexer);
  } else {
    const int save = block - folds;
    auto* found = reinterpret_cast<SaveItem*>(dynamic);
    if (save < main_save_blocks) {
      save_rows<Csa, S, P, kCsaThreads>(main, save, main_save_blocks, found);
    } else {
      save_rows<Indexer, S, P, kCsaThreads>(indexer, save - main_save_blocks,
                                            static_cast<int>(gridDim.x) - folds - main_save_blocks,
                                            found);
    }
  }
}

template <class S, class P, int PageRows, int CacheRows>
cudaError_t launch_pair_layout(const FoldParams& main, const FoldTuning& main_tuning,
                               const FoldParams& indexer, const FoldTuning& indexer_tuning,
                               cudaStream_t stream) {
  const bool fast = main_tuning.fast;
  auto* kernel = fast ? csa_pair_kernel<S, P, PageRows, CacheRows, true>
                      : csa_pair_kernel<S, P, PageRows, CacheRows, false>;
  static PerDevice<Ready> ready[2];
  const Ready r =
      ready[fast].get([&] { return Ready{allow_shared(kernel, csa_shared(true, false))}; });
  if (r.error != cudaSuccess) return r.error;
  const int blocks = main_tuning.shares.blocks + indexer_tuning.shares.blocks +
                     main_tuning.save_blocks + indexer_tuning.save_blocks;
  const bool biased = main.ape != nullptr || indexer.ape != nullptr;
  const bool planned = main.plan != nullptr && indexer.plan != nullptr;
  return launch(kernel, blocks, kCsaThreads, 1, csa_shared(biased, planned), main_tuning.chained,
                stream, main, indexer, main_tuning.save_blocks);
}

/// The special kernel serves only two calls that both have its layout.
template <class S>
cudaError_t launch_pair_state(const FoldParams& main, const FoldTuning& main_tuning,
                              const FoldParams& indexer, const FoldTuning& indexer_tuning,
                              bool projection_bf16, cudaStream_t stream) {
  const auto run = [&](auto* launcher) {
    return launcher(main, main_tuning, indexer, indexer_tuning, stream);
  };
  if (main_tuning.special && indexer_tuning.special) {
    return projection_bf16 ? run(launch_pair_layout<S, Bf16, kCsaPageRows, kCsaCacheRows>)
                           : run(launch_pair_layout<S, float, kCsaPageRows, kCsaCacheRows>);
  }
  return projection_bf16 ? run(launch_pair_layout<S, Bf16, 0, 0>)
                         : run(launch_pair_layout<S, float, 0, 0>);
}

}  // namespace pleat::cuda
