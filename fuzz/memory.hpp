// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace pleat::fuzz {

struct Range {
  const std::uint8_t* begin;
  std::int64_t bytes;
};
using Ranges = std::vector<Range>;
using Snapshot = std::vector<std::vector<std::uint8_t>>;

/// Blocks of exactly the size asked for, filled with small numbers. AddressSanitizer, where it is
/// on, sees the first byte outside; where it is not, zones on both sides are compared.
class Memory {
 public:
  template <class T>
  T* block(std::int64_t elements) {
    blocks_.push_back(Block(static_cast<std::size_t>(elements) * sizeof(T)));
    return reinterpret_cast<T*>(blocks_.back().data());
  }

  bool holds(const void* p, std::int64_t bytes) const {
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    for (const Block& b : blocks_) {
      const auto begin = reinterpret_cast<std::uintptr_t>(b.data());
      if (at >= begin && at <= begin + b.size() &&
          static_cast<std::uintptr_t>(bytes) <= begin + b.size() - at) {
        return true;
      }
    }
    return false;
  }

  Snapshot snapshot() const {
    Snapshot s;
    for (const Block& b : blocks_)
      s.push_back(b.everything());
    return s;
  }

  /// Whether all that differs from `before` lies in `outputs`.
  bool only_changed(const Snapshot& before, const Ranges& outputs) const {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const auto now = blocks_[i].everything();
      if (now == before[i]) continue;
      const std::uint8_t* base = blocks_[i].first();
      for (std::size_t k = 0; k < now.size(); ++k) {
        if (now[k] != before[i][k] && !inside(base + k, outputs)) return false;
      }
    }
    return true;
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr std::size_t kZone = 0;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  static constexpr std::size_t kZone = 0;
#else
  static constexpr std::size_t kZone = 128;
#endif
#else
  static constexpr std::size_t kZone = 128;
#endif

  class Block {
   public:
    explicit Block(std::size_t size) : size_(size) {
      void* p = nullptr;
      if (posix_memalign(&p, 64, size + 2 * kZone) != 0) throw std::bad_alloc();
      memory_.reset(static_cast<std::uint8_t*>(p));
      for (std::size_t i = 0; i < size + 2 * kZone; ++i) {
        // 0x3E and 0x3F at the top of a float make it a small number, whatever lies below.
        memory_.get()[i] = static_cast<std::uint8_t>(i % 2 == 1 ? 0x3E + i % 3 % 2 : i * 37);
      }
    }
    std::uint8_t* data() const { return memory_.get() + kZone; }
    const std::uint8_t* first() const { return memory_.get(); }
    std::size_t size() const { return size_; }
    std::vector<std::uint8_t> everything() const { return {first(), first() + size_ + 2 * kZone}; }

   private:
    struct Free {
      void operator()(std::uint8_t* p) const { std::free(p); }
    };
    std::unique_ptr<std::uint8_t, Free> memory_;
    std::size_t size_;
  };

  static bool inside(const std::uint8_t* p, const Ranges& ranges) {
    for (const Range& r : ranges) {
      if (p >= r.begin && p < r.begin + r.bytes) return true;
    }
    return false;
  }

  std::vector<Block> blocks_;
};

}  // namespace pleat::fuzz
