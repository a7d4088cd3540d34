// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <pleat/pleat.hpp>

namespace pleat::tools {

/// A host call's twin on the CUDA device: every tensor copied whole, padding between pages
/// included. Throws Error when the CUDA runtime refuses, or when Pleat was built without CUDA.
class DeviceCall {
 public:
  DeviceCall(const Call& host, std::int64_t plan_capacity);
  ~DeviceCall();
  DeviceCall(const DeviceCall&) = delete;
  DeviceCall& operator=(const DeviceCall&) = delete;

  /// The call with pointers into device memory, and no plan.
  [[nodiscard]] const Call& call() const;
  /// Device memory for a plan of the capacity given to the constructor.
  [[nodiscard]] void* plan_memory() const;
  /// Waits for the device and copies back what `op` writes.
  void fetch(Op op, const Call& host) const;

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace pleat::tools
