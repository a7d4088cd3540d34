// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/pleat.hpp>

#include "api/enum_check.hpp"
#include "api/extent.hpp"
#include "api/guarded.hpp"
#include "api/names.hpp"
#include "api/refuse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace pleat {
namespace {

constexpr double kTheta = 160000.0;
constexpr double kYarnFactor = 16.0;
constexpr double kTrainedPositions = 65536.0;
constexpr double kBetaFast = 32.0;  ///< turns over the trained positions; pairs above keep theirs
constexpr double kBetaSlow = 1.0;   ///< pairs below are slowed by the whole factor

/// Pair, as a real number, that turns `turns` times over the trained positions.
double pair_of(double turns, std::int32_t rope_dim) {
  const double wavelength = kTrainedPositions / (turns * 2 * std::numbers::pi);
  return rope_dim * std::log(wavelength) / (2 * std::log(kTheta));
}

/// Radians per token of each pair, rounded to fp32 as the model keeps them.
std::vector<float> frequencies(std::int32_t rope_dim) {
  const double low = std::max(std::floor(pair_of(kBetaFast, rope_dim)), 0.0);  // 64 wide: 15
  const double high = std::min(std::ceil(pair_of(kBetaSlow, rope_dim)), rope_dim - 1.0);  // 25
  std::vector<float> out;
  for (std::int32_t i = 0; i < rope_dim / 2; ++i) {
    const double plain = std::pow(kTheta, -2.0 * i / rope_dim);
    const double width = high > low ? high - low : 0.001;
    const double slowed = std::clamp((i - low) / width, 0.0, 1.0);
    out.push_back(static_cast<float>(plain / kYarnFactor * slowed + plain * (1 - slowed)));
  }
  return out;
}

Status check_table(Recipe recipe, const TensorView& table) {
  if (Status s = api::check_enum("recipe", recipe, Recipe::sglang); !s.ok()) return s;
  if (table.dtype != DType::f32) {
    return api::invalid("table", "dtype f32", api::dtype_name(table.dtype));
  }
  if (table.rank != 2) return api::invalid("table", "rank 2 [positions, rope_dim]", table.rank);
  const std::int64_t width = table.shape[1];
  if (width < 2 || width > kTileChannels || width % 2 != 0) {
    return api::invalid("table", "last dimension even and from 2 to 64", width);
  }
  if (table.shape[0] < 0)
    return api::invalid("table", "first dimension at least 0", table.shape[0]);
  if (table.stride[1] != 1) return api::invalid("table", "last stride 1", table.stride[1]);
  if (table.stride[0] < width) {
    return api::invalid("table", fmt::format("row stride at least {}", width), table.stride[0]);
  }
  if (!api::byte_extent(table)) {
    return api::invalid("table", "a size in bytes that fits in 64 bits", table.shape[0]);
  }
  if (table.data == nullptr && table.shape[0] > 0) {
    return api::invalid("table", "a pointer to f32 [positions, rope_dim]", "null");
  }
  if (reinterpret_cast<std::uintptr_t>(table.data) % sizeof(float) != 0) {
    return api::invalid("table", "data aligned to 4 bytes",
                        fmt::format("{}", fmt::ptr(table.data)));
  }
  return {};
}

void fill_row(float* row, float position, const std::vector<float>& per_token, bool in_pairs) {
  const std::size_t pairs = per_token.size();
  for (std::size_t i = 0; i < pairs; ++i) {
    const float angle = position * per_token[i];  // rounded to fp32, as the model's own code does
    row[in_pairs ? 2 * i : i] = static_cast<float>(std::cos(static_cast<double>(angle)));
    row[in_pairs ? 2 * i + 1 : pairs + i] =
        static_cast<float>(std::sin(static_cast<double>(angle)));
  }
}

}  // namespace

Status build_rope_table(Recipe recipe, const TensorView& table) {
  return api::guarded([&] {
    if (Status s = check_table(recipe, table); !s.ok()) return s;
    const auto per_token = frequencies(static_cast<std::int32_t>(table.shape[1]));
    const bool in_pairs = traits_of(recipe).rope_table_in_pairs;
    auto* row = static_cast<float*>(table.data);
    for (std::int64_t p = 0; p < table.shape[0]; ++p, row += table.stride[0]) {
      fill_row(row, static_cast<float>(p), per_token, in_pairs);
    }
    return Status{};
  });
}

}  // namespace pleat
