// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace pleat::cuda {

/// Tokens that a block without a plan looks through for closing ones.
inline constexpr int kScanThreads = 128;

}  // namespace pleat::cuda
