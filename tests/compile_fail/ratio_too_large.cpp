// expect: ratio: a power of two up to 1024
// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/geometry.hpp>

template struct pleat::GeometryOf<2048, false, 512, 64, true>;
