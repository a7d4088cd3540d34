// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/moved_call.hpp"

#include <algorithm>
#include <cstring>

#include "api/extent.hpp"

namespace pleat::test {
namespace {

struct Range {
  std::uint8_t* begin;
  std::uint8_t* end;
};

std::vector<TensorView*> views_of(Call& c) {
  return {&c.batch.positions,   &c.batch.token_to_req, &c.batch.state_slots,
          &c.batch.kv_slots,    &c.projection,         &c.state.pages,
          &c.state.block_table, &c.compressed,         &c.cache,
          &c.weights.ape,       &c.weights.norm,       &c.weights.rope,
          &c.weights.fp8_scale};
}

/// Ranges that touch or overlap become one.
std::vector<Range> merged(std::vector<Range> all) {
  std::sort(all.begin(), all.end(), [](Range a, Range b) { return a.begin < b.begin; });
  std::vector<Range> out;
  for (const Range& r : all) {
    if (!out.empty() && r.begin < out.back().end) {
      out.back().end = std::max(out.back().end, r.end);
    } else {
      out.push_back(r);
    }
  }
  return out;
}

}  // namespace

MovedCall::MovedCall(const Call& host, Memory& memory) : call(host) {
  std::vector<Range> ranges;
  for (const TensorView* v : views_of(call)) {
    if (!v->given() || v->data == nullptr) continue;
    auto* first = static_cast<std::uint8_t*>(v->data);
    ranges.push_back({first, first + api::byte_extent(*v).value_or(0)});
  }
  if (call.plan.data != nullptr) {
    auto* first = static_cast<std::uint8_t*>(call.plan.data);
    ranges.push_back({first, first + plan_bytes(call.plan.capacity)});
  }
  for (const Range& r : merged(std::move(ranges)))
    parts_.push_back({r.begin, Buffer(memory, Bytes(r.begin, r.end))});
  const auto moved = [&](void* p) -> void* {
    auto* at = static_cast<std::uint8_t*>(p);
    for (const Part& part : parts_) {
      if (at >= part.host && at < part.host + part.there.size()) {
        return static_cast<std::uint8_t*>(part.there.data()) + (at - part.host);
      }
    }
    return p;
  };
  for (TensorView* v : views_of(call))
    v->data = moved(v->data);
  call.plan.data = moved(call.plan.data);
}

bool MovedCall::untouched() const {
  return std::all_of(parts_.begin(), parts_.end(),
                     [](const Part& p) { return p.there.unchanged() && p.there.guards_intact(); });
}

void MovedCall::bring_back() const {
  for (const Part& p : parts_) {
    const Bytes now = p.there.download();
    std::memcpy(p.host, now.data(), now.size());
  }
}

}  // namespace pleat::test
