// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/layer_buffers.hpp"

#include <vector>

namespace pleat::test {

std::size_t misalignment(std::int64_t unit, Random& random) {
  return static_cast<std::size_t>(unit * random.below(64 / unit));
}

std::int64_t state_stride(const Layer& layer, const EngineShape& shape) {
  return shape.state_rows * layer.geometry().row_width() + shape.state_gap;
}

std::int64_t cache_stride(const Layer& layer, const EngineShape& shape) {
  const RowLayout layout = row_layout(layer.shape().compressor.row_format, layer.geometry());
  // The attention formats want whole 16-byte vectors.
  return (layout.page_bytes(shape.cache_rows) + 15) / 16 * 16 + shape.cache_gap;
}

LayerBuffers::LayerBuffers(Memory& memory, const Layer& layer, const EngineShape& shape,
                           std::int64_t pages_of_state, std::int64_t pages_of_cache, Random& random)
    : state_pages(pages_of_state),
      cache_pages(pages_of_cache),
      ape(memory, layer.ape(), misalignment(16, random)),
      norm(memory, layer.norm(), misalignment(16, random)),
      rope(memory, layer.rope(), misalignment(16, random)),
      scale(memory, std::vector<float>{layer.fp8_scale()}, misalignment(4, random)),
      state(memory,
            static_cast<std::size_t>(pages_of_state * state_stride(layer, shape) *
                                     size_of(layer.shape().state)),
            0xFF, misalignment(16, random)),
      cache(memory, static_cast<std::size_t>(pages_of_cache * cache_stride(layer, shape)), 0xFF,
            misalignment(16, random)) {}

Call LayerBuffers::call(const Layer& layer, const EngineShape& shape) const {
  const LayerShape& s = layer.shape();
  const Geometry& g = layer.geometry();
  Call call;
  call.compressor = s.compressor;
  call.write = shape.write;
  call.state.layout = shape.layout;
  call.state.pages = TensorView::paged(state.data(), s.state, state_pages, shape.state_rows,
                                       g.row_width(), state_stride(layer, shape));
  const std::int64_t row_bytes = row_layout(s.compressor.row_format, g).row_bytes();
  call.cache = TensorView::paged(cache.data(), DType::u8, cache_pages, shape.cache_rows, row_bytes,
                                 cache_stride(layer, shape));
  if (g.ape) {
    call.weights.ape = TensorView::packed(ape.data(), DType::f32, g.ratio, g.state_width());
  }
  call.weights.norm = TensorView::packed(norm.data(), s.norm, g.head_dim);
  call.weights.rope = layer.rope_view(rope.data());
  call.weights.fp8_scale = TensorView::packed(scale.data(), DType::f32, 1);
  return call;
}

std::string LayerBuffers::damage() const {
  for (const Buffer* input : {&ape, &norm, &rope, &scale}) {
    if (!input->unchanged()) return "weights were written to";
  }
  if (!state.guards_intact()) return "bytes beside the state were written";
  if (!cache.guards_intact()) return "bytes beside the cache were written";
  return {};
}

}  // namespace pleat::test
