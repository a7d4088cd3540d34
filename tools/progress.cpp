// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace pleat::tools {
namespace {

constexpr std::size_t kBarCells = 32;
constexpr std::chrono::milliseconds kRedraw{100};

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

std::string Progress::bar(std::int64_t done, std::int64_t total, const std::string& text,
                          std::size_t width) {
  const double part = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const auto full = static_cast<std::size_t>(part * static_cast<double>(kBarCells));
  std::string line = fmt::format("[{}{}] {:3.0f} %  {}", std::string(full, '#'),
                                 std::string(kBarCells - full, '.'), part * 100, text);
  if (line.size() > width) line.resize(width);
  return line;
}

void Progress::update(std::int64_t done, std::int64_t total,
                      const std::function<std::string()>& text) {
  if (!terminal_ || total <= 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (shown_ && now - last_ < kRedraw) return;
  draw(bar(done, total, text(), terminal_width() - 1));
}

void Progress::say(const std::string& text) {
  // One column less than there is: a full line would wrap.
  if (terminal_) draw(text.substr(0, terminal_width() - 1));
}

void Progress::draw(const std::string& line) {
  last_ = std::chrono::steady_clock::now();
  shown_ = true;
  fmt::print(stderr, "\r{}\033[K", line);
  std::fflush(stderr);
}

void Progress::finish() {
  if (!shown_) return;
  shown_ = false;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

}  // namespace pleat::tools
