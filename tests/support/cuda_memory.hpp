// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace pleat::test {

/// Makes memory_of(Backend::cuda) the device's, where there is one. Called by machines().
void use_cuda_memory();

}  // namespace pleat::test
