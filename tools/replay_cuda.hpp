// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "tools/replay_device.hpp"

namespace pleat::tools {

/// On the current CUDA device: projections are generated there, plans made and digests summed, and
/// only sampled rows come back. Throws Error when the device has too little memory.
std::unique_ptr<ReplayDevice> make_cuda_device(const ReplaySetup& setup);

}  // namespace pleat::tools
