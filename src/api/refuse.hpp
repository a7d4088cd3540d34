// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <pleat/status.hpp>

#include <string_view>
#include <utility>

namespace pleat::api {

/// The one form of every refusal: "state.pages: expected rank 3, got 2".
inline Status refusal(StatusCode code, std::string_view argument, std::string_view expected,
                      std::string_view got) {
  return {code, fmt::format("{}: expected {}, got {}", argument, expected, got)};
}

inline Status invalid(std::string_view argument, std::string_view expected, std::string_view got) {
  return refusal(StatusCode::invalid_argument, argument, expected, got);
}

template <class Number>
Status invalid(std::string_view argument, std::string_view expected, Number got) {
  return invalid(argument, expected, std::string_view(fmt::to_string(got)));
}

}  // namespace pleat::api
