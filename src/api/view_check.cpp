// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/view_check.hpp"

#include "api/extent.hpp"
#include "api/names.hpp"
#include "api/refuse.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace pleat::api {
namespace {

const char* ordinal(std::int32_t dim, std::int32_t rank) {
  if (rank == 1) return "length";
  if (dim == rank - 1) return "last dimension";
  return dim == 0 ? "first dimension" : "middle dimension";
}

std::string dtypes_of(const ViewRule& rule) {
  if (rule.other == DType::none) return dtype_name(rule.dtype);
  return fmt::format("{} or {}", dtype_name(rule.dtype), dtype_name(rule.other));
}

std::int64_t required(Dim dim, const Call& call) {
  const Compressor& c = call.compressor;
  switch (dim) {
    case Dim::tokens:
      return call.batch.positions.shape[0];
    case Dim::row_width:
      return c.geometry.row_width();
    case Dim::state_width:
      return c.geometry.state_width();
    case Dim::head_dim:
      return c.geometry.head_dim;
    case Dim::ratio:
      return c.geometry.ratio;
    case Dim::rope_dim:
      return c.geometry.rope_dim;
    case Dim::row_bytes:
      return row_layout(c.row_format, c.geometry).row_bytes();
    case Dim::one:
      return 1;
    case Dim::none:
    case Dim::any:
    case Dim::some:
      break;
  }
  return -1;
}

std::string reason(Dim dim, const Call& call) {
  const auto of_geometry = [&](const char* what) {
    return fmt::format("{} of {}", what, geometry_name(call.compressor.geometry));
  };
  switch (dim) {
    case Dim::tokens:
      return "T, the length of batch.positions";
    case Dim::row_width:
      return of_geometry("2S");
    case Dim::state_width:
      return of_geometry("S");
    case Dim::head_dim:
      return of_geometry("D");
    case Dim::ratio:
      return of_geometry("R");
    case Dim::rope_dim:
      return of_geometry("rope dim");
    case Dim::row_bytes:
      return fmt::format("bytes of a {} row", name(call.compressor.row_format));
    case Dim::one:
      return "one scale";
    case Dim::none:
    case Dim::any:
    case Dim::some:
      break;
  }
  return {};
}

Status check_shape(const ViewRule& rule, const TensorView& view, const Call& call) {
  for (std::int32_t i = 0; i < rule.rank; ++i) {
    const auto d = static_cast<std::size_t>(i);
    const char* which = ordinal(i, rule.rank);
    const std::int64_t got = view.shape[d];
    if (rule.dims[d] == Dim::any || rule.dims[d] == Dim::some) {
      const std::int64_t least = rule.dims[d] == Dim::some ? 1 : 0;
      if (got < least) {
        return invalid(rule.name, fmt::format("{} at least {} in {}", which, least, rule.shape),
                       got);
      }
    } else if (got != required(rule.dims[d], call)) {
      return invalid(rule.name,
                     fmt::format("{} {} ({})", which, required(rule.dims[d], call),
                                 reason(rule.dims[d], call)),
                     got);
    }
  }
  return {};
}

/// Rows follow each other, do not overlap, and are dense in themselves.
Status check_strides(const ViewRule& rule, const TensorView& view, std::int32_t alignment) {
  const auto last = static_cast<std::size_t>(rule.rank - 1);
  if (view.stride[last] != 1) {
    return invalid(rule.name,
                   "last stride 1 (elements of a row are contiguous; TensorView::packed and "
                   "pleat_packed2 set strides)",
                   view.stride[last]);
  }
  for (std::int32_t i = rule.rank - 2; i >= 0; --i) {
    const auto d = static_cast<std::size_t>(i);
    const char* what = rule.rank == 3 && i == 0 ? "page" : "row";
    const auto least = element_extent(view, i + 1);
    if (!least) {
      return invalid(
          rule.name, fmt::format("a {} whose offsets fit in 64 bits", what),
          fmt::format("shape [{}, {}, {}], strides [{}, {}, {}]", view.shape[0], view.shape[1],
                      view.shape[2], view.stride[0], view.stride[1], view.stride[2]));
    }
    if (view.stride[d] < *least) {
      return invalid(rule.name,
                     fmt::format("{} stride at least {} (elements of a {})", what, *least, what),
                     view.stride[d]);
    }
    std::int64_t bytes = 0;
    if (__builtin_mul_overflow(view.stride[d], size_of(view.dtype), &bytes)) {
      return invalid(rule.name, fmt::format("{} stride whose bytes fit in 64 bits", what),
                     view.stride[d]);
    }
    // A cache row is two runs of bytes inside its page (check_cache_rows): only pages are aligned.
    const bool aligned = view.dtype != DType::u8 || i == 0;
    if (aligned && bytes % alignment != 0) {
      return invalid(rule.name, fmt::format("{} stride a multiple of {} bytes", what, alignment),
                     fmt::format("{} elements of {} bytes", view.stride[d], size_of(view.dtype)));
    }
  }
  return {};
}

/// The cache's rows are addressed by the row format inside a page, not by the view's row stride.
Status check_cache_rows(const ViewRule& rule, const TensorView& view, const Call& call) {
  const RowLayout layout = row_layout(call.compressor.row_format, call.compressor.geometry);
  if (view.stride[1] == layout.row_bytes()) return {};
  return invalid(rule.name,
                 fmt::format("row stride {} (a page holds values, then scales, without gaps)",
                             layout.row_bytes()),
                 view.stride[1]);
}

Status check_memory(const ViewRule& rule, const TensorView& view, bool needed) {
  const auto address = reinterpret_cast<std::uintptr_t>(view.data);
  const auto bytes = byte_extent(view);
  std::uintptr_t end = 0;
  if (!bytes || __builtin_add_overflow(address, static_cast<std::uintptr_t>(*bytes), &end)) {
    return invalid(rule.name, "a size in bytes that fits in 64 bits",
                   fmt::format("shape {} with first stride {}",
                               fmt::join(view.shape.data(), view.shape.data() + view.rank, " x "),
                               view.stride[0]));
  }
  if (view.data == nullptr && *bytes > 0 && needed) {
    return invalid(rule.name, fmt::format("a pointer to {} {}", dtypes_of(rule), rule.shape),
                   "null");
  }
  const auto alignment = static_cast<std::uintptr_t>(rule.base_alignment);
  if (address % alignment != 0) {
    return invalid(rule.name, fmt::format("data aligned to {} bytes", alignment),
                   fmt::format("{} (off by {})", fmt::ptr(view.data), address % alignment));
  }
  return {};
}

}  // namespace

