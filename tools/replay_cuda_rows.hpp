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

/// A layer's cache on the device, to digest and to read rows of.
struct CacheOnDevice {
  const KindSpec* spec;
  const void* memory;
  std::uint64_t identity;  ///< of the layer
};

/// Looks at rows that lie on the device. All its memory is allocated at construction.
class CudaRows {
 public:
  CudaRows(const ReplaySetup& setup, cudaStream_t stream);

  void add_digests(const CacheOnDevice& cache, std::span<const RowRef> rows, DigestOf which);
  std::vector<std::uint64_t> digests(DigestOf which);
  void read(const CacheOnDevice& cache, std::span<const RowRef> rows, std::uint8_t* out);

 private:
  const DeviceRow* send(const CacheOnDevice& cache, std::span<const RowRef> rows);
  [[nodiscard]] std::uint64_t* sums(DigestOf which) const {
    return static_cast<std::uint64_t*>(digests_.get()) +
           static_cast<std::int64_t>(which) * requests_;
  }

  std::int64_t requests_;
  std::size_t most_bytes_;  ///< of rows that are read in one go
  cudaStream_t stream_;
  Upload upload_;
  DeviceMemory gathered_;
  PinnedMemory on_host_;
  DeviceMemory digests_;  ///< [2, requests], by DigestOf
};

}  // namespace pleat::tools
