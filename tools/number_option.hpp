// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

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

}  // namespace pleat::tools
