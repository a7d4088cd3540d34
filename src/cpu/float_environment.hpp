// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfenv>

namespace pleat::cpu {

/// Nearest-even, denormals kept, no traps: what the fixed order of operations is defined in.
inline void set_default_float_environment() {
  std::fesetenv(FE_DFL_ENV);
}

/// Holds the calling thread in that environment. Programs that were linked with fast-math, or that
/// flush denormals on purpose, would otherwise get other bytes.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() {
    std::fegetenv(&before_);
    set_default_float_environment();
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&before_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
  std::fenv_t before_;
};

}  // namespace pleat::cpu
