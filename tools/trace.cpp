// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/trace.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "tools/error.hpp"
#include "tools/file.hpp"

namespace pleat::tools {
namespace {

/// Where we are, for messages.
struct Line {
  std::string_view label;
  std::int64_t number;
  std::string_view text;   ///< without blanks around it
  std::size_t indent = 0;  ///< bytes before it

  template <typename... Args>
  [[nodiscard]] Error fail(fmt::format_string<Args...> text_format, Args&&... args) const {
    return Error(fmt::format("{}:{}: {}", label, number,
                             fmt::format(text_format, std::forward<Args>(args)...)));
  }
};

std::string_view trim(std::string_view s) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!s.empty() && blank(s.front()))
    s.remove_prefix(1);
  while (!s.empty() && blank(s.back()))
    s.remove_suffix(1);
  return s;
}

void check_lengths(const Line& line, const TraceRequest& r) {
  if (r.input_tokens < 1 || r.input_tokens > kMaxRequestTokens) {
    throw line.fail("input tokens: expected 1 to {}, got {}", kMaxRequestTokens, r.input_tokens);
  }
  if (r.output_tokens < 0 || r.output_tokens > kMaxRequestTokens) {
    throw line.fail("output tokens: expected 0 to {}, got {}", kMaxRequestTokens, r.output_tokens);
  }
  if (r.input_tokens + r.output_tokens > kMaxRequestTokens) {
    throw line.fail("input and output tokens: expected at most {} together, got {} + {}",
                    kMaxRequestTokens, r.input_tokens, r.output_tokens);
  }
}

// -- Mooncake ------------------------------------------------------------------------------------

std::int64_t json_tokens(const Line& line, const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end()) throw line.fail("expected a field \"{}\", got none", key);
  if (it->is_number_unsigned()) {
    const auto n = it->get<std::uint64_t>();
    if (n <= static_cast<std::uint64_t>(kMaxRequestTokens)) return static_cast<std::int64_t>(n);
  }
  const std::string got = it->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  throw line.fail("{}: expected a whole number from 0 to {}, got {}", key, kMaxRequestTokens,
                  in_quotes(got));
}

/// Of two equal keys JSON keeps the last and says nothing: the request may be either, so refuse it.
nlohmann::json parse_json(const Line& line) {
  using nlohmann::json;
  std::set<std::string> keys;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::key && depth == 1) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys.insert(key).second) {
        throw line.fail("expected each key once, got {} twice", in_quotes(key));
      }
    }
    return true;
  };
  // The parser's own words name line 1 and are long: the place is what helps.
  try {
    return json::parse(line.text, watch);
  } catch (const json::parse_error& e) {
    throw line.fail("expected a JSON object, got what is not JSON at column {}: {}",
                    line.indent + e.byte, in_quotes(line.text));
  } catch (const json::exception&) {
    throw line.fail("expected a JSON object, got a number that no double holds: {}",
                    in_quotes(line.text));
  }
}

TraceRequest parse_mooncake(const Line& line) {
  const nlohmann::json object = parse_json(line);
  if (!object.is_object()) {
    throw line.fail("expected a JSON object, got {}", in_quotes(line.text));
  }
  TraceRequest r;
  const auto time = object.find("timestamp");
  if (time == object.end()) throw line.fail("expected a field \"timestamp\", got none");
  const double ms = time->is_number() ? time->get<double>() : -1.0;
  if (!(ms >= 0.0 && ms <= static_cast<double>(kMaxArrivalMs))) {
    const std::string got = time->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    throw line.fail("timestamp: expected milliseconds from 0 to {}, got {}", kMaxArrivalMs,
                    in_quotes(got));
  }
  r.arrival_us = std::llround(ms * 1000.0);
  r.input_tokens = json_tokens(line, object, "input_length");
  r.output_tokens = json_tokens(line, object, "output_length");
  return r;
}

// -- CSV -----------------------------------------------------------------------------------------

using Fields = std::array<std::string_view, 3>;

Fields split_fields(const Line& line) {
  Fields fields;
  std::string_view rest = line.text;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t comma = rest.find(',');
    const bool last = i + 1 == fields.size();
    if (last != (comma == std::string_view::npos)) {
      throw line.fail("expected 3 fields with commas between them, got {}", in_quotes(line.text));
    }
    fields[i] = trim(rest.substr(0, comma));
    if (!last) rest.remove_prefix(comma + 1);
  }
  return fields;
}

