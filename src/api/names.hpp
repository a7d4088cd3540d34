// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/geometry.hpp>
#include <pleat/pleat.hpp>

#include <string>

namespace pleat::api {

/// "f32"; "unknown" for a value that is no DType.
const char* dtype_name(DType t);
/// "hca", "csa", "indexer"; any other geometry is spelled out with describe_geometry().
std::string geometry_name(const Geometry& g);
/// "ratio 128, overlap no, head dim 512, rope dim 64, ape yes"
std::string describe_geometry(const Geometry& g);

}  // namespace pleat::api
