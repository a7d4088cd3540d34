// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/kernels.hpp"

/// Each kernel as compiled for one target, or null if the compiler could not: one file each, named
/// alike. Whether the machine has the target is not asked here.
namespace pleat::cpu::simd {

Pool pool(SimdTarget target);
Keep keep(SimdTarget target);
Store store(SimdTarget target);
Read read(SimdTarget target);

}  // namespace pleat::cpu::simd
