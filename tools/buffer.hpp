// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace pleat::tools {

/// Owned bytes that start on a 64-byte boundary, zeroed. Never null, not even when empty: an empty
/// tensor is still a tensor that was given. The address survives a move.
class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  explicit Buffer(std::size_t bytes = 0) : size_(bytes) {
    const std::size_t rounded = (bytes / kAlignment + 1) * kAlignment;
    if (rounded < bytes) throw std::bad_alloc();
    data_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, rounded)));
    if (!data_) throw std::bad_alloc();
    std::memset(data_.get(), 0, rounded);
  }

  [[nodiscard]] std::uint8_t* data() { return data_.get(); }
  [[nodiscard]] const std::uint8_t* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::uint8_t* p) const { std::free(p); }
  };
  std::unique_ptr<std::uint8_t, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace pleat::tools
