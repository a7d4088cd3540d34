// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <pleat/pleat.hpp>
#include <string>

#include "tools/commands.hpp"
#include "tools/help.hpp"
#include "tools/names.hpp"

namespace {

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
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::fflush(stdout);
    fmt::print(stderr, "pleat: {}\n", e.what());
    return 2;
  }
  return exit_code;
}
