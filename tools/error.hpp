// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace pleat::tools {

/// What the program tells its user when it cannot go on: the file or argument, what was expected
/// and what came. Thrown inside tools/ only, never through the library.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// throw fail("{}: expected {}, got {}", ...)
template <typename... Args>
[[nodiscard]] Error fail(fmt::format_string<Args...> text, Args&&... args) {
  return Error(fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace pleat::tools
