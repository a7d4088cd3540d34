// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "fuzz/memory.hpp"

/// A C ABI call made of fuzzed bytes: mostly right, then spoiled in a few places.
namespace pleat::fuzz {

/// The input as a stream of small choices; 0 when it has run out.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::int64_t up_to(std::int64_t most) { return byte() % (most + 1); }
  /// Small numbers, their negatives, and the edges of the integers.
  std::int64_t number() {
    const std::int64_t edges[] = {0,
                                  -1,
                                  std::numeric_limits<std::int32_t>::max(),
                                  std::numeric_limits<std::int32_t>::min(),
                                  std::int64_t{1} << 32,
                                  std::numeric_limits<std::int64_t>::max(),
                                  std::numeric_limits<std::int64_t>::min(),
                                  std::numeric_limits<std::int64_t>::max() / 4};
    const std::uint8_t kind = byte();
    if (kind < 64) return edges[kind % 8];
    const std::int64_t value = byte() + (kind & 1) * 256 * byte();
    return (kind & 2) != 0 ? -value : value;
  }
  bool empty() const { return left_ == 0; }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

inline constexpr std::size_t kViews = 13;

inline std::array<const pleat_tensor*, kViews> views_of(const pleat_call& c) {
  return {&c.positions,   &c.token_to_req, &c.state_slots, &c.kv_slots, &c.projection,
          &c.state_pages, &c.block_table,  &c.compressed,  &c.cache,    &c.ape,
          &c.norm,        &c.rope,         &c.fp8_scale};
}

/// Bytes that a view spans. False when it is not given, malformed or past 64 bits.
inline bool extent_of(const pleat_tensor& t, std::int64_t* bytes) {
  constexpr std::int64_t kSizes[] = {0, 4, 2, 8, 4, 1};
  if (t.dtype <= PLEAT_NONE || t.dtype > PLEAT_U8 || t.rank < 1 || t.rank > 3) return false;
  std::int64_t last = 0;
  for (std::int32_t i = 0; i < t.rank; ++i) {
    if (t.shape[i] < 0 || t.stride[i] < 0) return false;
    std::int64_t step = 0;
    if (__builtin_mul_overflow(t.shape[i] - 1, t.stride[i], &step)) return false;
    if (__builtin_add_overflow(last, step, &last)) return false;
  }
  for (std::int32_t i = 0; i < t.rank; ++i) {
    if (t.shape[i] == 0) last = -1;
  }
  return !__builtin_add_overflow(last, 1, &last) &&
         !__builtin_mul_overflow(last, kSizes[t.dtype], bytes);
}

class FuzzCall {
 public:
  explicit FuzzCall(Input& in) : call(pleat_call_init()), exec(pleat_exec_init()) {
    choose(in);
    make_batch(in);
    make_views(in);
    spoil_indices(in);
    spoil_struct(in);
  }

  /// The call in front of zeros, so that a wrong struct_size reads memory that is there.
  const pleat_call* call_struct() {
    std::memcpy(padded_.data(), &call, sizeof call);
    return reinterpret_cast<const pleat_call*>(padded_.data());
  }

  Memory memory;
  pleat_call call;
  pleat_exec exec;
  std::int32_t op = 0;

 private:
  void choose(Input& in) {
    const pleat_geometry geometries[] = {pleat_indexer(), pleat_csa(),
                                         pleat_geometry_of(2, 0, 128, 8, 1),
                                         pleat_geometry_of(1, 0, 256, 32, 0)};
    op = static_cast<std::int32_t>(in.up_to(5));
    call.geometry = geometries[in.up_to(3)];
    call.recipe = static_cast<std::int32_t>(in.up_to(3));
    const bool index = call.geometry.head_dim == 128;
    call.row_format = index ? PLEAT_INDEX_FP8 + static_cast<std::int32_t>(in.up_to(1))
                            : 1 + static_cast<std::int32_t>(in.up_to(1));
    if (call.geometry.head_dim == 512) call.row_format = static_cast<std::int32_t>(in.up_to(2));
    call.state_layout = static_cast<std::int32_t>(in.up_to(1));
    call.state_policy = static_cast<std::int32_t>(in.up_to(1));
    call.rollback = static_cast<std::int32_t>(in.up_to(2));
    exec.checked = 1;
    exec.backend = static_cast<std::int32_t>(in.up_to(3) % 3);
    exec.threads = static_cast<std::int32_t>(in.up_to(4)) - 1;
    exec.simd = in.up_to(7) == 0 ? static_cast<std::int32_t>(in.up_to(5)) : 0;
  }

  /// Two requests, tokens adjoining, then padding; a page number of its own for each block.
  void make_batch(Input& in) {
    ring_ = call.state_layout == PLEAT_RING;
    window_ = call.geometry.ratio * (call.geometry.overlap + 1);
    rows_ = ring_ ? window_ + call.rollback + in.up_to(2) : 1 + in.up_to(7);
    const std::int64_t start[] = {in.up_to(9), in.up_to(9)};
    const std::int64_t count[] = {in.up_to(6), in.up_to(6)};
    tokens_ = count[0] + count[1] + in.up_to(2);
    blocks_ = ring_ ? 1 : 16 / rows_ + 1;
    auto* positions = memory.block<std::int64_t>(tokens_);
    auto* requests = memory.block<std::int32_t>(tokens_);
    auto* slots = memory.block<std::int64_t>(tokens_);
    auto* kv = memory.block<std::int64_t>(tokens_);
    table_ = memory.block<std::int32_t>(2 * blocks_);
    for (std::int64_t i = 0; i < 2 * blocks_; ++i) {
      table_[i] = static_cast<std::int32_t>(2 * blocks_ - 1 - i);
    }
    for (std::int64_t t = 0; t < tokens_; ++t) {
      const bool live = t < count[0] + count[1];
      const std::int32_t r = t < count[0] ? 0 : 1;
      const std::int64_t p = live ? start[r] + (r == 0 ? t : t - count[0]) : -9;
      positions[t] = p;
      requests[t] = r;
      slots[t] = live ? table_[r * blocks_ + (ring_ ? 0 : p / rows_)] * rows_ + p % rows_ : -1;
      kv[t] = live ? t : -1;
    }
    call.positions = pleat_packed1(positions, PLEAT_I64, tokens_);
    call.token_to_req = pleat_packed1(requests, PLEAT_I32, tokens_);
    call.state_slots = pleat_packed1(slots, PLEAT_I64, tokens_);
    call.kv_slots = pleat_packed1(kv, PLEAT_I64, tokens_);
    call.block_table = pleat_packed2(table_, PLEAT_I32, 2, blocks_);
  }

