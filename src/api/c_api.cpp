// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/pleat.h>

#include <pleat/pleat.hpp>

#include "api/guarded.hpp"
#include "api/refuse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>

namespace pleat {
namespace {

// ---- The two sets of names are one set of values.
template <class Enum>
constexpr bool same(Enum cpp, int c) {
  return static_cast<std::int32_t>(cpp) == c;
}
static_assert(same(StatusCode::ok, PLEAT_OK) && same(StatusCode::internal, PLEAT_INTERNAL) &&
              same(StatusCode::invalid_argument, PLEAT_INVALID_ARGUMENT) &&
              same(StatusCode::unsupported, PLEAT_UNSUPPORTED) &&
              same(StatusCode::out_of_range, PLEAT_OUT_OF_RANGE) &&
              same(StatusCode::device_error, PLEAT_DEVICE_ERROR));
static_assert(same(DType::none, PLEAT_NONE) && same(DType::f32, PLEAT_F32) &&
              same(DType::bf16, PLEAT_BF16) && same(DType::i64, PLEAT_I64) &&
              same(DType::i32, PLEAT_I32) && same(DType::u8, PLEAT_U8));
static_assert(same(Backend::cpu, PLEAT_CPU) && same(Backend::reference, PLEAT_REFERENCE) &&
              same(Backend::cuda, PLEAT_CUDA));
static_assert(same(Recipe::deepseek, PLEAT_DEEPSEEK) && same(Recipe::vllm, PLEAT_VLLM) &&
              same(Recipe::vllm_triton, PLEAT_VLLM_TRITON) && same(Recipe::sglang, PLEAT_SGLANG));
static_assert(same(RowFormat::fp8_mla, PLEAT_FP8_MLA) && same(RowFormat::bf16, PLEAT_ROW_BF16) &&
              same(RowFormat::fp8_tensor, PLEAT_FP8_TENSOR) &&
              same(RowFormat::index_fp8, PLEAT_INDEX_FP8) &&
              same(RowFormat::index_mxfp4, PLEAT_INDEX_MXFP4));
static_assert(same(StateLayout::paged, PLEAT_PAGED) && same(StateLayout::ring, PLEAT_RING));
static_assert(same(StatePolicy::all, PLEAT_ALL) && same(StatePolicy::tail, PLEAT_TAIL));
static_assert(same(SimdTarget::best, PLEAT_SIMD_BEST) &&
              same(SimdTarget::scalar, PLEAT_SIMD_SCALAR) &&
              same(SimdTarget::neon, PLEAT_SIMD_NEON) && same(SimdTarget::avx2, PLEAT_SIMD_AVX2) &&
              same(SimdTarget::avx512, PLEAT_SIMD_AVX512));
static_assert(same(Variant::exact, PLEAT_EXACT) && same(Variant::fast, PLEAT_FAST));
static_assert(same(Op::plan, PLEAT_OP_PLAN) && same(Op::save_state, PLEAT_OP_SAVE_STATE) &&
              same(Op::compress, PLEAT_OP_COMPRESS) &&
              same(Op::norm_rope_store, PLEAT_OP_NORM_ROPE_STORE) &&
              same(Op::compress_store, PLEAT_OP_COMPRESS_STORE) && same(Op::step, PLEAT_OP_STEP));

// ---- Layout of what crosses. Once released these numbers only grow, at the end.
static_assert(sizeof(pleat_tensor) == 64 && offsetof(pleat_tensor, stride) == 40);
static_assert(sizeof(pleat_geometry) == 20);
static_assert(sizeof(std::size_t) != 8 || sizeof(pleat_exec) == 40);
static_assert(sizeof(std::size_t) != 8 ||
              (sizeof(pleat_call) == 904 && offsetof(pleat_call, positions) == 40 &&
               offsetof(pleat_call, rollback) == 880));

// ---- Last error. A fixed buffer: it must be able to say that memory is out.
constexpr std::size_t kErrorBytes = 1024;

std::array<char, kErrorBytes>& error_text() noexcept {
  thread_local std::array<char, kErrorBytes> text{};
  return text;
}

pleat_status report(const Status& s) noexcept {
  auto& text = error_text();
  const std::size_t n = std::min(s.message().size(), kErrorBytes - 1);
  std::memcpy(text.data(), s.message().data(), n);
  text[n] = '\0';
  return static_cast<pleat_status>(s.code());
}

// ---- C structs to C++.
/// No struct of ours comes near this, so a larger size is an uninitialised one.
constexpr std::size_t kMaxStructBytes = 4096;

/// Copies as much of `given` as both sides know over the defaults in `*out`. A size is a multiple
/// of 8 because the structs are, and cuts no member in two.
template <class Struct>
Status adopt(const char* name, const char* type, const Struct* given, Struct* out) {
  static_assert(std::is_trivially_copyable_v<Struct> && alignof(Struct) == 8);
  if (given == nullptr) return api::invalid(name, "a pointer to a struct", "null");
  const std::size_t size = given->struct_size;
  if (size < sizeof(std::size_t) || size > kMaxStructBytes || size % alignof(Struct) != 0) {
    return api::invalid(fmt::format("{}.struct_size", name),
                        fmt::format("sizeof({}), {} in this version", type, sizeof(Struct)), size);
  }
  const char* bytes = reinterpret_cast<const char*>(given);
  for (std::size_t i = sizeof(Struct); i < size; ++i) {
    if (bytes[i] == 0) continue;
    return api::invalid(fmt::format("{}.struct_size", name),
                        fmt::format("at most {}, or zeros beyond", sizeof(Struct)),
                        fmt::format("{} with byte {} not 0", size, i));
  }
  std::memcpy(out, given, std::min(size, sizeof(Struct)));
  return {};
}

/// `where`: "", or "main." and the like where there are two calls.
Status read_flag(const char* where, const char* name, std::int32_t value, bool* out) {
  if (value != 0 && value != 1) {
    return api::invalid(fmt::format("{}{}", where, name), "0 or 1", value);
  }
  *out = value == 1;
  return {};
}

TensorView view_of(const pleat_tensor& t) {
  TensorView v;
  v.data = t.data;
  v.dtype = static_cast<DType>(t.dtype);
  v.rank = t.rank;
  std::copy_n(t.shape, v.shape.size(), v.shape.begin());
  std::copy_n(t.stride, v.stride.size(), v.stride.begin());
  return v;
}

Status read_geometry(const char* where, const pleat_geometry& in, Geometry* out) {
  if (Status s = read_flag(where, "geometry.overlap", in.overlap, &out->overlap); !s.ok()) return s;
  if (Status s = read_flag(where, "geometry.ape", in.ape, &out->ape); !s.ok()) return s;
  out->ratio = in.ratio;
  out->head_dim = in.head_dim;
  out->rope_dim = in.rope_dim;
  return {};
}

Status read_call(const char* name, const char* where, const pleat_call* given, Call* out) {
  pleat_call in = pleat_call_init();
  if (Status s = adopt(name, "pleat_call", given, &in); !s.ok()) return s;
  if (in.reserved != 0) return api::invalid(fmt::format("{}.reserved", name), "0", in.reserved);
  if (Status s = read_geometry(where, in.geometry, &out->compressor.geometry); !s.ok()) return s;
  out->compressor.recipe = static_cast<Recipe>(in.recipe);
  out->compressor.row_format = static_cast<RowFormat>(in.row_format);
  out->compressor.eps = in.eps;
  out->batch = {view_of(in.positions), view_of(in.token_to_req), view_of(in.state_slots),
                view_of(in.kv_slots)};
  out->projection = view_of(in.projection);
  out->state = {view_of(in.state_pages), view_of(in.block_table),
                static_cast<StateLayout>(in.state_layout)};
  out->compressed = view_of(in.compressed);
  out->cache = view_of(in.cache);
  out->weights = {view_of(in.ape), view_of(in.norm), view_of(in.rope), view_of(in.fp8_scale)};
  out->write = {static_cast<StatePolicy>(in.state_policy), in.rollback};
  out->plan = {in.plan, in.plan_capacity};
  return {};
}

Status read_exec(const pleat_exec* given, Exec* out) {
  pleat_exec in = pleat_exec_init();
  if (given != nullptr) {
    if (Status s = adopt("exec", "pleat_exec", given, &in); !s.ok()) return s;
  }
  if (Status s = read_flag("", "exec.checked", in.checked, &out->checked); !s.ok()) return s;
  out->backend = static_cast<Backend>(in.backend);
  out->threads = in.threads;
  out->simd = static_cast<SimdTarget>(in.simd);
  out->variant = static_cast<Variant>(in.variant);
  out->chain = static_cast<Chain>(in.chain);
  out->stream = in.stream;
  return {};
}

pleat_status run_op(Op op, const pleat_call* given_call, const pleat_exec* given_exec) noexcept {
  return report(api::guarded([&] {
    Call call;
    Exec exec;
    if (Status s = read_call("call", "", given_call, &call); !s.ok()) return s;
    if (Status s = read_exec(given_exec, &exec); !s.ok()) return s;
    return run(op, call, exec);
  }));
}

/// The calls of pleat_csa_step(), and how they are run.
struct PairRead {
  Call main;
  Call indexer;
  Exec exec;
};

Status read_pair(const pleat_call* main, const pleat_call* indexer, const pleat_exec* exec,
                 PairRead* out) {
  if (Status s = read_call("main", "main.", main, &out->main); !s.ok()) return s;
  if (Status s = read_call("indexer", "indexer.", indexer, &out->indexer); !s.ok()) return s;
  return read_exec(exec, &out->exec);
}

/// What `describe(&text)` says, as a C string.
template <class Describe>
Status describe_into(const Describe& describe, char* buffer, std::size_t size) {
  if (buffer == nullptr) return api::invalid("buffer", "memory for text", "null");
  std::string text;
  if (Status s = describe(&text); !s.ok()) return s;
  if (text.size() >= size) {
    return api::invalid("size", fmt::format("at least {}", text.size() + 1), size);
  }
  std::memcpy(buffer, text.c_str(), text.size() + 1);
  return {};
}

}  // namespace
}  // namespace pleat

