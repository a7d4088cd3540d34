// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <pleat/pleat.hpp>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace pleat::tools {

/// How a call is to be run, as the user writes it.
struct ExecOptions {
  std::string backend = "auto";
  std::string simd = "best";
  std::int32_t threads = 0;
  std::string variant = "exact";
  bool checked = false;
};

/// Adds --backend, --simd, --threads, --variant and --checked, each with its words and default in
/// --help.
/// `threads_are` is the text of --threads.
void add_exec_options(CLI::App& command, ExecOptions& options, const std::string& threads_are);

/// Refuses --simd and --threads where the user named a backend that has no use for them. Not for
/// "auto", which is one word for several machines. Throws Error.
void refuse_unused(const CLI::App& command, const ExecOptions& options,
                   const std::vector<const char*>& names);

/// "auto" is cuda where a GPU can be used, else cpu. Throws Error when this build or machine cannot
/// run the backend that was asked for.
Exec exec_of(const ExecOptions& options);

}  // namespace pleat::tools
