// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace pleat::cuda {

/// Tokens that a block without a plan looks through for closing ones.
inline constexpr int kScanThreads = 128;

/// Up to so many tokens, a step is more likely decode than prefill.
inline constexpr int kFewTokens = 512;

}  // namespace pleat::cuda
