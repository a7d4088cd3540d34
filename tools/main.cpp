// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <pleat/pleat.hpp>

#include "tools/commands.hpp"

int main(int argc, char** argv) {
  CLI::App app{
      "Pleat: DeepSeek-V4's KV-cache compressor. Runs it over real traffic, over single calls "
      "kept\n"
      "as files, and against the machine's memory bandwidth."};
  app.name("pleat");
  app.set_version_flag("--version", std::string("pleat ") + pleat::version());
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