/// All of s is a whole number in [low, high].
std::optional<std::int64_t> whole(std::string_view s, std::int64_t low, std::int64_t high) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (error != std::errc() || end != s.data() + s.size() || n < low || n > high) return {};
  return n;
}

std::int64_t csv_tokens(const Line& line, const char* what, std::string_view s) {
  const auto n = whole(s, 0, kMaxRequestTokens);
  if (!n) {
    throw line.fail("{}: expected a whole number from 0 to {}, got {}", what, kMaxRequestTokens,
                    in_quotes(s));
  }
  return *n;
}

/// ".6805900" as microseconds; none when it is not a point and 1 to 18 digits.
std::optional<std::int64_t> fraction_us(std::string_view s) {
  if (s.size() < 2 || s.size() > 19 || s[0] != '.') return {};
  std::int64_t us = 0;
  for (std::size_t i = 1; i < s.size(); ++i) {
    if (std::isdigit(static_cast<unsigned char>(s[i])) == 0) return {};
    if (i <= 6) us = us * 10 + (s[i] - '0');
  }
  for (std::size_t digits = s.size() - 1; digits < 6; ++digits)
    us *= 10;
  return us;
}

/// "2023-11-16 18:15:46.6805900", with T for the space, without the fraction, with Z or +hh:mm
/// behind it, as microseconds since 1970.
std::optional<std::int64_t> date_us(std::string_view s) {
  if (s.size() < 19 || s[4] != '-' || s[7] != '-' || (s[10] != ' ' && s[10] != 'T') ||
      s[13] != ':' || s[16] != ':') {
    return {};
  }
  const auto number = [&s](std::size_t at, std::size_t digits, int low, int high) {
    const std::string_view part = s.substr(at, digits);
    return part[0] == '-' ? std::nullopt : whole(part, low, high);
  };
  const auto year = number(0, 4, 1970, 9999);
  const auto month = number(5, 2, 1, 12);
  const auto day = number(8, 2, 1, 31);
  const auto hour = number(11, 2, 0, 23);
  const auto minute = number(14, 2, 0, 59);
  const auto second = number(17, 2, 0, 60);
  if (!year || !month || !day || !hour || !minute || !second) return {};
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return {};
  std::int64_t us = std::chrono::sys_days(date).time_since_epoch().count() * std::int64_t{86400};
  us = (us + *hour * 3600 + *minute * 60 + *second) * 1'000'000;

  std::string_view rest = s.substr(19);
  const std::size_t zone_at = rest.find_first_of("Z+-");
  const std::string_view zone =
      zone_at == std::string_view::npos ? std::string_view() : rest.substr(zone_at);
  rest = rest.substr(0, zone_at);
  if (!rest.empty()) {
    const auto fraction = fraction_us(rest);
    if (!fraction) return {};
    us += *fraction;
  }
  if (zone.empty() || zone == "Z") return us;
  if (zone.size() != 6 || zone[3] != ':') return {};
  const auto zone_hour = whole(zone.substr(1, 2), 0, 23);
  const auto zone_minute = whole(zone.substr(4, 2), 0, 59);
  if (!zone_hour || !zone_minute) return {};
  const std::int64_t offset = (*zone_hour * 3600 + *zone_minute * 60) * 1'000'000;
  return zone[0] == '+' ? us - offset : us + offset;
}

TraceRequest parse_azure(const Line& line) {
  const Fields f = split_fields(line);
  const auto us = date_us(f[0]);
  if (!us) {
    throw line.fail("timestamp: expected a date and time like 2023-11-16 18:15:46.6805900, got {}",
                    in_quotes(f[0]));
  }
  return {0, *us, csv_tokens(line, "ContextTokens", f[1]),
          csv_tokens(line, "GeneratedTokens", f[2])};
}

TraceRequest parse_csv(const Line& line) {
  const Fields f = split_fields(line);
  const std::size_t point = f[0].find('.');
  const auto ms = whole(f[0].substr(0, point), 0, kMaxArrivalMs);
  // The fraction of a millisecond: three digits further left than that of a second.
  std::optional<std::int64_t> us = 0;
  if (point != std::string_view::npos) {
    us = fraction_us(f[0].substr(point));
    if (us) us = *us / 1000;
  }
  if (!ms || !us || f[0].front() == '-') {
    throw line.fail("arrival: expected milliseconds from 0 to {}, got {}", kMaxArrivalMs,
                    in_quotes(f[0]));
  }
  return {0, *ms * 1000 + *us, csv_tokens(line, "input tokens", f[1]),
          csv_tokens(line, "output tokens", f[2])};
}

// -- the file ------------------------------------------------------------------------------------

