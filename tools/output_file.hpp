// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <ostream>
#include <string>

namespace pleat::tools {

/// Refuses a path that no file could be written to, were its folder made, before the work whose
/// result it is to get. Creates nothing. Throws Error, whose words begin with `label`.
void check_writable(const std::string& label, const std::string& path);

/// Refuses a path that leads to one of the inputs, which is named `what`: it would be replaced.
/// Throws Error, whose words begin with `label`.
void refuse_input(const std::string& label, const std::string& path, const std::string& input,
                  const std::string& what);

/// Whether what is written to the path comes out where standard output does.
bool is_standard_output(const std::string& path);

/// Makes the folder of a file, and those it is in.
void make_folder_of(const std::string& label, const std::string& path);

/// Writes a file whole or not at all: under a name that nothing else has, in the same folder, and
/// then in its place, and not left half done by Ctrl-C. Symbolic links are followed. What is there
/// and no regular file (a pipe, /dev/null) is written to as it is, and what standard output or
/// error goes to, a file or not, gets it behind what was printed. Throws Error, whose words begin
/// with `label`.
void write_file(const std::string& label, const std::string& path,
                const std::function<void(std::ostream&)>& write);

}  // namespace pleat::tools
