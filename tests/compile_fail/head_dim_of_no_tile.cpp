// expect: head_dim: a power of two from 64 to 4096
// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/geometry.hpp>

template struct pleat::GeometryOf<4, true, 32, 32, true>;
