// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

/// The program's subcommands. Each function adds one to `app`; when the user asks for it, it does
/// its job and sets `exit_code`. What goes wrong is thrown as tools::Error and printed by main.
namespace pleat::tools {

void add_replay(CLI::App& app, int& exit_code);
void add_apply(CLI::App& app, int& exit_code);
void add_verify(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);

}  // namespace pleat::tools
