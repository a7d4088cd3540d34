// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <pleat/pleat.hpp>
#include <string>
#include <string_view>

#include "tools/safetensors.hpp"

namespace pleat::tools {

inline constexpr const char* kCaseFormat = "pleat-case/1";
inline constexpr const char* kResultFormat = "pleat-result/1";

/// What the metadata of a case, and of a result made from it, say about the call.
struct CaseHeader {
  Op op = Op::step;
  std::string geometry;  ///< hca, csa or indexer
  Compressor compressor;
  std::int64_t state_page_rows = 0;
  std::int64_t cache_page_rows = 0;
  StateWrite write;

  [[nodiscard]] RowLayout row_layout() const {
    return pleat::row_layout(compressor.row_format, compressor.geometry);
  }
  [[nodiscard]] bool stores() const { return op != Op::save_state && op != Op::compress; }
  [[nodiscard]] bool pools() const { return op != Op::save_state && op != Op::norm_rope_store; }
  [[nodiscard]] bool projects() const { return op == Op::save_state || op == Op::step; }
};

/// Throws Error naming the key, what was expected and what stands there.
CaseHeader read_case_header(const std::map<std::string, std::string>& metadata,
                            std::string_view label);

/// A pleat-case/1 file as a call that can be run: call's views point into the tensors of `file`, so
/// state and cache are changed in place. Moves, never copies; the views survive a move.
struct Case {
  CaseHeader header;
  TensorFile file;
  Tensor compressed;  ///< what compress writes; starts as zeros
  Call call;

  Case() = default;
  Case(Case&&) = default;
  Case& operator=(Case&&) = default;
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;
};

/// Makes sure that no view of the call leaves its tensor; what the values mean (slots, pages,
/// shapes against the geometry) is the library's to judge. Throws Error naming tensor, expected and
/// got.
Case make_case(TensorFile file, std::string_view label);
Case read_case(const std::string& path);

/// What the op has written, as `pleat apply` saves it, with the case's metadata. The case is spent.
TensorFile take_results(Case&& c);

/// A tensor of a case or result as pages of rows; throws Error when it does not fit the header.
TensorView state_view(const CaseHeader& header, Tensor& state, std::string_view label);
TensorView cache_view(const CaseHeader& header, Tensor& cache, std::string_view label);

}  // namespace pleat::tools
