// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/refuse.hpp"

#include <pleat/pleat.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace pleat::api {

/// "exact or fast (0 to 1)": the names of an enum whose values count from 0 to `last`.
template <class Enum>
std::string names_up_to(Enum last) {
  const auto n = static_cast<std::int32_t>(last);
  std::string text;
  for (std::int32_t i = 0; i <= n; ++i) {
    text += i == 0 ? "" : i == n ? " or " : ", ";
    text += name(static_cast<Enum>(i));
  }
  return text + fmt::format(" (0 to {})", n);
}

/// For enums that come from outside, as plain integers through the C ABI.
template <class Enum>
Status check_enum(std::string_view argument, Enum value, Enum last) {
  const auto v = static_cast<std::int32_t>(value);
  if (v >= 0 && v <= static_cast<std::int32_t>(last)) return {};
  return invalid(argument, names_up_to(last), v);
}

}  // namespace pleat::api
