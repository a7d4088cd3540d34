// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/names.hpp"

#include <fmt/format.h>

namespace pleat {

// A value from outside the enum (the C ABI passes plain integers) falls out of the switch.

const char* name(Backend b) {
  switch (b) {
    case Backend::cpu:
      return "cpu";
    case Backend::reference:
      return "reference";
    case Backend::cuda:
      return "cuda";
  }
  return "unknown";
}

const char* name(Op op) {
  switch (op) {
    case Op::plan:
      return "plan";
    case Op::save_state:
      return "save_state";
    case Op::compress:
      return "compress";
    case Op::norm_rope_store:
      return "norm_rope_store";
    case Op::compress_store:
      return "compress_store";
    case Op::step:
      return "step";
  }
  return "unknown";
}

const char* name(Recipe r) {
  switch (r) {
    case Recipe::deepseek:
      return "deepseek";
    case Recipe::vllm:
      return "vllm";
    case Recipe::vllm_triton:
      return "vllm_triton";
    case Recipe::sglang:
      return "sglang";
  }
  return "unknown";
}

const char* name(RowFormat f) {
  switch (f) {
    case RowFormat::fp8_mla:
      return "fp8_mla";
    case RowFormat::bf16:
      return "bf16";
    case RowFormat::fp8_tensor:
      return "fp8_tensor";
    case RowFormat::index_fp8:
      return "index_fp8";
    case RowFormat::index_mxfp4:
      return "index_mxfp4";
  }
  return "unknown";
}

const char* name(SimdTarget t) {
  switch (t) {
    case SimdTarget::best:
      return "best";
    case SimdTarget::scalar:
      return "scalar";
    case SimdTarget::neon:
      return "neon";
    case SimdTarget::avx2:
      return "avx2";
    case SimdTarget::avx512:
      return "avx512";
  }
  return "unknown";
}

const char* name(StateLayout l) {
  switch (l) {
    case StateLayout::paged:
      return "paged";
    case StateLayout::ring:
      return "ring";
  }
  return "unknown";
}

const char* name(StatePolicy p) {
  switch (p) {
    case StatePolicy::all:
      return "all";
    case StatePolicy::tail:
      return "tail";
  }
  return "unknown";
}

const char* name(Variant v) {
  switch (v) {
    case Variant::exact:
      return "exact";
    case Variant::fast:
      return "fast";
  }
  return "unknown";
}

const char* name(Chain c) {
  switch (c) {
    case Chain::none:
      return "none";
    case Chain::late:
      return "late";
    case Chain::early:
      return "early";
  }
  return "unknown";
}

const char* name(StatusCode c) {
  switch (c) {
    case StatusCode::ok:
      return "ok";
    case StatusCode::invalid_argument:
      return "invalid_argument";
    case StatusCode::unsupported:
      return "unsupported";
    case StatusCode::out_of_range:
      return "out_of_range";
    case StatusCode::device_error:
      return "device_error";
    case StatusCode::internal:
      return "internal";
  }
  return "unknown";
}

const char* version() {
  return PLEAT_VERSION;
}

namespace api {

const char* dtype_name(DType t) {
  switch (t) {
    case DType::none:
      return "none";
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::i64:
      return "i64";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  return "unknown";
}

std::string geometry_name(const Geometry& g) {
  if (g == Hca::value) return "hca";
  if (g == Csa::value) return "csa";
  if (g == Indexer::value) return "indexer";
  return describe_geometry(g);
}

std::string describe_geometry(const Geometry& g) {
  return fmt::format("ratio {}, overlap {}, head dim {}, rope dim {}, ape {}", g.ratio,
                     g.overlap ? "yes" : "no", g.head_dim, g.rope_dim, g.ape ? "yes" : "no");
}

}  // namespace api
}  // namespace pleat