Status check_view(Arg arg, Use use, const Call& call) {
  const ViewRule& rule = rule_of(arg);
  const TensorView& view = view_of(call, arg);
  if (!view.given()) {
    return invalid(rule.name, fmt::format("{} {}", dtypes_of(rule), rule.shape),
                   "no view (dtype none)");
  }
  if (view.dtype != rule.dtype && view.dtype != rule.other) {
    return invalid(rule.name, fmt::format("dtype {}", dtypes_of(rule)),
                   fmt::format("{} ({})", dtype_name(view.dtype), static_cast<int>(view.dtype)));
  }
  if (view.rank != rule.rank) {
    return invalid(rule.name, fmt::format("rank {} {}", rule.rank, rule.shape), view.rank);
  }
  if (arg == Arg::positions && view.shape[0] < 0) {
    return invalid(rule.name, "length T at least 0", view.shape[0]);
  }
  if (Status s = check_shape(rule, view, call); !s.ok()) return s;
  const std::int32_t alignment =
      arg == Arg::cache ? cache_alignment(call.compressor.row_format) : rule.stride_alignment;
  if (Status s = check_strides(rule, view, alignment); !s.ok()) return s;
  if (arg == Arg::cache) {
    if (Status s = check_cache_rows(rule, view, call); !s.ok()) return s;
  }
  const bool needed = use != Use::shape && call.batch.positions.shape[0] > 0;
  return check_memory(rule, view, needed);
}

}  // namespace pleat::api
