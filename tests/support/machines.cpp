// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/machines.hpp"

#include "support/cuda_memory.hpp"

namespace pleat::test {

Call empty_call() {
  alignas(64) static char nothing[64];
  Call call;
  const Geometry& g = call.compressor.geometry;
  const auto none = [](DType t) { return TensorView::packed(nothing, t, 0); };
  call.batch = {none(DType::i64), none(DType::i32), none(DType::i64), none(DType::i64)};
  call.projection = TensorView::packed(nothing, DType::f32, 0, g.row_width());
  call.state.pages = TensorView::paged(nothing, DType::f32, 0, 1, g.row_width(), g.row_width());
  call.state.block_table = TensorView::packed(nothing, DType::i32, 0, 0);
  call.weights.ape = TensorView::packed(nothing, DType::f32, g.ratio, g.state_width());
  return call;
}

std::vector<Machine> machines() {
  use_cuda_memory();
  std::vector<Machine> out;
  const auto add = [&](const std::string& name, const Exec& exec) {
    if (!available(exec.backend)) return;
    std::string text;
    if (describe(Op::save_state, empty_call(), exec, &text).ok()) out.push_back({name, exec});
  };
  add("reference", {Backend::reference});
  for (const SimdTarget t :
       {SimdTarget::scalar, SimdTarget::neon, SimdTarget::avx2, SimdTarget::avx512}) {
    add(std::string("cpu/") + name(t), {Backend::cpu, 1, t});
  }
  for (const int threads : {2, 3, 0})
    add("cpu/threads" + std::to_string(threads), {Backend::cpu, threads});
  add("cuda", {Backend::cuda});
  return out;
}

}  // namespace pleat::test
