// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace pleat::api {

/// A claim of one owner on one place (a slot, a ring).
struct Claim {
  std::int64_t place;
  std::int64_t owner;
  std::int64_t token;
};

/// By place, those of a place in token order.
inline void sort_claims(std::vector<Claim>* claims) {
  std::sort(claims->begin(), claims->end(), [](const Claim& a, const Claim& b) {
    return a.place != b.place ? a.place < b.place : a.token < b.token;
  });
}

/// The conflict whose later token is the first in the batch, as {earlier, later}; or nothing. Of
/// sorted claims.
inline std::vector<Claim> first_conflict(const std::vector<Claim>& claims) {
  std::vector<Claim> worst;
  for (std::size_t i = 1; i < claims.size(); ++i) {
    const bool conflict =
        claims[i].place == claims[i - 1].place && claims[i].owner != claims[i - 1].owner;
    if (conflict && (worst.empty() || claims[i].token < worst[1].token)) {
      worst = {claims[i - 1], claims[i]};
    }
  }
  return worst;
}

}  // namespace pleat::api
