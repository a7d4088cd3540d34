// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/case.hpp"
#include "tools/safetensors.hpp"

namespace pleat::tools {

/// A file that holds results: the output of `pleat apply`, or a case that carries expected results.
struct ResultFile {
  std::string label;
  TensorFile file;
  std::optional<CaseHeader> header;  ///< missing when the file says nothing about its call
  bool expected = false;             ///< a case: its results are named expect.*

  [[nodiscard]] Tensor* find(std::string_view result);
};

/// Throws Error when the file cannot be read or holds no result.
ResultFile read_result(const std::string& path);

/// One result tensor of both files, compared byte by byte.
struct Comparison {
  std::string tensor;
  std::string what;  ///< dtype and shape
  bool equal = false;
  std::vector<std::pair<std::string, std::string>>
      details;  ///< what differs, in the format's units
};

/// Compares every result tensor. Throws Error when the two do not hold the same tensors, or come
/// from calls whose rows mean different things.
std::vector<Comparison> compare_results(ResultFile& a, ResultFile& b);

}  // namespace pleat::tools
