// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <pleat/pleat.hpp>
#include <string>
#include <vector>

#include "tools/buffer.hpp"

namespace pleat::tools {

/// What one row of the benchmark runs.
struct WorkloadShape {
  std::string geometry = "hca";
  Op op = Op::compress_store;
  std::int64_t windows = 64;  ///< that close in a call
  Recipe recipe = Recipe::vllm;
};

/// Memory that workloads take turns in: filled with numbers once, never zeros, so that no call
/// reads pages that the kernel has yet to give. In huge pages if it gives those: with small ones,
/// rows in pages of state are a measure of address translation.
class Arena {
 public:
  explicit Arena(std::size_t bytes);

  [[nodiscard]] std::uint8_t* data() { return buffer_.data(); }
  [[nodiscard]] std::size_t size() const { return buffer_.size(); }
  [[nodiscard]] bool huge_pages() const { return buffer_.huge_pages(); }

 private:
  Buffer buffer_;
};

/// Calls of one shape that together read much more memory than any cache holds, to be run in turn.
///
/// compress and compress_store: `windows` requests, each with one token that closes a window, whose
/// rows lie in state pages as vLLM has them (8 or 4 rows and padding), placed at random.
/// save_state and step: a prefill of windows * ratio fresh tokens of four requests; step writes the
/// state of policy tail. norm_rope_store: `windows` pooled rows.
/// Every call has its plan.
class Workload {
 public:
  /// `input` and `output` have at least the bytes that input_bytes() and output_bytes() say.
  Workload(const WorkloadShape& shape, Arena& input, Arena& output);
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  static std::size_t input_bytes(const WorkloadShape& shape);
  static std::size_t output_bytes(const WorkloadShape& shape);

  [[nodiscard]] std::int64_t calls() const { return static_cast<std::int64_t>(calls_.size()); }
  [[nodiscard]] const Call& call(std::int64_t i) const {
    return calls_[static_cast<std::size_t>(i)];
  }
  /// As many bytes as call `i` reads, contiguous, and as cold: for the read limit.
  [[nodiscard]] const void* region(std::int64_t i) const { return input_ + i * bytes_read_; }

  [[nodiscard]] std::int64_t tokens() const { return tokens_; }
  /// Bytes of kv and score rows (or pooled rows) that one call reads; tables and weights are small.
  [[nodiscard]] std::int64_t bytes_read() const { return bytes_read_; }
  /// Bytes of state, pooled or cache rows that one call writes.
  [[nodiscard]] std::int64_t bytes_written() const { return bytes_written_; }

 private:
  void make_weights();
  void make_batch();
  void make_state_calls(Arena& input, Arena& output);
  void make_projection_calls(Arena& input, Arena& output);
  void make_pooled_calls(Arena& input);
  void make_plan();

  WorkloadShape shape_;
  Call call_;  ///< what all calls share
  std::vector<Call> calls_;
  const std::uint8_t* input_;
  std::int64_t tokens_ = 0;
  std::int64_t bytes_read_ = 0;
  std::int64_t bytes_written_ = 0;
  std::vector<std::int64_t> positions_, state_slots_, kv_slots_;
  std::vector<std::int32_t> requests_, tables_;
  std::vector<float> ape_, norm_, rope_;
  Buffer cache_, plan_;
};

}  // namespace pleat::tools
