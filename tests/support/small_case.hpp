// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <pleat/pleat.hpp>
#include <string>
#include <vector>

#include "tools/safetensors.hpp"

namespace pleat::test {

struct RequestSpan {
  std::int64_t start;   ///< tokens that came in earlier steps
  std::int64_t tokens;  ///< of this step
};

/// A call to be made into a pleat-case/1 file.
struct SmallCase {
  Op op = Op::step;
  std::string geometry = "csa";
  Recipe recipe = Recipe::vllm;
  RowFormat row_format = RowFormat::fp8_mla;
  bool bf16_state = false;
  bool bf16_projection = false;
  bool tail = false;                    ///< policy tail, rollback 2
  std::vector<RequestSpan> requests{};  ///< none: two windows or so close
  std::int64_t padding = 1;             ///< tokens at the end that do nothing, their projection NaN
  std::uint64_t seed = 1;
};

/// The file. What it holds is a function of the description alone, the same on every machine: the
/// numbers come from integers, not from libm. Cache bytes start as 0xA5.
tools::TensorFile make_small_case(const SmallCase& description);

/// For instance "step.vllm.fp8_mla", with .bf16 and .tail where they apply.
std::string name_of(const SmallCase& description);

}  // namespace pleat::test
