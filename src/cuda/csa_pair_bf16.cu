// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/csa_pair.cuh"

namespace pleat::cuda {

cudaError_t launch_csa_pair_bf16(const FoldParams& main, const FoldTuning& main_tuning,
                                 const FoldParams& indexer, const FoldTuning& indexer_tuning,
                                 bool projection_bf16, cudaStream_t stream) {
  return launch_pair_state<Bf16>(main, main_tuning, indexer, indexer_tuning, projection_bf16,
                                 stream);
}

}  // namespace pleat::cuda
