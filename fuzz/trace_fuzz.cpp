// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/error.hpp"
#include "tools/trace.hpp"

/// Any bytes are either a trace whose every request keeps the promises of trace.hpp, or refused
/// with a message that starts with the file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::tools;
  try {
    const Trace trace = parse_trace({reinterpret_cast<const char*>(data), size}, "fuzz");
    std::int64_t before = 0;
    if (trace.requests.empty() || trace.requests.front().arrival_us != 0) std::abort();
    for (const TraceRequest& r : trace.requests) {
      if (r.arrival_us < before || r.input_tokens < 1 || r.output_tokens < 0 ||
          r.input_tokens + r.output_tokens > kMaxRequestTokens) {
        std::fprintf(stderr, "request %lld breaks a promise\n", static_cast<long long>(r.id));
        std::abort();
      }
      before = r.arrival_us;
    }
  } catch (const Error& e) {
    if (std::string(e.what()).rfind("fuzz:", 0) != 0) std::abort();
  }
  return 0;
}
