// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz/c_api_call.hpp"

namespace pleat::fuzz {

/// Whether the call may be run at all: no library can know how much memory lies behind a pointer,
/// so each well-formed view must end inside a block. What is not well formed must be refused; run
/// it.
inline bool runnable(const FuzzCall& f) {
  for (const pleat_tensor* t : views_of(f.call)) {
    std::int64_t bytes = 0;
    if (extent_of(*t, &bytes) && t->data != nullptr && !f.memory.holds(t->data, bytes))
      return false;
  }
  const std::int64_t capacity = f.call.plan_capacity;
  if (f.call.plan == nullptr || capacity < 0) return true;
  const std::int64_t bytes = pleat_plan_bytes(capacity);
  return bytes == 0 || f.memory.holds(f.call.plan, bytes);
}

/// Byte ranges that an op may write.
inline Ranges outputs_of(std::int32_t op, const pleat_call& c) {
  Ranges out;
  const auto add = [&](const pleat_tensor& t) {
    std::int64_t bytes = 0;
    if (extent_of(t, &bytes)) out.push_back({static_cast<const std::uint8_t*>(t.data), bytes});
  };
  if (op == PLEAT_OP_PLAN) {
    out.push_back({static_cast<const std::uint8_t*>(c.plan), pleat_plan_bytes(c.plan_capacity)});
  }
  if (op == PLEAT_OP_SAVE_STATE || op == PLEAT_OP_STEP) add(c.state_pages);
  if (op == PLEAT_OP_COMPRESS) add(c.compressed);
  if (op >= PLEAT_OP_NORM_ROPE_STORE) add(c.cache);
  return out;
}

/// One call made of the input's bytes, in checked mode. Returns what is wrong with how the library
/// took it, or nothing. AddressSanitizer, where it is on, watches for the rest.
inline std::string check_one(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  FuzzCall f(in);
  char text[256];
  const pleat_status described = pleat_describe(f.op, f.call_struct(), &f.exec, text, sizeof text);
  if (!runnable(f) || f.exec.backend == PLEAT_CUDA) return {};
  const Snapshot before = f.memory.snapshot();
  const pleat_status status = pleat_run(f.op, f.call_struct(), &f.exec);
  const std::string error = pleat_last_error();
  if ((status == PLEAT_OK) != error.empty()) return "status and error text disagree: " + error;
  if (status == PLEAT_INTERNAL) return "internal error: " + error;
  if (described != PLEAT_OK && status == PLEAT_OK) return "describe() refused what ran";
  const Ranges outputs = status == PLEAT_OK ? outputs_of(f.op, f.call) : Ranges{};
  if (!f.memory.only_changed(before, outputs)) {
    return status == PLEAT_OK ? "bytes outside the outputs were written"
                              : "a refused call wrote: " + error;
  }
  return {};
}

}  // namespace pleat::fuzz
