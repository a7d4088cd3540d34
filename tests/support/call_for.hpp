// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

namespace pleat::test {

/// The call as an op takes it: compress and compress_store, which read every row of a window from
/// the state, refuse policy tail.
inline Call call_for(Op op, Call call) {
  if (op == Op::compress || op == Op::compress_store) call.write.policy = StatePolicy::all;
  return call;
}

}  // namespace pleat::test
