// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/overlap.hpp"

#include "api/arguments.hpp"
#include "api/extent.hpp"
#include "api/refuse.hpp"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace pleat::api {
namespace {

struct Region {
  const char* name = nullptr;
  TensorView view;
  bool output = false;
};

std::uintptr_t address_of(const TensorView& v) {
  return reinterpret_cast<std::uintptr_t>(v.data);
}

/// Bytes of b's base past the start of the page of a that it falls in.
std::uintptr_t page_offset(const TensorView& a, const TensorView& b, std::uintptr_t page_stride) {
  const std::uintptr_t from = address_of(a);
  const std::uintptr_t to = address_of(b);
  if (to >= from) return (to - from) % page_stride;
  return (page_stride - (from - to) % page_stride) % page_stride;
}

/// Page stride in bytes that both views have, or 0.
std::uintptr_t common_page_stride(const TensorView& a, const TensorView& b) {
  if (a.rank != 3 || b.rank != 3) return 0;
  const std::int64_t stride = a.stride[0] * size_of(a.dtype);
  return stride == b.stride[0] * size_of(b.dtype) ? static_cast<std::uintptr_t>(stride) : 0;
}

/// What a call's op touches, the plan included.
struct Regions {
  std::array<Region, kArgs + 1> all;
  std::size_t count = 0;
  std::string_view call;  ///< before each name: "", or "main." where there are two calls
};

Regions regions_of(Op op, const Call& call, std::string_view prefix) {
  Regions r;
  r.call = prefix;
  for (int i = 0; i < kArgs; ++i) {
    const auto arg = static_cast<Arg>(i);
    const Use use = use_of(op, arg, call);
    if (use == Use::no || use == Use::shape) continue;
    const TensorView& view = view_of(call, arg);
    if (view.data != nullptr) r.all[r.count++] = {rule_of(arg).name, view, is_output(use)};
  }
  if (call.plan.data != nullptr) {
    const auto bytes =
        TensorView::packed(call.plan.data, DType::u8, plan_bytes(call.plan.capacity));
    r.all[r.count++] = {"plan", bytes, op == Op::plan};
  }
  return r;
}

/// What keeps two paged views in one piece of memory from being one block pool.
std::string why_no_pool(const TensorView& a, const TensorView& b) {
  if (a.rank != 3 || b.rank != 3 || common_page_stride(a, b) != 0) return {};
  return fmt::format(" (one block pool has equal page strides: these are {} and {} bytes)",
                     a.stride[0] * size_of(a.dtype), b.stride[0] * size_of(b.dtype));
}

/// Holds the outputs of one call against all that another, or itself, touches.
Status check_outputs(const Regions& of, const Regions& against) {
  for (std::size_t i = 0; i < of.count; ++i) {
    const Region& out = of.all[i];
    if (!out.output) continue;
    for (std::size_t j = 0; j < against.count; ++j) {
      const Region& in = against.all[j];
      if (&out == &in || !may_overlap(out.view, in.view)) continue;
      if (share_block_pool(out.view, in.view)) continue;
      return invalid(fmt::format("{}{}", of.call, out.name),
                     fmt::format("memory apart from {}{}", against.call, in.name),
                     fmt::format("bytes {} + {} and {} + {}{}", fmt::ptr(out.view.data),
                                 byte_extent(out.view).value_or(0), fmt::ptr(in.view.data),
                                 byte_extent(in.view).value_or(0), why_no_pool(out.view, in.view)));
    }
  }
  return {};
}

}  // namespace

bool may_overlap(const TensorView& a, const TensorView& b) {
  const auto a_bytes = static_cast<std::uintptr_t>(byte_extent(a).value_or(0));
  const auto b_bytes = static_cast<std::uintptr_t>(byte_extent(b).value_or(0));
  if (a_bytes == 0 || b_bytes == 0) return false;
  if (address_of(a) + a_bytes <= address_of(b) || address_of(b) + b_bytes <= address_of(a)) {
    return false;
  }
  const std::uintptr_t page = common_page_stride(a, b);
  if (page == 0) return true;
  const std::uintptr_t offset = page_offset(a, b, page);
  const auto a_page = static_cast<std::uintptr_t>(page_extent(a));
  const auto b_page = static_cast<std::uintptr_t>(page_extent(b));
  return offset < a_page || b_page > page - offset;
}

bool share_block_pool(const TensorView& a, const TensorView& b) {
  const std::uintptr_t page = common_page_stride(a, b);
  return page != 0 && page_offset(a, b, page) == 0;
}

Status check_overlap(Op op, const Call& call) {
  const Regions regions = regions_of(op, call, "");
  return check_outputs(regions, regions);
}

Status check_overlap_between(Op op, const Call& main, const Call& indexer) {
  const Regions first = regions_of(op, main, "main.");
  const Regions second = regions_of(op, indexer, "indexer.");
  if (Status s = check_outputs(first, second); !s.ok()) return s;
  return check_outputs(second, first);
}

}  // namespace pleat::api
