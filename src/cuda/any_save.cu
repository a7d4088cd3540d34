// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/any_geometry.cuh"
#include "cuda/any_shape.hpp"
#include "cuda/launch.cuh"
#include "cuda/plan.cuh"
#include "cuda/save.cuh"

// State rows of the step's tokens, for any geometry: all of them, as no fold writes any. And the
// plan.

namespace pleat::cuda {

namespace {

__device__ __forceinline__ uint4 load_any_quad(const FoldParams& p, const Types& types,
                                               std::int64_t element) {
  return types.projection_bf16 ? load_quad<Bf16>(p.projection, element)
                               : load_quad<float>(p.projection, element);
}
__device__ __forceinline__ void save_any_quad(const FoldParams& p, const Types& types,
                                              std::int64_t to, const uint4& raw, bool biased,
                                              const float4& ape) {
  if (types.state_bf16) {
    if (types.projection_bf16) return save_quad<Bf16, Bf16>(p, to, raw, biased, ape);
    return save_quad<Bf16, float>(p, to, raw, biased, ape);
  }
  if (types.projection_bf16) return save_quad<float, Bf16>(p, to, raw, biased, ape);
  save_quad<float, float>(p, to, raw, biased, ape);
}

/// Op save_state, and what a step has to save. A warp copies a part of a row, kAnySaveChannels
/// of it.
__global__ void __launch_bounds__(kAnyThreads)
    any_save_kernel(const __grid_constant__ FoldParams p, const __grid_constant__ AnyGeometry g,
                    const __grid_constant__ Types types) {
  constexpr int together = kAnySaveChannels / 4;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int quads = g.row_width / 4;
  const std::int64_t parts = quads < together ? 1 : quads / together;  // a power of two
  const int shift = 31 - __clz(static_cast<int>(parts));
  const bool early_ape = p.ape != nullptr && !p.recipe.ape_when_pooled;
  const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * (blockDim.x / 32);
  wait_for_rows();
  const std::int32_t listed = p.plan != nullptr ? p.plan->saves : kEveryLiveToken;
  const std::int64_t items = static_cast<std::int64_t>(listed >= 0 ? listed : p.tokens) << shift;
#pragma unroll 1
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * (blockDim.x / 32) +
                        static_cast<std::int64_t>(threadIdx.x / 32);
       i < items; i += warps) {
    const auto row = static_cast<std::int32_t>(i >> shift);
    const std::int32_t t = listed >= 0 ? p.saves[row] : row;
    const std::int64_t slot = p.state_slots[t];
    if (slot < 0) continue;
    const std::int64_t position = p.positions[t];
    if (listed < 0 && !is_saved(g, p, t, p.token_to_req[t], position)) continue;
    const std::int64_t from = t * p.projection_stride;
    const std::int64_t to = slot_row(p, slot);
    const float* ape = p.ape + position % g.ratio * p.ape_stride - g.state_width;
    const int first = static_cast<int>(i & (parts - 1)) * together + lane;
    uint4 raw[kAnySaveQuads];
#pragma unroll
    for (int k = 0; k < kAnySaveQuads; ++k) {
      const int quad = first + 32 * k;
      if (quad < quads) raw[k] = load_any_quad(p, types, from + 4 * quad);
    }
#pragma unroll
    for (int k = 0; k < kAnySaveQuads; ++k) {
      const int channel = 4 * (first + 32 * k);
      if (channel >= g.row_width) continue;
      const bool biased = early_ape && channel >= g.state_width;
      float4 bias{};
      if (biased) bias = *reinterpret_cast<const float4*>(ape + channel);
      save_any_quad(p, types, to + channel, raw[k], biased, bias);
    }
  }
}

}  // namespace

cudaError_t launch_any_save(const FoldParams& p, const FoldTuning& t, const Types& types,
                            const Geometry& g, cudaStream_t stream) {
  return launch(any_save_kernel, t.save_blocks, kAnyThreads, 1, 0, t.chained, stream, p,
                any_geometry(g), types);
}

cudaError_t launch_any_plan(const FoldParams& p, const PlanParams& out, const Geometry& g,
                            bool clusters, bool chained, cudaStream_t stream) {
  return launch_plan_kernel(p, out, any_geometry(g), clusters, chained, stream);
}

}  // namespace pleat::cuda
