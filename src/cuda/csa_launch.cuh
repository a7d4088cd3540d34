// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/csa.cuh"
#include "cuda/launch.cuh"

namespace pleat::cuda {

inline constexpr int kCsaPageRows = 4;  ///< state pages of the special layout
inline constexpr int kCsaCacheRows = kCachePageTokens / Csa::ratio;

/// Dynamic shared memory of a launch.
constexpr int csa_shared(bool biased, bool planned) {
  return kSharedAlignment + CsaMemory::ape + (biased ? CsaMemory::ape_bytes : 0) +
         (planned ? 0 : CsaMemory::found_bytes);
}

template <class G, class S, class P, int PageRows, int CacheRows>
cudaError_t launch_csa_layout(const FoldParams& p, const FoldTuning& t, cudaStream_t stream) {
  auto* kernel = t.fast ? csa_kernel<G, S, P, PageRows, CacheRows, true>
                        : csa_kernel<G, S, P, PageRows, CacheRows, false>;
  static PerDevice<Ready> ready[2];
  const Ready r =
      ready[t.fast].get([&] { return Ready{allow_shared(kernel, csa_shared(true, false))}; });
  if (r.error != cudaSuccess) return r.error;
  return launch(kernel, t.shares.blocks + t.save_blocks, kCsaThreads, 1,
                csa_shared(p.ape != nullptr, p.plan != nullptr), t.chained, stream, p);
}

template <class G, class S>
cudaError_t launch_csa_state(const FoldParams& p, const FoldTuning& t, bool projection_bf16,
                             cudaStream_t stream) {
  if (t.special) {
    return projection_bf16
               ? launch_csa_layout<G, S, Bf16, kCsaPageRows, kCsaCacheRows>(p, t, stream)
               : launch_csa_layout<G, S, float, kCsaPageRows, kCsaCacheRows>(p, t, stream);
  }
  return projection_bf16 ? launch_csa_layout<G, S, Bf16, 0, 0>(p, t, stream)
                         : launch_csa_layout<G, S, float, 0, 0>(p, t, stream);
}

}  // namespace pleat::cuda
