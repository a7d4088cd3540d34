// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/generator.hpp"

#include <cstring>

namespace pleat::tools {
namespace {

// Vectors of 16 lanes as GCC and Clang have them: one body, which each function below compiles for
// its own instruction set. Chosen at run time, not by ifunc, which the sanitizers do not survive.
constexpr std::int64_t kLanes = 16;
using U32 = std::uint32_t __attribute__((vector_size(64)));
using I32 = std::int32_t __attribute__((vector_size(64)));
using F32 = float __attribute__((vector_size(64)));
using U16 = std::uint16_t __attribute__((vector_size(32)));

PLEAT_GENERATOR_INLINE void bell_value(std::int64_t first, RowKey key, F32& value) {
  const U32 iota = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  U32 x = iota + static_cast<std::uint32_t>(first);
  channel_to_bell(x, key);
  I32 n;
  std::memcpy(&n, &x, sizeof n);
  value = __builtin_convertvector(n, F32) * 0x1p-10F;
}

PLEAT_GENERATOR_INLINE void fill(RowKey key, std::int64_t width, float* out) {
  for (std::int64_t c = 0; c < width; c += kLanes) {
    F32 value;
    bell_value(c, key, value);
    std::memcpy(out + c, &value, sizeof value);
  }
}

PLEAT_GENERATOR_INLINE void fill(RowKey key, std::int64_t width, std::uint16_t* out) {
  for (std::int64_t c = 0; c < width; c += kLanes) {
    F32 value;
    bell_value(c, key, value);
    U32 u;
    std::memcpy(&u, &value, sizeof u);
    u = (u + 0x7FFFU + ((u >> 16) & 1U)) >> 16;  // nearest even; there is no NaN here
    const U16 bits = __builtin_convertvector(u, U16);
    std::memcpy(out + c, &bits, sizeof bits);
  }
}

template <typename T>
void fill_portable(RowKey key, std::int64_t width, T* out) {
  fill(key, width, out);
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx2"))) void fill_avx2(RowKey key, std::int64_t width, T* out) {
  fill(key, width, out);
}
template <typename T>
__attribute__((target("avx512f,avx512bw,avx512vl"))) void fill_avx512(RowKey key,
                                                                      std::int64_t width, T* out) {
  fill(key, width, out);
}
#endif

struct Target {
  const char* name;
  void (*f32)(RowKey, std::int64_t, float*);
  void (*bf16)(RowKey, std::int64_t, std::uint16_t*);
};

Target choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    return {"avx512", fill_avx512<float>, fill_avx512<std::uint16_t>};
  }
  if (__builtin_cpu_supports("avx2")) return {"avx2", fill_avx2<float>, fill_avx2<std::uint16_t>};
#endif
  return {"portable", fill_portable<float>, fill_portable<std::uint16_t>};
}

const Target& target() {
  static const Target chosen = choose();
  return chosen;
}

}  // namespace

const char* generator_target() {
  return target().name;
}

void generate_row(RowKey key, std::int64_t width, float* out) {
  target().f32(key, width, out);
}

void generate_row(RowKey key, std::int64_t width, std::uint16_t* out_bf16) {
  target().bf16(key, width, out_bf16);
}

}  // namespace pleat::tools
