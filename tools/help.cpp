// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/help.hpp"

#include <fmt/format.h>

#include <sstream>
#include <string_view>

namespace pleat::tools {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kNameColumn = 24;

/// `name` in its column, `text` wrapped beside it; a long name has a line of its own.
std::string two_columns(const std::string& name, const std::string& text) {
  std::string out = "  " + name;
  std::string line(kNameColumn, ' ');
  if (out.size() + 1 < kNameColumn) {
    line.replace(0, out.size(), out);
    out.clear();
  } else {
    out += '\n';
  }
  std::istringstream words(text);
  bool first = true;
  for (std::string word; words >> word; first = false) {
    if (!first && line.size() + 1 + word.size() > kColumns) {
      out += line + '\n';
      line.assign(kNameColumn, ' ');
      first = true;
    }
    line += (first ? "" : " ") + word;
  }
  return out + line + '\n';
}

/// What stands for the value: the choices where there are some, else N for a number, or a word.
std::string value_word(const CLI::Option& option) {
  if (!option.get_option_text().empty()) return option.get_option_text();
  if (option.get_items_expected_max() == 0) return {};  // a flag
  const std::string type = option.get_type_name();
  const std::size_t brace = type.find('{');
  if (brace != std::string::npos) return type.substr(brace, type.find('}') - brace + 1);
  const bool number =
      type.starts_with("INT") || type.starts_with("UINT") || type.starts_with("FLOAT");
  return number ? "N" : "NAME";
}

}  // namespace

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return app->get_description() + "\n\n";
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  const std::string text = command->get_description();
  return two_columns(command->get_name(), text.substr(0, text.find('\n')));
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string name = make_option_name(option, is_positional);
  const std::string word = is_positional ? "" : value_word(*option);
  if (!word.empty()) name += " " + word;
  std::string text = option->get_description();
  if (!option->get_default_str().empty()) text += " [" + option->get_default_str() + "]";
  if (option->get_required() && !is_positional) text += " (required)";
  return two_columns(name, text);
}

}  // namespace pleat::tools
