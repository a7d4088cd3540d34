// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/file.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tools/error.hpp"

namespace pleat::tools {

std::vector<std::uint8_t> read_file(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  // Before it is opened: a pipe without a writer would be waited for.
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) throw fail("{}: expected a file, got a directory", path);
  if (fs::is_fifo(status)) {
    throw fail("{}: expected a regular file, got a pipe; save it to a file first", path);
  }
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw fail("{}: expected a regular file, got a device or a socket", path);
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) throw fail("{}: cannot open: {}", path, std::strerror(errno));
  in.seekg(0, std::ios::end);
  const auto size = static_cast<std::streamoff>(in.tellg());
  if (size < 0) throw fail("{}: cannot tell its size: expected a regular file", path);
  in.seekg(0);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  in.read(reinterpret_cast<char*>(bytes.data()), size);
  if (in.gcount() != size) throw fail("{}: byte {}: cannot read on", path, in.gcount());
  return bytes;
}

namespace {

std::string escaped(std::string_view text, std::string_view special) {
  constexpr std::size_t kLongest = 60;
  std::string out;
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      if (special.find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  if (text.size() > kLongest) out += "...";
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  return escaped(text, "");
}

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", escaped(text, "\"\\"));
}

}  // namespace pleat::tools
