// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "support/refusal.hpp"

namespace pleat::test {

/// Every kind of bad index that checked mode finds, each in an ApiCall that is good but for it.
const std::vector<Refusal>& index_refusals();

}  // namespace pleat::test
