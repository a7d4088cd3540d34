// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace pleat::test {

using Bytes = std::vector<std::uint8_t>;

/// Memory that a backend computes in: the host's for cpu and reference, a device's for cuda.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* allocate(std::size_t bytes) = 0;  ///< 256-byte aligned; never fails quietly
  virtual void release(void* p) = 0;
  virtual void write(void* to, const void* from, std::size_t bytes) = 0;
  virtual void read(void* to, const void* from, std::size_t bytes) = 0;
};

Memory& host_memory();

/// Adds the memory of another backend; a test program that links one calls this before its tests.
void set_memory(Backend backend, Memory* memory);
/// That of the backend; host memory where none was set.
Memory& memory_of(Backend backend);

/// Bytes of a Memory between two guard zones. Under a sanitizer there are none, as its own stand
/// closer, and catch reads too.
class Buffer {
 public:
  /// All bytes are `fill`: 0xFF reads as NaN, fp32 and bf16. The data starts `misalign` bytes after
  /// a 256-byte boundary.
  Buffer(Memory& memory, std::size_t bytes, std::uint8_t fill = 0xFF, std::size_t misalign = 0);
  template <class T>
  Buffer(Memory& memory, const std::vector<T>& content, std::size_t misalign = 0)
      : Buffer(memory, content.size() * sizeof(T), 0xFF, misalign) {
    if (!content.empty()) upload(content.data());
  }
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer();

  [[nodiscard]] void* data() const;
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Bytes download() const;
  [[nodiscard]] bool guards_intact() const;
  /// Nothing was written since it was made or uploaded.
  [[nodiscard]] bool unchanged() const { return download() == before_; }
  /// Replaces the content, of the same size; what unchanged() means from then on.
  void upload(const void* from);

 private:
  Memory* memory_;
  std::size_t size_;
  std::size_t lead_;
  std::size_t guard_;
  std::uint8_t* base_ = nullptr;
  Bytes before_;
};

}  // namespace pleat::test
