// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>

#include "tools/cuda_handles.hpp"

namespace pleat::tools {

/// Arrays that go to the device together, in one copy from pinned memory. Filled again only once
/// the device needs the last round no more: begin() sees to that.
class Upload {
 public:
  explicit Upload(std::size_t capacity)
      : capacity_(capacity), pinned_(capacity), device_(capacity) {}

  /// What an array of n elements takes of the capacity.
  static std::size_t room_for(std::int64_t n, std::size_t size) {
    return (static_cast<std::size_t>(n) * size + kAlignment - 1) / kAlignment * kAlignment;
  }

  void begin() {
    done_.wait();
    used_ = 0;
  }
  /// Room for n more elements, to be filled before send(), and where the device will find them.
  template <typename T>
  std::pair<std::span<T>, T*> add(std::int64_t n) {
    const std::size_t at = used_;
    used_ += room_for(n, sizeof(T));
    if (used_ > capacity_) {
      throw fail("replay on CUDA: expected at most {} bytes of a step's arrays, got {}", capacity_,
                 used_);
    }
    return {{reinterpret_cast<T*>(static_cast<std::byte*>(pinned_.get()) + at),
             static_cast<std::size_t>(n)},
            reinterpret_cast<T*>(static_cast<std::byte*>(device_.get()) + at)};
  }
  /// The same, filled with a copy of what `from` holds.
  template <typename Range>
  auto* add_copy(const Range& from) {
    using T = typename Range::value_type;
    const auto [host, device] = add<T>(std::ssize(from));
    if (!from.empty()) std::memcpy(host.data(), from.data(), host.size_bytes());
    return device;
  }
  void send(cudaStream_t stream) const {
    must(cudaMemcpyAsync(device_.get(), pinned_.get(), used_, cudaMemcpyHostToDevice, stream),
         "uploading a step");
  }
  /// What reads the arrays has been queued.
  void end(cudaStream_t stream) const { done_.record(stream); }

 private:
  static constexpr std::size_t kAlignment = 64;

  std::size_t capacity_;
  std::size_t used_ = 0;
  PinnedMemory pinned_;
  DeviceMemory device_;
  Event done_;
};

}  // namespace pleat::tools
