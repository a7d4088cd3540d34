// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/csa_launch.cuh"

namespace pleat::cuda {

cudaError_t launch_indexer_f32(const FoldParams& p, const FoldTuning& t, bool projection_bf16,
                               cudaStream_t stream) {
  return launch_csa_state<Indexer, float>(p, t, projection_bf16, stream);
}

}  // namespace pleat::cuda
