// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/finish.cuh"

// Joining the 16 folded groups of a tile. A group and channel is {magic, weight, value, rest of the
// value}, 16 bytes of shared memory.
namespace pleat::cuda {

/// Where channel c of a group lies among the group's 64: four lanes that read four groups of a
/// channel, and their neighbours with the next channel, all find different banks.
__device__ __forceinline__ int join_place(int group, int c) {
  return c ^ (group / 4 * 2);
}

/// All groups of one channel, brought to the scale of the largest and summed by the tree of
/// neighbours. Four lanes share a channel, four groups each.
__device__ __forceinline__ float join_groups(const float4* folded, int channel, int part,
                                             bool odd) {
  constexpr int n = 4;
  Folded g[n];
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const int group = part * n + i;
    const float4 f = folded[group * kTileChannels + join_place(group, channel)];
    g[i] = {f.x, f.y, 0.0F, f.z, f.w};
  }
  float top = numerics::smaller(numerics::smaller(g[0].magic, g[1].magic),
                                numerics::smaller(g[2].magic, g[3].magic));
  top = numerics::smaller(top, __shfl_xor_sync(kAllLanes, top, 1));
  top = numerics::smaller(top, __shfl_xor_sync(kAllLanes, top, 2));
  double weight[n];
  double value[n];
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const numerics::Joined j = numerics::at_scale_of(g[i], top);
    weight[i] = j.weight;
    value[i] = j.value;
  }
  double w = (weight[0] + weight[1]) + (weight[2] + weight[3]);
  double v = (value[0] + value[1]) + (value[2] + value[3]);
#pragma unroll
  for (int lanes = 1; lanes <= 2; lanes *= 2) {
    w = w + __shfl_xor_sync(kAllLanes, w, lanes);
    v = v + __shfl_xor_sync(kAllLanes, v, lanes);
  }
  return numerics::pooled_of(numerics::pair_of(v), numerics::pair_of(w), odd);
}

}  // namespace pleat::cuda
