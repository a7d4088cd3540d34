// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "support/api_call.hpp"

namespace pleat::test {

/// A way to spoil a good call, and what must be said about it.
struct Refusal {
  const char* title;
  Op op;
  std::function<void(Call&, Exec&)> spoil;
  std::vector<std::string> words;  ///< argument, expected, got
  StatusCode code = StatusCode::invalid_argument;
  ApiCallOptions options = {};
};

/// The body of Refusal::spoil, on `c`, the call, and `e`, the execution.
#define SPOIL(...)                                          \
  [](::pleat::Call& c, [[maybe_unused]] ::pleat::Exec& e) { \
    (void)c;                                                \
    __VA_ARGS__;                                            \
  }

inline std::ostream& operator<<(std::ostream& out, const Refusal& r) {
  return out << r.title;
}

inline std::string title_of(const testing::TestParamInfo<Refusal>& info) {
  return info.param.title;
}

inline void* shifted(void* p, std::ptrdiff_t bytes) {
  return static_cast<char*>(p) + bytes;
}

inline constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

/// The unspoiled call must run; the spoiled one is refused with these words, by run() and by
/// describe(), and every output is as it was.
inline void expect_refused(const Refusal& r, bool checked) {
  Exec exec;
  exec.backend = Backend::reference;
  exec.checked = checked;
  {
    ApiCall good(r.options);
    if (r.op == Op::plan) good.call.plan.data = good.plan_memory();
    ASSERT_EQ(run(r.op, good.call, exec).message(), "");
  }
  ApiCall spoiled(r.options);
  if (r.op == Op::plan) spoiled.call.plan.data = spoiled.plan_memory();
  Call bad = spoiled.call;
  r.spoil(bad, exec);
  const auto before = spoiled.outputs();
  const Status s = run(r.op, bad, exec);
  EXPECT_EQ(s.code(), r.code) << s.message();
  for (const std::string& word : r.words) {
    EXPECT_THAT(s.message(), testing::HasSubstr(word));
  }
  EXPECT_EQ(spoiled.outputs(), before);
  if (s.code() == StatusCode::out_of_range)
    return;  // found in data, which describe() does not read
  std::string text = "untouched";
  EXPECT_EQ(describe(r.op, bad, exec, &text).message(), s.message());
  EXPECT_EQ(text, "untouched");
}

inline const ApiCallOptions kHca{Hca::value};
inline const ApiCallOptions kHcaRing{Hca::value, Recipe::vllm, RowFormat::fp8_mla,
                                     StateLayout::ring};
inline const ApiCallOptions kIndexFp8{Indexer::value, Recipe::vllm, RowFormat::index_fp8};
inline const ApiCallOptions kTensorFp8{Csa::value, Recipe::vllm, RowFormat::fp8_tensor};
inline const ApiCallOptions kSglang{Csa::value, Recipe::sglang};

}  // namespace pleat::test
