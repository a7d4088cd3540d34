// expect: rope_dim: even, from 2 to 64
// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/geometry.hpp>

template struct pleat::GeometryOf<4, true, 512, 128, true>;