/// A header names its columns: no field of it has a digit first. A line with a number among its
/// fields is a request, or meant to be one, as is one that looks like JSON.
bool is_header(std::string_view first_line) {
  if (first_line.find_first_of("{[") != std::string_view::npos) return false;
  bool starts = true;  // a field
  for (const char c : first_line) {
    if (starts && std::isdigit(static_cast<unsigned char>(c)) != 0) return false;
    if (c == ',') starts = true;
    if (c != ',' && c != ' ' && c != '"' && c != '-' && c != '+' && c != '.') starts = false;
  }
  return true;
}

/// What a column's name says that it holds, by its place in a request; none where it says nothing,
/// or more than one thing.
std::optional<std::size_t> column_named(std::string_view name) {
  static constexpr std::array<std::array<std::string_view, 4>, 3> kWords{
      {{"time", "arriv", "clock", "epoch"},
       {"input", "prompt", "context", "prefill"},
       {"output", "generat", "completion", "response"}}};
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < kWords.size(); ++i) {
    const auto in_name = [&](std::string_view w) { return lower.find(w) != std::string::npos; };
    if (std::none_of(kWords[i].begin(), kWords[i].end(), in_name)) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

/// Columns are taken by their order. Names that speak of another order are no mere names: tokens
/// read as other tokens would make a replay of traffic that never was.
void check_header(const Line& line) {
  static constexpr std::array kColumns{"the arrival", "the input tokens (Azure: ContextTokens)",
                                       "the output tokens (Azure: GeneratedTokens)"};
  const Fields names = split_fields(line);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto says = column_named(names[i]);
    if (says && *says != i) {
      throw line.fail("column {}: expected {}, got {}", i + 1, kColumns[i], in_quotes(names[i]));
    }
  }
}

/// Names alone do not tell the two kinds of CSV apart, and there may be none: a date begins with a
/// year and a dash, a number of milliseconds does not.
TraceFormat detect(std::string_view first_request) {
  if (first_request.front() == '{') return TraceFormat::mooncake;
  const bool dated = first_request.size() > 4 && whole(first_request.substr(0, 4), 0, 9999) &&
                     first_request[4] == '-';
  return dated ? TraceFormat::azure : TraceFormat::csv;
}

TraceRequest parse_line(TraceFormat format, const Line& line) {
  // Nobody writes numbers so; whoever does may mean that a comma is none between fields.
  if (format != TraceFormat::mooncake && line.text.find('"') != std::string_view::npos) {
    throw line.fail("expected fields without quotes, got {}", in_quotes(line.text));
  }
  TraceRequest r;
  switch (format) {
    case TraceFormat::mooncake:
      r = parse_mooncake(line);
      break;
    case TraceFormat::azure:
      r = parse_azure(line);
      break;
    case TraceFormat::csv:
      r = parse_csv(line);
      break;
  }
  check_lengths(line, r);
  return r;
}

}  // namespace

const char* name(TraceFormat f) {
  switch (f) {
    case TraceFormat::mooncake:
      return "Mooncake JSON lines";
    case TraceFormat::azure:
      return "Azure CSV";
    case TraceFormat::csv:
      return "plain CSV";
  }
  return "unknown";
}

Trace parse_trace(std::string_view text, std::string_view label) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    text.remove_prefix(kByteOrderMark.size());
  }
  Trace trace;
  bool header = false;
  bool known = false;  // the format
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view trimmed = trim(text.substr(0, end));
    const Line line{label, number, trimmed, static_cast<std::size_t>(trimmed.data() - text.data())};
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.text.empty()) continue;
    if (!known && !header && is_header(line.text)) {
      header = true;
      check_header(line);
      continue;
    }
    if (!known) trace.format = detect(line.text);
    known = true;
    TraceRequest r = parse_line(trace.format, line);
    r.id = static_cast<std::int64_t>(trace.requests.size());
    trace.requests.push_back(r);
  }
  if (trace.requests.empty()) {
    throw fail(
        "{}: expected at least one request (Mooncake JSON lines, Azure CSV, or CSV of arrival ms, "
        "input tokens, output tokens), got none",
        label);
  }
  std::stable_sort(
      trace.requests.begin(), trace.requests.end(),
      [](const TraceRequest& a, const TraceRequest& b) { return a.arrival_us < b.arrival_us; });
  const std::int64_t start = trace.requests.front().arrival_us;
  for (TraceRequest& r : trace.requests)
    r.arrival_us -= start;
  return trace;
}

Trace read_trace(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  return parse_trace({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

}  // namespace pleat::tools
