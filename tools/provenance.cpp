// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/provenance.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>
#include <pleat/pleat.hpp>
#include <thread>

namespace pleat::tools {
namespace {

struct Close {
  void operator()(std::FILE* f) const { pclose(f); }
};

/// The first line that a command prints; empty when it prints none.
std::string first_line_of(const char* command) {
  const std::unique_ptr<std::FILE, Close> pipe(popen(command, "r"));
  if (!pipe) return {};
  char line[256] = "";
  if (std::fgets(line, sizeof line, pipe.get()) == nullptr) return {};
  std::string text = line;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
    text.pop_back();
  return text;
}

std::string commit_here() {
  std::string commit = first_line_of("git rev-parse HEAD 2>/dev/null");
  if (commit.empty()) return "unknown";
  if (!first_line_of("git status --porcelain --untracked-files=no 2>/dev/null").empty()) {
    commit += " with changes";
  }
  return commit;
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

}  // namespace

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

nlohmann::ordered_json provenance(const std::string& commit) {
  return {{"pleat", version()},
          {"commit", commit.empty() ? commit_here() : commit},
          {"date", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
          {"cpu", cpu_model()},
          {"cores", std::thread::hardware_concurrency()},
          {"compiler", compiler()}};
}

}  // namespace pleat::tools
