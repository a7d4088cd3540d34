// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "support/rig.hpp"
#include "support/small_case.hpp"

namespace pleat::test {

/// A step in which each request brings `tokens` tokens from position `start` on. Requests come in
/// any order, with padding as the shape says; pages and slots are drawn. Blocks of history alone
/// may be one page for several requests, as with a shared prefix. What the history holds is what
/// lies in the state: no step before this one is needed.
Step draw_step(const Geometry& g, const EngineShape& shape, const RigSize& size,
               const std::vector<RequestSpan>& requests, Random& random);

/// Requests of random lengths: together at most `tokens` tokens, all positions below `positions`.
std::vector<RequestSpan> draw_requests(std::int64_t most, std::int64_t tokens,
                                       std::int64_t positions, Random& random);

/// `count` requests of one token each, which closes a window, or which does not.
std::vector<RequestSpan> single_tokens(const Geometry& g, std::int64_t count, bool closing,
                                       std::int64_t positions, Random& random);

}  // namespace pleat::test
