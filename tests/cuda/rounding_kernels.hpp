// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace pleat::test {

/// How many floats of bit patterns [first, last] the device code's reciprocal or root rounds
/// otherwise than CUDA's correctly rounded __frcp_rn and __fsqrt_rn. Waits for the default stream.
std::uint64_t wrong_reciprocals(std::uint32_t first, std::uint32_t last);
std::uint64_t wrong_roots(std::uint32_t first, std::uint32_t last);

/// The device's numerics::rms_scale of a mean.
float device_rms_scale(double mean);

}  // namespace pleat::test
