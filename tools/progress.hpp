// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace pleat::tools {

/// A bar on stderr that redraws itself in place, and only where stderr is a terminal.
class Progress {
 public:
  Progress();
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Draws at most ten times a second, so it may be called at any rate.
  /// `text` is asked for only then.
  void update(std::int64_t done, std::int64_t total, const std::function<std::string()>& text);
  /// Shows a line without a bar, at once: for what cannot tell how far it is.
  void say(const std::string& text);
  /// Wipes the bar.
  void finish();

  /// One line of at most `width` characters, as drawn.
  static std::string bar(std::int64_t done, std::int64_t total, const std::string& text,
                         std::size_t width);

 private:
  void draw(const std::string& line);

  bool shown_ = false;
  bool terminal_;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace pleat::tools
