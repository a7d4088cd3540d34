// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/read_loop.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "cpu/kernels.hpp"

namespace pleat::cpu {
namespace {

/// The result depends on every byte: none can have been left out.
TEST(ReadLoop, ReadsEveryByte) {
  for (const SimdTarget t :
       {SimdTarget::scalar, SimdTarget::avx2, SimdTarget::avx512, SimdTarget::neon}) {
    const Kernels* kernels = kernels_of(t);
    if (kernels == nullptr) continue;
    for (const std::size_t bytes : {0U, 1U, 63U, 64U, 65U, 256U, 1000U, 4096U}) {
      std::vector<std::uint8_t> data(bytes, 7);  // a sanitizer sees a read past its end
      const std::uint64_t before = kernels->read(data.data(), bytes);
      for (std::size_t i = 0; i < bytes; ++i) {
        data[i] ^= 0x40;
        ASSERT_NE(kernels->read(data.data(), bytes), before) << name(t) << " " << bytes << " " << i;
        data[i] ^= 0x40;
      }
      for (const int threads : {1, 2, 5})
        read_loop(data.data(), bytes, {Backend::cpu, threads, t});
    }
  }
}

}  // namespace
}  // namespace pleat::cpu