extern "C" {

int64_t pleat_plan_bytes(int64_t tokens) {
  return pleat::plan_bytes(tokens);
}

pleat_status pleat_plan(const pleat_call* call, const pleat_exec* exec) {
  return pleat::run_op(pleat::Op::plan, call, exec);
}
pleat_status pleat_save_state(const pleat_call* call, const pleat_exec* exec) {
  return pleat::run_op(pleat::Op::save_state, call, exec);
}
pleat_status pleat_compress(const pleat_call* call, const pleat_exec* exec) {
  return pleat::run_op(pleat::Op::compress, call, exec);
}
pleat_status pleat_norm_rope_store(const pleat_call* call, const pleat_exec* exec) {
  return pleat::run_op(pleat::Op::norm_rope_store, call, exec);
}
pleat_status pleat_compress_store(const pleat_call* call, const pleat_exec* exec) {
  return pleat::run_op(pleat::Op::compress_store, call, exec);
}
pleat_status pleat_step(const pleat_call* call, const pleat_exec* exec) {
  return pleat::run_op(pleat::Op::step, call, exec);
}
pleat_status pleat_csa_step(const pleat_call* main, const pleat_call* indexer,
                            const pleat_exec* exec) {
  return pleat::report(pleat::api::guarded([&] {
    pleat::PairRead pair;
    if (pleat::Status s = pleat::read_pair(main, indexer, exec, &pair); !s.ok()) return s;
    return pleat::csa_step(pair.main, pair.indexer, pair.exec);
  }));
}
pleat_status pleat_run(int32_t op, const pleat_call* call, const pleat_exec* exec) {
  return pleat::run_op(static_cast<pleat::Op>(op), call, exec);
}

int32_t pleat_available(int32_t backend) {
  return pleat::available(static_cast<pleat::Backend>(backend)) ? 1 : 0;
}

pleat_status pleat_describe(int32_t op, const pleat_call* given_call, const pleat_exec* given_exec,
                            char* buffer, size_t size) {
  return pleat::report(pleat::api::guarded([&] {
    pleat::Call call;
    pleat::Exec exec;
    if (pleat::Status s = pleat::read_call("call", "", given_call, &call); !s.ok()) return s;
    if (pleat::Status s = pleat::read_exec(given_exec, &exec); !s.ok()) return s;
    const auto text = [&](std::string* to) {
      return pleat::describe(static_cast<pleat::Op>(op), call, exec, to);
    };
    return pleat::describe_into(text, buffer, size);
  }));
}

pleat_status pleat_describe_csa_step(const pleat_call* main, const pleat_call* indexer,
                                     const pleat_exec* exec, char* buffer, size_t size) {
  return pleat::report(pleat::api::guarded([&] {
    pleat::PairRead pair;
    if (pleat::Status s = pleat::read_pair(main, indexer, exec, &pair); !s.ok()) return s;
    const auto text = [&](std::string* to) {
      return pleat::describe_csa_step(pair.main, pair.indexer, pair.exec, to);
    };
    return pleat::describe_into(text, buffer, size);
  }));
}

pleat_status pleat_build_rope_table(int32_t recipe, const pleat_tensor* table) {
  return pleat::report(pleat::api::guarded([&] {
    if (table == nullptr)
      return pleat::api::invalid("table", "a pointer to a pleat_tensor", "null");
    return pleat::build_rope_table(static_cast<pleat::Recipe>(recipe), pleat::view_of(*table));
  }));
}

const char* pleat_version(void) {
  return pleat::version();
}

const char* pleat_last_error(void) {
  return pleat::error_text().data();
}

const char* pleat_status_name(int32_t status) {
  return pleat::name(static_cast<pleat::StatusCode>(status));
}

}  // extern "C"
