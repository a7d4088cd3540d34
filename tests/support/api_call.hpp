// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace pleat::test {

/// 64-byte aligned memory of exactly the size asked for, so that AddressSanitizer sees one byte
/// beyond it.
class OwnedBytes {
 public:
  OwnedBytes() = default;
  explicit OwnedBytes(std::size_t size);

  template <class T = void>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }
  std::size_t size() const { return size_; }
  std::vector<std::uint8_t> copy() const { return {data_.get(), data_.get() + size_}; }

 private:
  struct Free {
    void operator()(std::uint8_t* p) const;
  };
  std::unique_ptr<std::uint8_t, Free> data_;
  std::size_t size_ = 0;
};

struct ApiCallOptions {
  Geometry geometry = Csa::value;
  Recipe recipe = Recipe::vllm;
  RowFormat row_format = RowFormat::fp8_mla;
  StateLayout layout = StateLayout::paged;
};

/// A small valid call with every view of every op given, in memory that it owns: request 0 brings
/// positions W-4 .. W+1 (its window closes at token 3), request 1 positions 0 .. R-1 (closes at its
/// last), and two tokens of padding follow. Index padding holds nonsense, padded rows NaN.
class ApiCall {
 public:
  explicit ApiCall(const ApiCallOptions& options = {});

  Call call;

  std::int64_t tokens() const { return call.batch.positions.shape[0]; }
  std::int64_t* positions() const { return static_cast<std::int64_t*>(call.batch.positions.data); }
  std::int32_t* requests() const {
    return static_cast<std::int32_t*>(call.batch.token_to_req.data);
  }
  std::int64_t* state_slots() const {
    return static_cast<std::int64_t*>(call.batch.state_slots.data);
  }
  std::int64_t* kv_slots() const { return static_cast<std::int64_t*>(call.batch.kv_slots.data); }
  std::int32_t* block_table() const {
    return static_cast<std::int32_t*>(call.state.block_table.data);
  }

  /// Memory for a plan of tokens(); call.plan.data is null until a test gives it.
  void* plan_memory() const { return plan_memory_; }

  /// What the ops may write, as it is now: state, compressed, cache and plan one after another.
  std::vector<std::uint8_t> outputs() const;

 private:
  OwnedBytes& buffer(std::size_t bytes);
  TensorView fill(DType dtype, std::int64_t n0, std::int64_t n1, float low, float high);
  void make_batch(std::int64_t state_rows);

  std::vector<std::unique_ptr<OwnedBytes>> memory_;
  std::vector<const OwnedBytes*> outputs_;
  void* plan_memory_ = nullptr;
  std::uint32_t draw_ = 1;
};

inline constexpr std::int64_t kApiRowsOfPage = 4;
inline constexpr std::int64_t kApiKvRowsOfPage = 2;

}  // namespace pleat::test
