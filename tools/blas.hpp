// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

namespace pleat::tools {

/// cuBLAS, loaded when it is asked for: the program runs without it.
class Blas {
 public:
  /// Null where this machine has no cuBLAS, or the build found no headers of it.
  static std::unique_ptr<Blas> load(cudaStream_t stream);
  virtual ~Blas() = default;

  /// out [T, N] fp32 = x [T, K] bf16 times the transpose of w [N, K] bf16, packed row by row, on
  /// the stream. Throws Error when cuBLAS refuses.
  virtual void multiply(const void* x, const void* w, float* out, std::int64_t t, std::int64_t n,
                        std::int64_t k) = 0;

 protected:
  Blas() = default;
};

}  // namespace pleat::tools
