// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace pleat::test {

/// The first byte of device memory that is not zero, or -1. A copy of gigabytes to the host to look
/// there would take the test's time. Waits for the default stream.
std::int64_t first_nonzero(const void* device, std::size_t bytes);

}  // namespace pleat::test
