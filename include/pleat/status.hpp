// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace pleat {

/// Why a call was refused. The values are part of the C ABI (pleat_status in pleat.h).
enum class StatusCode : std::int32_t {
  ok = 0,
  invalid_argument = 1,  ///< a pointer, shape, stride, dtype or value is not what the op asks for
  unsupported = 2,       ///< well formed, but the chosen backend was not built for it
  out_of_range = 3,      ///< checked mode: an index array holds a slot, page or request that is not
  device_error = 4,      ///< the CUDA runtime reported an error
  internal = 5,          ///< a fault of Pleat itself
};

/// Result of every call. Success carries no text and allocates nothing; a refusal names the
/// argument, what was expected and what came. A refused call has written nothing.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] bool ok() const { return code_ == StatusCode::ok; }
  [[nodiscard]] StatusCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::ok;
  std::string message_;
};

}  // namespace pleat
