// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace pleat::cpu {

/// Memory that only grows and is kept between calls, aligned to a cache line. Its content is lost
/// when it grows.
class Buffer {
 public:
  /// At least `bytes`. Throws std::bad_alloc.
  void* reserve(std::size_t bytes) {
    if (bytes > bytes_) {
      memory_.reset();
      bytes_ = 0;
      const std::size_t rounded = (bytes + 63) / 64 * 64;
      memory_.reset(std::aligned_alloc(64, rounded));
      if (memory_ == nullptr) throw std::bad_alloc();
      bytes_ = rounded;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace pleat::cpu
