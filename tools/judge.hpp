// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/case.hpp"
#include "tools/safetensors.hpp"

namespace pleat::tools {

/// What was found about one tensor of a result.
struct Verdict {
  std::string tensor;
  bool ok = false;
  std::string text;  ///< the figures, in one line
};

/// Judges a result against the float64 expectations (`expect.*`) that its case carries, by the
/// limits of oracle.py: state bytes identical (with policy tail a row that may stay old is either),
/// pooled rows within 2e-5, codes at most one quantum off and fewer than 2 in 1000 of them, scales
/// differing in at most one row of 200, no stray byte. Throws Error when the two cannot be
/// compared, beginning with the label of the one at fault.
std::vector<Verdict> judge(Case& expected, std::string_view case_label, TensorFile& result,
                           std::string_view result_label);

}  // namespace pleat::tools
