// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/state.hpp"

namespace pleat::cpu {

StateWriter::StateWriter(const Call& call, const Kernels& kernels, const PlanPointers& plan)
    : call_(call),
      kernels_(kernels),
      saves_(plan.saves),
      listed_(plan.header->saves != kEveryLiveToken),
      ape_(call.compressor.geometry.ape && !traits_of(call.compressor.recipe).ape_when_pooled),
      count_(listed_ ? plan.header->saves : plan.header->tokens) {}

void StateWriter::write(std::int64_t i) const {
  const std::int64_t t = token(i);
  const std::int64_t slot = static_cast<const std::int64_t*>(call_.batch.state_slots.data)[t];
  if (slot < 0) return;
  const Geometry& g = call_.compressor.geometry;
  const TensorView& pages = call_.state.pages;
  const TensorView& projection = call_.projection;
  const std::int64_t rows = pages.shape[1];
  const auto* from = static_cast<const std::byte*>(projection.data) +
                     t * projection.stride[0] * size_of(projection.dtype);
  auto* to = static_cast<std::byte*>(pages.data) +
             (slot / rows * pages.stride[0] + slot % rows * pages.stride[1]) * size_of(pages.dtype);
  if (!ape_) return kernels_.keep(from, projection.dtype, nullptr, to, pages.dtype, g.row_width());
  const std::int64_t s = g.state_width();
  const std::int64_t position = static_cast<const std::int64_t*>(call_.batch.positions.data)[t];
  const TensorView& ape = call_.weights.ape;
  kernels_.keep(from, projection.dtype, nullptr, to, pages.dtype, s);
  kernels_.keep(from + s * size_of(projection.dtype), projection.dtype,
                static_cast<const float*>(ape.data) + (position & (g.ratio - 1)) * ape.stride[0],
                to + s * size_of(pages.dtype), pages.dtype, s);
}

}  // namespace pleat::cpu
