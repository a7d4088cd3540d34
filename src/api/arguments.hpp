// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <array>
#include <cstdint>

/// The views of a call as a table: their names, what shape each must have, and which op uses which.
namespace pleat::api {

enum class Arg : std::int32_t {
  positions,
  token_to_req,
  state_slots,
  kv_slots,
  projection,
  state_pages,
  block_table,
  compressed,
  cache,
  ape,
  norm,
  rope,
  fp8_scale,
};
inline constexpr int kArgs = 13;
inline constexpr int kOps = 6;

constexpr const TensorView& view_of(const Call& call, Arg arg) {
  switch (arg) {
    case Arg::positions:
      return call.batch.positions;
    case Arg::token_to_req:
      return call.batch.token_to_req;
    case Arg::state_slots:
      return call.batch.state_slots;
    case Arg::kv_slots:
      return call.batch.kv_slots;
    case Arg::projection:
      return call.projection;
    case Arg::state_pages:
      return call.state.pages;
    case Arg::block_table:
      return call.state.block_table;
    case Arg::compressed:
      return call.compressed;
    case Arg::cache:
      return call.cache;
    case Arg::ape:
      return call.weights.ape;
    case Arg::norm:
      return call.weights.norm;
    case Arg::rope:
      return call.weights.rope;
    case Arg::fp8_scale:
      return call.weights.fp8_scale;
  }
  return call.batch.positions;
}

/// What a dimension of a view must be.
enum class Dim : std::int32_t {
  none,
  any,          ///< the caller's choice, >= 0
  some,         ///< the caller's choice, >= 1
  tokens,       ///< T
  row_width,    ///< 2S
  state_width,  ///< S
  head_dim,     ///< D
  ratio,        ///< R
  rope_dim,
  row_bytes,  ///< of the row format
  one,
};

struct ViewRule {
  const char* name;  ///< as in pleat.hpp: "state.pages"
  DType dtype;
  DType other;  ///< a second dtype that is taken too, or none
  std::int32_t rank;
  std::array<Dim, 3> dims;
  const char* shape;  ///< as in pleat.hpp: "[T, 2S]"
  /// Bytes that the data pointer, and every stride but the last, are multiples of. 16 where kernels
  /// load vectors; the element size where they do not. The cache's strides: see cache_alignment().
  std::int32_t base_alignment;
  std::int32_t stride_alignment;
};

inline constexpr std::array<ViewRule, kArgs> kViewRules{{
    {"batch.positions", DType::i64, DType::none, 1, {Dim::tokens}, "[T]", 8, 8},
    {"batch.token_to_req", DType::i32, DType::none, 1, {Dim::tokens}, "[T]", 4, 4},
    {"batch.state_slots", DType::i64, DType::none, 1, {Dim::tokens}, "[T]", 8, 8},
    {"batch.kv_slots", DType::i64, DType::none, 1, {Dim::tokens}, "[T]", 8, 8},
    {"projection", DType::f32, DType::bf16, 2, {Dim::tokens, Dim::row_width}, "[T, 2S]", 16, 16},
    {"state.pages",
     DType::f32,
     DType::bf16,
     3,
     {Dim::any, Dim::some, Dim::row_width},
     "[pages, page_rows, 2S]",
     16,
     16},
    {"state.block_table",
     DType::i32,
     DType::none,
     2,
     {Dim::any, Dim::any},
     "[requests, blocks]",
     4,
     4},
    {"compressed", DType::f32, DType::none, 2, {Dim::tokens, Dim::head_dim}, "[T, D]", 16, 16},
    {"cache",
     DType::u8,
     DType::none,
     3,
     {Dim::any, Dim::some, Dim::row_bytes},
     "[pages, page_rows, row_bytes]",
     16,
     1},
    {"weights.ape", DType::f32, DType::none, 2, {Dim::ratio, Dim::state_width}, "[R, S]", 16, 16},
    {"weights.norm", DType::f32, DType::bf16, 1, {Dim::head_dim}, "[D]", 16, 16},
    {"weights.rope",
     DType::f32,
     DType::none,
     2,
     {Dim::any, Dim::rope_dim},
     "[positions, rope_dim]",
     16,
     16},
    {"weights.fp8_scale", DType::f32, DType::none, 1, {Dim::one}, "[1]", 4, 4},
}};

constexpr const ViewRule& rule_of(Arg arg) {
  return kViewRules[static_cast<std::size_t>(arg)];
}

/// What the cache's page stride is a multiple of: fp32 scales and packed codes of the index formats
/// are stored word by word, the attention rows in vectors of 16 bytes.
constexpr std::int32_t cache_alignment(RowFormat f) {
  return f == RowFormat::index_fp8 || f == RowFormat::index_mxfp4 ? 4 : 16;
}

/// How an op uses a view. The last five are conditions that use_of() resolves.
enum class Use : std::int32_t {
  no,     ///< not looked at
  shape,  ///< only its shape
  read,
  write,
  update,  ///< read and written
  ring,    ///< its shape, when the state is a ring
  saved,   ///< read when the recipe adds the APE while saving
  pooled,  ///< read when the recipe adds the APE while pooling
  added,   ///< read when there is APE at all
  scaled,  ///< read by row format fp8_tensor
};

/// One row per op, one column per Arg, in the order of the enums. pleat.hpp has it in words.
inline constexpr auto kUses = [] {
  using enum Use;
  return std::array<std::array<Use, kArgs>, kOps>{{
      // pos   req   slot  kv    proj  pages   table comp   cache  ape     norm  rope  scale
      {{read, read, read, no, no, ring, no, no, no, no, no, no, no}},             // plan
      {{read, read, read, no, read, write, no, no, no, saved, no, no, no}},       // save_state
      {{read, read, read, no, no, read, read, write, no, pooled, no, no, no}},    // compress
      {{read, no, read, read, no, no, no, read, write, no, read, read, scaled}},  // norm_rope_store
      {{read, read, read, read, no, read, read, no, write, pooled, read, read, scaled}},
      {{read, read, read, read, read, update, read, no, write, added, read, read, scaled}},  // step
  }};
}();

/// no, shape, read, write or update.
constexpr Use use_of(Op op, Arg arg, const Call& call) {
  const Use use = kUses[static_cast<std::size_t>(op)][static_cast<std::size_t>(arg)];
  const bool ape = call.compressor.geometry.ape;
  const bool when_pooled = traits_of(call.compressor.recipe).ape_when_pooled;
  switch (use) {
    case Use::ring:
      return call.state.layout == StateLayout::ring ? Use::shape : Use::no;
    case Use::saved:
      return ape && !when_pooled ? Use::read : Use::no;
    case Use::pooled:
      return ape && when_pooled ? Use::read : Use::no;
    case Use::added:
      return ape ? Use::read : Use::no;
    case Use::scaled:
      return call.compressor.row_format == RowFormat::fp8_tensor ? Use::read : Use::no;
    default:
      return use;
  }
}

constexpr bool is_output(Use use) {
  return use == Use::write || use == Use::update;
}

/// Whether an op ends in rows of the cache, and so needs a row format, norm and RoPE.
constexpr bool stores_rows(Op op) {
  return kUses[static_cast<std::size_t>(op)][static_cast<std::size_t>(Arg::cache)] == Use::write;
}

/// Whether an op asks which state rows the step writes.
constexpr bool selects_state(Op op) {
  return op == Op::plan || op == Op::save_state || op == Op::step;
}

}  // namespace pleat::api
