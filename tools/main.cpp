// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <pleat/pleat.hpp>
#include <string>
#include <vector>

#include "tools/commands.hpp"
#include "tools/file.hpp"
#include "tools/help.hpp"
#include "tools/names.hpp"

namespace {

/// What was printed may still be on its way, and the disk full. Reports it, with exit status 2.
int after_writing(int exit_code) {
  errno = 0;
  std::cout.flush();
  if (std::cout && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  // not by fmt, which throws where standard error is lost as well
  std::fprintf(stderr, "pleat: cannot write to standard output: %s\n",
               errno != 0 ? std::strerror(errno) : "it was cut short");
  return 2;
}

/// For instance "pleat 0.1.0 (backends: cpu, reference)".
std::string version_text() {
  std::string backends;
  for (const pleat::Backend b : pleat::tools::kBackends) {
    if (pleat::available(b)) backends += (backends.empty() ? "" : ", ") + std::string(name(b));
  }
  return fmt::format("pleat {} (backends: {})", pleat::version(), backends);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Pleat: DeepSeek-V4's KV-cache compressor. Runs it over real traffic, over single calls "
      "kept\n"
      "as files, and against the machine's memory bandwidth."};
  app.name("pleat");
  app.set_version_flag("--version", version_text, "Print version and usable backends, and exit");
  app.formatter(std::make_shared<pleat::tools::HelpFormatter>());
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  app.footer(
      "`pleat COMMAND --help` explains a command and ends with an example.\n"
      "Exit status: 0 done, 1 a check failed (bytes differ, verification failed), 2 could not "
      "run.");

  int exit_code = 0;
  pleat::tools::add_replay(app, exit_code);
  pleat::tools::add_apply(app, exit_code);
  pleat::tools::add_verify(app, exit_code);
  pleat::tools::add_inspect(app, exit_code);
  pleat::tools::add_bench(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& e) {
    // CLI11 asks for a command before it looks at the words that it could not place.
    const std::vector<std::string> unknown = app.remaining();
    if (unknown.empty()) return after_writing(app.exit(e) == 0 ? 0 : 2);
    std::fprintf(stderr, "pleat: expected replay, apply, verify, inspect or bench, got %s\n%s",
                 pleat::tools::in_quotes(unknown.front()).c_str(),
                 "Run with --help for more information.\n");
    return 2;
  } catch (const CLI::ParseError& e) {
    return after_writing(app.exit(e) == 0 ? 0 : 2);
  } catch (const std::bad_alloc&) {
    std::fflush(stdout);
    std::fputs(
        "pleat: out of memory. A replay asks for state and cache (--cache-gb), for the\n"
        "projections of a step (--token-budget) and for block tables (--max-running, and the\n"
        "longest request); a case or result for as much as its file has, or twice that\n",
        stderr);
    return 2;
  } catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "pleat: %s\n", e.what());
    return 2;
  }
  return after_writing(exit_code);
}
