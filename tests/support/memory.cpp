// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/memory.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace pleat::test {
namespace {

#if defined(PLEAT_SANITIZED)
constexpr std::size_t kGuard = 0;
#else
constexpr std::size_t kGuard = 1024;
#endif
constexpr std::uint8_t kCanary = 0xC5;

class HostMemory final : public Memory {
 public:
  void* allocate(std::size_t bytes) override {
    void* p = nullptr;
    // Not aligned_alloc, which wants whole multiples: the end must be where the sanitizer sees it.
    if (posix_memalign(&p, 256, std::max<std::size_t>(bytes, 1)) != 0) throw std::bad_alloc();
    return p;
  }
  void release(void* p) override { std::free(p); }
  void write(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void read(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
};

std::array<Memory*, 8>& memories() {
  static std::array<Memory*, 8> all{};
  return all;
}

}  // namespace

Memory& host_memory() {
  static HostMemory memory;
  return memory;
}

void set_memory(Backend backend, Memory* memory) {
  memories()[static_cast<std::size_t>(backend)] = memory;
}

Memory& memory_of(Backend backend) {
  Memory* m = memories()[static_cast<std::size_t>(backend)];
  return m != nullptr ? *m : host_memory();
}

Buffer::Buffer(Memory& memory, std::size_t bytes, std::uint8_t fill, std::size_t misalign)
    : memory_(&memory),
      size_(bytes),
      lead_(kGuard + misalign),
      guard_(kGuard),
      base_(static_cast<std::uint8_t*>(memory.allocate(lead_ + bytes + guard_))),
      before_(bytes, fill) {
  const Bytes canaries(std::max(lead_, guard_), kCanary);
  memory_->write(base_, canaries.data(), lead_);
  memory_->write(base_ + lead_ + size_, canaries.data(), guard_);
  memory_->write(base_ + lead_, before_.data(), size_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : memory_(other.memory_),
      size_(other.size_),
      lead_(other.lead_),
      guard_(other.guard_),
      base_(std::exchange(other.base_, nullptr)),
      before_(std::move(other.before_)) {}

Buffer::~Buffer() {
  if (base_ != nullptr) memory_->release(base_);
}

void* Buffer::data() const {
  return base_ + lead_;
}

Bytes Buffer::download() const {
  Bytes out(size_);
  memory_->read(out.data(), base_ + lead_, size_);
  return out;
}

bool Buffer::guards_intact() const {
  Bytes zones(lead_ + guard_);
  memory_->read(zones.data(), base_, lead_);
  memory_->read(zones.data() + lead_, base_ + lead_ + size_, guard_);
  return std::all_of(zones.begin(), zones.end(), [](std::uint8_t b) { return b == kCanary; });
}

void Buffer::upload(const void* from) {
  if (size_ > 0) std::memcpy(before_.data(), from, size_);
  memory_->write(base_ + lead_, from, size_);
}

}  // namespace pleat::test
