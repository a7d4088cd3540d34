// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/kernels.hpp"

namespace pleat::cpu {

/// The kernels without SIMD, for machines below AVX2 and builds without Highway. Slow where
/// std::fma is a library call.
const Kernels& scalar_kernels();

}  // namespace pleat::cpu
