// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>
#include <vector>

#include "support/memory.hpp"

namespace pleat::test {

/// A call whose views lie in host memory, copied to another Memory. Views that share bytes share
/// them there too.
class MovedCall {
 public:
  MovedCall(const Call& host, Memory& memory);

  Call call;

  /// All bytes as they were copied, nothing beside them written.
  [[nodiscard]] bool untouched() const;
  /// Copies back what lies in the other memory to where it came from.
  void bring_back() const;

 private:
  struct Part {
    std::uint8_t* host;
    Buffer there;
  };
  std::vector<Part> parts_;
};

}  // namespace pleat::test
