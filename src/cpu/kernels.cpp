// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/kernels.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "cpu/scalar.hpp"
#include "cpu/simd/kernels.hpp"

#if PLEAT_HAVE_HIGHWAY
#include "cpu/simd/targets.hpp"

#include <hwy/targets.h>
#endif

namespace pleat::cpu {

namespace {

bool machine_has([[maybe_unused]] SimdTarget target) {
#if PLEAT_HAVE_HIGHWAY
  const auto has = [](std::int64_t bit) { return (hwy::SupportedTargets() & bit) != 0; };
  switch (target) {
    case SimdTarget::avx2:
      return has(HWY_AVX2);
    case SimdTarget::avx512:
      return has(HWY_AVX3);
    case SimdTarget::neon:
      return has(HWY_NEON);
    case SimdTarget::best:
    case SimdTarget::scalar:
      break;
  }
#endif
  return false;
}

Kernels compiled_for([[maybe_unused]] SimdTarget target) {
#if PLEAT_HAVE_HIGHWAY
  return {target, simd::pool(target), simd::keep(target), simd::store(target), simd::read(target)};
#else
  return {};
#endif
}

/// All there are, the widest first; scalar is always there, and last.
struct Table {
  std::array<Kernels, 4> kernels{};
  int count = 0;
  std::string names;

  Table() {
    for (const SimdTarget t : {SimdTarget::avx512, SimdTarget::avx2, SimdTarget::neon}) {
      if (!machine_has(t)) continue;
      const Kernels k = compiled_for(t);
      if (k.pool != nullptr) add(k);
    }
    add(scalar_kernels());
  }
  void add(const Kernels& k) {
    kernels[static_cast<std::size_t>(count++)] = k;
    names = names.empty() ? name(k.target) : names + ", " + name(k.target);
  }
};

const Table& table() {
  static const Table t;
  return t;
}

}  // namespace

const Kernels* kernels_of(SimdTarget target) {
  const Table& t = table();
  if (target == SimdTarget::best) return t.kernels.data();
  const auto* end = t.kernels.data() + t.count;
  const auto* found =
      std::find_if(t.kernels.data(), end, [&](const Kernels& k) { return k.target == target; });
  return found != end ? found : nullptr;
}

const char* available_targets() {
  return table().names.c_str();
}

}  // namespace pleat::cpu
