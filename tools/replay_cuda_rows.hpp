// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tools/cuda_handles.hpp"
#include "tools/replay_device.hpp"
#include "tools/replay_kernels.cuh"
#include "tools/replay_upload.hpp"

namespace pleat::tools {

/// Looks at rows that lie on the device. All its memory is allocated at construction, and filled by
/// copy_of(): synchronise the device before the first use.
class CudaRows {
 public:
  /// `caches`: where each layer's cache begins, on the device. `setup` must outlive the object.
  CudaRows(const ReplaySetup& setup, const std::vector<const void*>& caches, cudaStream_t stream);

  /// As ReplayDevice has it: one upload and one launch, unless there are very many rows.
  void add_digests(std::span<const RowList> lists);
  std::vector<std::uint64_t> digests(DigestOf which);
  void read(std::size_t layer, std::span<const RowRef> rows, std::uint8_t* out);

 private:
  const ReplaySetup& setup_;
  std::size_t most_bytes_;  ///< of rows that are read in one go
  cudaStream_t stream_;
  std::vector<DeviceCache> caches_;  ///< of the layers
  DeviceMemory caches_on_device_;
  Upload upload_;
  DeviceMemory gathered_;
  PinnedMemory on_host_;
  DeviceMemory digests_;  ///< [2, requests], by DigestOf
};

}  // namespace pleat::tools
