// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pleat::tools {

/// All bytes of a regular file. Throws Error naming the path and the reason.
std::vector<std::uint8_t> read_file(const std::string& path);

/// Text from a file made fit for a terminal: bytes that are no printable ASCII escaped (what they
/// mean depends on an encoding that nobody named), cut when long.
std::string printable(std::string_view text);
/// The same in quotes, which it escapes.
std::string in_quotes(std::string_view text);

}  // namespace pleat::tools
