// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/arguments.hpp"
#include "api/index_check.hpp"

#include <pleat/pleat.hpp>

#include <cstdint>
#include <string>
#include <vector>

/// The tokens of a batch in host memory, as checked mode goes through them.
namespace pleat::api {

/// Token t; fields that the op does not use are 0, kv_slot -1.
TokenIndices indices_of(const Batch& batch, std::int64_t t);

/// "batch.positions[3]", as a refusal names it.
std::string token_of(Arg arg, std::int64_t token);

/// body(token, indices) of every token that is no padding.
template <class Body>
void for_each_live(const Batch& batch, const Body& body) {
  for (std::int64_t t = 0; t < batch.positions.shape[0]; ++t) {
    const TokenIndices indices = indices_of(batch, t);
    if (indices.state_slot >= 0) body(t, indices);
  }
}

/// body(begin, end) of every run: live tokens of one request, next to each other.
template <class Body>
void for_each_run(const Batch& batch, const Body& body) {
  const std::int64_t tokens = batch.positions.shape[0];
  for (std::int64_t begin = 0; begin < tokens;) {
    const TokenIndices first = indices_of(batch, begin);
    std::int64_t end = begin + 1;
    if (first.state_slot >= 0) {
      while (end < tokens && indices_of(batch, end).state_slot >= 0 &&
             indices_of(batch, end).request == first.request) {
        ++end;
      }
      body(begin, end);
    }
    begin = end;
  }
}

/// The first position whose state row is written, of a request with `length` tokens after the step.
std::int64_t first_written(const Call& call, std::int64_t length);

/// Of every token. The batch must have passed check_runs().
std::vector<TokenUse> token_uses(Op op, const Call& call);

}  // namespace pleat::api
