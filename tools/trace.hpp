// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pleat::tools {

/// One request of a serving trace: when it came and how long it was. No text.
struct TraceRequest {
  std::int64_t id = 0;             ///< its place in the file, from 0
  std::int64_t arrival_us = 0;     ///< microseconds after the first arrival of the trace
  std::int64_t input_tokens = 0;   ///< 1 or more
  std::int64_t output_tokens = 0;  ///< 0 or more
};

enum class TraceFormat : std::uint8_t {
  mooncake,  ///< JSON lines with timestamp (ms), input_length, output_length
  azure,     ///< CSV: 2023-11-16 18:15:46.6805900,ContextTokens,GeneratedTokens
  csv,       ///< CSV: arrival ms, input tokens, output tokens
};

const char* name(TraceFormat f);

struct Trace {
  TraceFormat format = TraceFormat::csv;
  std::vector<TraceRequest> requests;  ///< by arrival; those that came together in the file's order
};

/// Input and output tokens of one request together may be this many: 8 times the longest context
/// that the model was made for.
inline constexpr std::int64_t kMaxRequestTokens = std::int64_t{1} << 20;
/// The latest arrival, some 30 years after the epoch of the file.
inline constexpr std::int64_t kMaxArrivalMs = 1'000'000'000'000;

/// Reads a trace, telling the format from its first request; a CSV may have a header or none, whose
/// names must not contradict the order of the columns. Blank lines, a byte order mark and CRLF are
/// allowed. Throws Error "label:line: expected ..., got ..." at the first line that is not as it
/// should be, and when there is no request at all.
Trace parse_trace(std::string_view text, std::string_view label);
Trace read_trace(const std::string& path);

}  // namespace pleat::tools
