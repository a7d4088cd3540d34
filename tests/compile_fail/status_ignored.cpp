// expect: nodiscard
// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/pleat.hpp>

#pragma GCC diagnostic error "-Wunused-result"

void forget(const pleat::Call& call) {
  pleat::step(call, {});
}