  void make_views(Input& in) {
    const std::int64_t head = call.geometry.head_dim;
    const std::int64_t width = head * (call.geometry.overlap + 1);
    call.projection = floats(in, tokens_, 2 * width);
    const std::int64_t page = rows_ * 2 * width + 16 * in.up_to(1);
    call.state_pages = floats(in, 2 * blocks_, page);
    call.state_pages = pleat_paged(call.state_pages.data, call.state_pages.dtype, 2 * blocks_,
                                   rows_, 2 * width, page);
    call.compressed = pleat_packed2(memory.block<float>(tokens_ * head), PLEAT_F32, tokens_, head);
    const std::int64_t row_bytes[] = {584, 2 * head, head, 132, 68};
    const std::int64_t bytes = row_bytes[call.row_format];
    const std::int64_t kv_rows = 1 + in.up_to(3);
    const std::int64_t pages = tokens_ / kv_rows + 1;
    const std::int64_t stride = (kv_rows * bytes + 15) / 16 * 16;
    call.cache = pleat_paged(memory.block<std::uint8_t>(pages * stride), PLEAT_U8, pages, kv_rows,
                             bytes, stride);
    call.ape = pleat_packed2(memory.block<float>(call.geometry.ratio * width), PLEAT_F32,
                             call.geometry.ratio, width);
    call.norm = pleat_packed1(memory.block<float>(head), PLEAT_F32, head);
    call.rope = pleat_packed2(memory.block<float>(16 * call.geometry.rope_dim), PLEAT_F32, 16,
                              call.geometry.rope_dim);
    auto* scale = memory.block<float>(1);
    *scale = 0.25F;
    call.fp8_scale = pleat_packed1(scale, PLEAT_F32, 1);
    call.plan_capacity = tokens_;
    void* plan = memory.block<std::uint8_t>(pleat_plan_bytes(tokens_));
    if (op == PLEAT_OP_PLAN || in.up_to(3) == 0) call.plan = plan;
    if (call.plan == nullptr || op == PLEAT_OP_PLAN) return;
    pleat_exec host = exec;
    host.backend = PLEAT_REFERENCE;
    pleat_plan(&call, &host);
  }

  pleat_tensor floats(Input& in, std::int64_t n0, std::int64_t n1) {
    if (in.up_to(1) == 0) return pleat_packed2(memory.block<float>(n0 * n1), PLEAT_F32, n0, n1);
    return pleat_packed2(memory.block<std::uint16_t>(n0 * n1), PLEAT_BF16, n0, n1);
  }

  void spoil_indices(Input& in) {
    for (std::int64_t n = in.up_to(3); n > 0 && tokens_ > 0; --n) {
      const std::int64_t t = in.up_to(tokens_ - 1);
      switch (in.up_to(5)) {
        case 0:
          static_cast<std::int64_t*>(call.positions.data)[t] = in.number();
          break;
        case 1:
          static_cast<std::int32_t*>(call.token_to_req.data)[t] =
              static_cast<std::int32_t>(in.number());
          break;
        case 2:
          static_cast<std::int64_t*>(call.state_slots.data)[t] = in.number();
          break;
        case 3:
          static_cast<std::int64_t*>(call.kv_slots.data)[t] = in.number();
          break;
        case 4:
          table_[t % (2 * blocks_)] = static_cast<std::int32_t>(in.number());
          break;
        case 5:
          if (call.plan == nullptr) break;
          static_cast<std::int32_t*>(call.plan)[in.up_to(pleat_plan_bytes(tokens_) / 4 - 1)] =
              static_cast<std::int32_t>(in.number());
          break;
      }
    }
  }

  /// Overwrites whole words of the call, wherever they are: sizes, enums, pointers, strides.
  void spoil_struct(Input& in) {
    for (std::int64_t n = in.up_to(3); n > 0 && !in.empty(); --n) {
      auto* bytes = reinterpret_cast<std::uint8_t*>(&call);
      const std::size_t words = sizeof call / 4;
      const std::size_t at = (in.byte() + 256U * in.byte()) % words * 4;
      const std::int64_t value = in.number();
      if (in.up_to(1) == 0) {
        std::int32_t old = 0;
        std::memcpy(&old, bytes + at, sizeof old);
        const auto narrow = static_cast<std::int32_t>(static_cast<std::uint64_t>(value) +
                                                      static_cast<std::uint64_t>(old));
        std::memcpy(bytes + at, &narrow, sizeof narrow);
      } else if (at + sizeof value <= sizeof call) {
        std::memcpy(bytes + at, &value, sizeof value);
      }
    }
  }

  std::int64_t tokens_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t blocks_ = 0;
  std::int64_t window_ = 0;
  bool ring_ = false;
  std::int32_t* table_ = nullptr;
  alignas(8) std::array<std::uint8_t, 4096> padded_{};
};

}  // namespace pleat::fuzz
