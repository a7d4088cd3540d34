// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/rows.hpp"

namespace pleat::cpu {

RowWriter::RowWriter(const Call& call, const Kernels& kernels, Buffer& widened)
    : call_(call),
      kernels_(kernels),
      slots_(static_cast<const std::int64_t*>(call.batch.kv_slots.data)),
      layout_(row_layout(call.compressor.row_format, call.compressor.geometry)),
      finish_{call.compressor, static_cast<const float*>(call.weights.norm.data), 1.0F} {
  const std::int64_t d = call.compressor.geometry.head_dim;
  if (call.weights.norm.dtype == DType::bf16) {
    auto* norm = static_cast<float*>(widened.reserve(static_cast<std::size_t>(4 * d)));
    kernels.keep(call.weights.norm.data, DType::bf16, nullptr, norm, DType::f32, d);
    finish_.norm = norm;
  }
  if (call.weights.fp8_scale.given()) {
    finish_.fp8_scale = *static_cast<const float*>(call.weights.fp8_scale.data);
  }
}

const float* RowWriter::rope_row(const PlanEntry& entry) const {
  const std::int64_t position =
      static_cast<std::int64_t>(entry.row) * call_.compressor.geometry.ratio;
  return static_cast<const float*>(call_.weights.rope.data) +
         position * call_.weights.rope.stride[0];
}

void RowWriter::prefetch(const PlanEntry& entry) const {
  const float* rope = rope_row(entry);
  for (int i = 0; i < call_.compressor.geometry.rope_dim; i += 16)
    __builtin_prefetch(rope + i);
}

void RowWriter::write(const PlanEntry& entry, float* row, Ahead& ahead) const {
  const std::int64_t slot = slots_[entry.token];
  const std::int64_t rows = call_.cache.shape[1];
  auto* page = static_cast<std::uint8_t*>(call_.cache.data) + slot / rows * call_.cache.stride[0];
  kernels_.store(finish_, rope_row(entry), row, ahead, page + layout_.value_offset(slot % rows),
                 page + layout_.scale_offset(rows, slot % rows));
}

}  // namespace pleat::cpu
