// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <pleat/pleat.hpp>
#include <string>
#include <string_view>

/// The words of files and command lines, and what they mean in the library.
namespace pleat::tools {

struct NamedGeometry {
  const char* name;
  const char* title;
  Geometry geometry;
};

/// The geometries of DeepSeek-V4, by the names that files and options use.
inline constexpr std::array<NamedGeometry, 3> kGeometries{{
    {"hca", "HCA, 128 tokens a row", Hca::value},
    {"csa", "CSA, 4 tokens a row with overlap", Csa::value},
    {"indexer", "indexer, 4 tokens a row with overlap", Indexer::value},
}};

inline constexpr std::array kRecipes{Recipe::deepseek, Recipe::vllm, Recipe::vllm_triton,
                                     Recipe::sglang};
inline constexpr std::array kRowFormats{RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor,
                                        RowFormat::index_fp8, RowFormat::index_mxfp4};
/// Those that write tensors, and so may be kept as cases.
inline constexpr std::array kCaseOps{Op::save_state, Op::compress, Op::norm_rope_store,
                                     Op::compress_store, Op::step};
inline constexpr std::array kBackends{Backend::cpu, Backend::reference, Backend::cuda};
inline constexpr std::array kSimdTargets{SimdTarget::best, SimdTarget::scalar, SimdTarget::neon,
                                         SimdTarget::avx2, SimdTarget::avx512};

/// The value that the library calls by this name.
template <typename T, std::size_t N>
std::optional<T> named(const std::array<T, N>& values, std::string_view text) {
  for (const T value : values) {
    if (text == name(value)) return value;
  }
  return std::nullopt;
}

/// For instance "cpu, reference, cuda".
template <typename T, std::size_t N>
std::string names_of(const std::array<T, N>& values) {
  std::string text;
  for (const T value : values)
    text += (text.empty() ? "" : ", ") + std::string(name(value));
  return text;
}

}  // namespace pleat::tools
