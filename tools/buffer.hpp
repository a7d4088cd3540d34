// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pleat::tools {

/// Memory pages of a buffer: as they come, or 2 MiB if the kernel gives those.
enum class PageSize { any, huge };
/// What a new buffer holds; none is for what is written whole right after.
enum class Fill { zeros, none };

/// Owned bytes that start on a 64-byte boundary. Never null, not even when empty: an empty
/// tensor is still a tensor that was given. The address survives a move.
class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  explicit Buffer(std::size_t bytes = 0, PageSize pages = PageSize::any, Fill fill = Fill::zeros)
      : size_(bytes) {
    const std::size_t alignment = pages == PageSize::huge ? kHugePage : kAlignment;
    const std::size_t rounded = (bytes / alignment + 1) * alignment;
    if (rounded < bytes) throw std::bad_alloc();
    data_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(alignment, rounded)));
    if (!data_) throw std::bad_alloc();
#if defined(__linux__)
    if (pages == PageSize::huge) huge_pages_ = madvise(data_.get(), rounded, MADV_HUGEPAGE) == 0;
#endif
    if (fill == Fill::zeros) std::memset(data_.get(), 0, rounded);
  }

  [[nodiscard]] std::uint8_t* data() {
    return data_.get();
  }
  [[nodiscard]] const std::uint8_t* data() const {
    return data_.get();
  }
  [[nodiscard]] std::size_t size() const {
    return size_;
  }
  /// Whether the kernel was asked for huge pages and knows them; it may still give small ones.
  [[nodiscard]] bool huge_pages() const {
    return huge_pages_;
  }

 private:
  struct Free {
    void operator()(std::uint8_t* p) const { std::free(p); }
  };
  std::unique_ptr<std::uint8_t, Free> data_;
  std::size_t size_ = 0;
  bool huge_pages_ = false;
};

}  // namespace pleat::tools
