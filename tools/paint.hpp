// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace pleat::tools {

/// What a piece of text is, which says its colour.
enum class Ink : unsigned char { plain, title, dim, value, rotated, scale };

/// Colours text for a terminal, or leaves it as it is.
class Paint {
 public:
  explicit Paint(bool on = false) : on_(on) {}

  [[nodiscard]] std::string operator()(Ink ink, std::string_view text) const {
    const char* code = on_ ? escape(ink) : "";
    return *code == '\0' ? std::string(text) : code + std::string(text) + "\x1b[0m";
  }

 private:
  static const char* escape(Ink ink) {
    switch (ink) {
      case Ink::plain:
        return "";
      case Ink::title:
        return "\x1b[1m";
      case Ink::dim:
        return "\x1b[2m";
      case Ink::value:
        return "\x1b[32m";
      case Ink::rotated:
        return "\x1b[36m";
      case Ink::scale:
        return "\x1b[33m";
    }
    return "";
  }

  bool on_;
};

}  // namespace pleat::tools
