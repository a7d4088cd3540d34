// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/memory.hpp"

namespace pleat::test {

/// Which token: a draft that is rejected has an attempt > 0, as it is another token.
struct TokenName {
  std::int64_t request = 0;
  std::int64_t position = 0;
  std::int64_t attempt = 0;

  friend bool operator==(const TokenName&, const TokenName&) = default;
};

struct LayerShape {
  Compressor compressor;
  DType projection = DType::f32;
  DType state = DType::f32;
  DType norm = DType::bf16;
  std::int64_t positions = 0;  ///< the RoPE table has this many rows
  float gate = 1.0F;           ///< sigma of the scores
  std::uint64_t seed = 1;
};

std::string to_string(const LayerShape& shape);

/// One layer with weights, and the tokens that pass through it. What a token holds is a function of
/// its name: a cache row of a request can be made alone, and every schedule must give that row.
class Layer {
 public:
  explicit Layer(const LayerShape& shape);

  [[nodiscard]] const LayerShape& shape() const { return shape_; }
  [[nodiscard]] const Geometry& geometry() const { return shape_.compressor.geometry; }
  [[nodiscard]] const std::vector<float>& ape() const { return ape_; }
  /// Rows rope_stride() apart, as views want multiples of 16 bytes; NaN is between them.
  [[nodiscard]] const std::vector<float>& rope() const { return rope_; }
  [[nodiscard]] std::int64_t rope_stride() const;
  /// A view of such a table, wherever it is.
  [[nodiscard]] TensorView rope_view(void* table) const;
  [[nodiscard]] const Bytes& norm() const { return norm_; }
  [[nodiscard]] float norm_weight(std::int64_t c) const { return norm_values_[c]; }
  [[nodiscard]] float fp8_scale() const { return 0.0371F; }

  /// kv and score as the projection gives them, [2S], each a value of the projection's dtype.
  [[nodiscard]] std::vector<float> projection_row(const TokenName& token) const;
  /// The same as bytes of the projection's dtype.
  [[nodiscard]] Bytes projection_bytes(const TokenName& token) const;
  /// What the state must hold of the token, from the spec's words.
  [[nodiscard]] Bytes state_bytes(const TokenName& token) const;

  /// The cache row of the window that closes at position (window + 1) * R - 1: values, then scales.
  /// By the reference, from the window's rows alone. Made once; not for several threads at once.
  const Bytes& cache_row(std::int64_t request, std::int64_t window) const;

 private:
  [[nodiscard]] Bytes make_cache_row(std::int64_t request, std::int64_t window) const;

  LayerShape shape_;
  std::vector<float> ape_;
  std::vector<float> rope_;
  std::vector<float> norm_values_;
  Bytes norm_;
  mutable std::map<std::pair<std::int64_t, std::int64_t>, Bytes> rows_;
};

/// Bytes of floats in a dtype of f32 or bf16; the floats must be values of it.
Bytes bytes_of(const std::vector<float>& values, DType dtype);

}  // namespace pleat::test
