// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/case.hpp"
#include "tools/paint.hpp"
#include "tools/safetensors.hpp"

/// What `pleat inspect` shows, as text.
namespace pleat::tools {

/// The call that the metadata describes (when it does), all metadata, and the tensors.
std::string show_file(const TensorFile& file, const std::optional<CaseHeader>& header,
                      const Paint& paint);

/// A cache page, one line a row: the scales of its blocks, its largest magnitude, its length.
/// `cache` is a view of u8 pages (cache_view); `page` is inside it.
std::string show_cache_page(const CaseHeader& header, const TensorView& cache, std::int64_t page,
                            const Paint& paint);
/// A cache row decoded: each block with its scale, its codes and the values they stand for.
std::string show_cache_row(const CaseHeader& header, const TensorView& cache, std::int64_t page,
                           std::int64_t row, const Paint& paint);
/// Where the bytes of a cache page go: values, rotated values, scales, padding.
std::string show_cache_map(const CaseHeader& header, const TensorView& cache, std::int64_t page,
                           const Paint& paint);

/// A state page, one line a row: the ranges of kv and score of each group's channels.
std::string show_state_page(const CaseHeader& header, const TensorView& state, std::int64_t page,
                            const Paint& paint);
/// A state row's numbers.
std::string show_state_row(const CaseHeader& header, const TensorView& state, std::int64_t page,
                           std::int64_t row, const Paint& paint);

/// Any other tensor: its rows, or one of them in full. A tensor of rank 1 is one row.
std::string show_numbers(const Tensor& tensor, const std::optional<std::int64_t>& row,
                         const Paint& paint);

}  // namespace pleat::tools
