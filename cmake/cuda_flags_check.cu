// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
//
// Compiles only where the CUDA flags of this project arrived at nvcc.
static_assert(__cplusplus >= 202002L, "nvcc was not given -std=c++20");

#ifdef __FAST_MATH__
#error "fast-math changes the bytes of the result; see docs/numerics.md"
#endif
