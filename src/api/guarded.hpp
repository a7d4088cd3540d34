// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/status.hpp>

#include <exception>

namespace pleat::api {

/// For code between this library and callers that exceptions must not reach: runs `body`, and turns
/// what it throws (out of memory, a thread that cannot be started) into StatusCode::internal.
template <class Body>
Status guarded(const Body& body) noexcept {
  try {
    return body();
  } catch (const std::exception& e) {
    try {
      return {StatusCode::internal, e.what()};
    } catch (...) {
    }
  } catch (...) {
  }
  return {StatusCode::internal, {}};
}

}  // namespace pleat::api
