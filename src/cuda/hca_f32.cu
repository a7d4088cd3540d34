// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/hca_launch.cuh"

namespace pleat::cuda {

cudaError_t launch_hca_f32(const FoldParams& p, const FoldTuning& t, bool projection_bf16,
                           cudaStream_t stream) {
  return launch_hca_state<float>(p, t, projection_bf16, stream);
}

}  // namespace pleat::cuda
