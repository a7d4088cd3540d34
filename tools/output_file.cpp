// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/output_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

namespace fs = std::filesystem;

/// Where a path leads, also a link to nothing yet.
fs::path target_of(const fs::path& path) {
  std::error_code ignored;
  fs::path at = path;
  for (int links = 0; links < 40 && fs::is_symlink(fs::symlink_status(at, ignored)); ++links) {
    const fs::path to = fs::read_symlink(at, ignored);
    at = to.is_absolute() ? to : at.parent_path() / to;
  }
  return at;
}

/// What a path leads to, by stat: links of /proc/self/fd, which /dev/stdout is, lead to what is
/// open and not to the path that they spell. None where there is nothing.
std::optional<struct stat> status_of(const std::string& path) {
  struct stat found = {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  return found;
}

/// There, and neither a file that could be replaced nor a folder.
bool is_written_in_place(const std::string& path) {
  const auto there = status_of(path);
  return there && !S_ISREG(there->st_mode) && !S_ISDIR(there->st_mode);
}

/// STDOUT_FILENO or STDERR_FILENO where the path leads to what that writes to. A file put in its
/// place would take the table away that was printed there.
std::optional<int> own_output(const std::string& path) {
  const auto there = status_of(path);
  if (!there) return std::nullopt;
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat open = {};
    if (::fstat(fd, &open) == 0 && open.st_dev == there->st_dev && open.st_ino == there->st_ino) {
      return fd;
    }
  }
  return std::nullopt;
}

Error cannot_write(const std::string& label, const std::string& reason) {
  return fail("{}: cannot write: {}", label, reason);
}

void refuse_no_file(const std::string& label, const fs::path& target) {
  if (target.empty()) throw fail("{}: expected the name of a file, got none", label);
  std::error_code ignored;
  if (!target.has_filename() || fs::is_directory(target, ignored)) {
    throw fail("{}: expected a file, got a folder", label);
  }
}

/// What a file made anew may be read and written by.
fs::perms permissions_of(const fs::path& target) {
  std::error_code error;
  const fs::file_status there = fs::status(target, error);
  if (fs::exists(there)) return there.permissions();
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return static_cast<fs::perms>(0666U & ~mask);
}

volatile std::sig_atomic_t put_off = 0;

void remember(int signal) {
  put_off = signal;
}

/// Puts off the signals by which a user ends the program until what is begun is done. By handlers,
/// as a mask is one thread's, and any thread may be given the signal.
class SignalsPutOff {
 public:
  SignalsPutOff() {
    struct sigaction later = {};
    later.sa_handler = remember;
    later.sa_flags = SA_RESTART;
    for (std::size_t i = 0; i < std::size(kSignals); ++i)
      ::sigaction(kSignals[i], &later, &before_[i]);
  }
  ~SignalsPutOff() {
    for (std::size_t i = 0; i < std::size(kSignals); ++i)
      ::sigaction(kSignals[i], &before_[i], nullptr);
    const int signal = put_off;
    put_off = 0;
    if (signal != 0) std::raise(signal);
  }
  SignalsPutOff(const SignalsPutOff&) = delete;
  SignalsPutOff& operator=(const SignalsPutOff&) = delete;

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction before_[std::size(kSignals)] = {};
};

void write_in_place(const std::string& label, const fs::path& target,
                    const std::function<void(std::ostream&)>& write) {
  errno = 0;
  std::ofstream out(target, std::ios::binary);
  if (out) write(out);
  out.close();
  if (!out) throw cannot_write(label, std::strerror(errno));
}

/// Behind what the process has printed there, and where its next words go on.
void write_to_own_output(const std::string& label, int fd,
                         const std::function<void(std::ostream&)>& write) {
  std::ostringstream text;
  write(text);
  if (!text) throw cannot_write(label, "it was cut short");
  std::fflush(nullptr);
  const std::string bytes = text.str();
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno != EINTR) throw cannot_write(label, std::strerror(errno));
    if (n > 0) at += static_cast<std::size_t>(n);
  }
}

}  // namespace

void check_writable(const std::string& label, const std::string& path) {
  if (own_output(path)) return;
  if (is_written_in_place(path)) {
    if (::access(path.c_str(), W_OK) != 0) throw cannot_write(label, std::strerror(errno));
    return;
  }
  const fs::path target = target_of(path);
  refuse_no_file(label, target);
  std::error_code ignored;
  // The nearest that is there: the file, or a folder that it, or its folder, would be made in.
  fs::path there = fs::absolute(target);
  while (!fs::exists(there, ignored) && there.has_relative_path())
    there = there.parent_path();
  if (there != fs::absolute(target) && !fs::is_directory(there, ignored)) {
    throw cannot_write(label, there.string() + " is no folder");
  }
  if (::access(there.c_str(), W_OK) != 0) throw cannot_write(label, std::strerror(errno));
}

void refuse_input(const std::string& label, const std::string& path, const std::string& input,
                  const std::string& what) {
  std::error_code ignored;
  if (fs::equivalent(path, input, ignored)) throw fail("{}: would overwrite {}", label, what);
}

bool is_standard_output(const std::string& path) {
  return own_output(path) == STDOUT_FILENO;
}

void make_folder_of(const std::string& label, const std::string& path) {
  if (status_of(path)) return;
  const fs::path folder = target_of(path).parent_path();
  std::error_code error;
  if (!folder.empty()) fs::create_directories(folder, error);
  if (error) throw cannot_write(label, error.message());
}

void write_file(const std::string& label, const std::string& path,
                const std::function<void(std::ostream&)>& write) {
  if (const auto fd = own_output(path)) {
    write_to_own_output(label, *fd, write);
    return;
  }
  if (is_written_in_place(path)) {
    write_in_place(label, path, write);
    return;
  }
  const fs::path target = target_of(path);
  refuse_no_file(label, target);
  std::error_code error;
  const SignalsPutOff whole;
  std::string temporary = target.string() + ".XXXXXX";
  const int file = ::mkstemp(temporary.data());
  if (file < 0) throw cannot_write(label, std::strerror(errno));
  ::close(file);
  try {
    write_in_place(label, temporary, write);
    fs::permissions(temporary, permissions_of(target), error);
    if (!error) fs::rename(temporary, target, error);
    if (error) throw cannot_write(label, error.message());
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace pleat::tools
