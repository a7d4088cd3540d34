// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <string>
#include <vector>

namespace pleat::test {

/// A way to compute that must give the reference's bytes.
struct Machine {
  std::string name;
  Exec exec;
};

/// The reference, each SIMD target of this machine on one thread, the best one on several, and cuda
/// where there is a device.
std::vector<Machine> machines();

/// A call on no tokens, to ask which backends and targets there are.
Call empty_call();

}  // namespace pleat::test
