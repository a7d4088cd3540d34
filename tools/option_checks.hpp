// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tools/error.hpp"
#include "tools/file.hpp"

namespace pleat::tools {

/// For --help and for what is refused: a number from `least` to `most`. CLI::Range lets NaN pass.
inline CLI::Validator number_within(double least, double most) {
  const std::string range = fmt::format("[{:g} - {:g}]", least, most);
  return CLI::Validator(
      [=](std::string& text) {
        double x = 0;
        const bool number = CLI::detail::lexical_cast(text, x);
        if (number && x >= least && x <= most) return std::string();
        return fmt::format("expected a number in {}, got {}", range, text);
      },
      "FLOAT in " + range);
}

/// A file to write: '' would be taken for no file at all.
inline CLI::Validator name_of_file() {
  return CLI::Validator(
      [](std::string& text) {
        return text.empty() ? std::string("expected the name of a file, got none") : std::string();
      },
      "FILE");
}

/// A decimal number from 0 to 2^64 - 1. CLI11 takes what is larger for the largest, -1 as well, and
/// 010 for 8; it is given the number as it would write it itself.
inline CLI::Validator whole_number_64() {
  return CLI::Validator(
      [](std::string& text) {
        std::uint64_t n = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
        if (error != std::errc() || end != text.data() + text.size()) {
          return fmt::format("expected a whole number from 0 to {}, got {}",
                             std::numeric_limits<std::uint64_t>::max(), in_quotes(text));
        }
        text = std::to_string(n);
        return std::string();
      },
      "UINT");
}

/// Refuses options that were given where nothing looks at them: they would be passed over in
/// silence. \p alone: with what they mean something; \p got: with what they came. Throws Error.
inline void refuse_given(const CLI::App& command, const std::vector<const char*>& options,
                         const std::string& alone, const std::string& got) {
  for (const char* option : options) {
    if (command.count(option) == 0) continue;
    throw fail("{}: expected with {} alone, got it with {}", option, alone, got);
  }
}

}  // namespace pleat::tools
