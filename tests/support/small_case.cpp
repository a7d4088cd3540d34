// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/small_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "numerics/rounding.hpp"
#include "support/random.hpp"
#include "tools/names.hpp"

namespace pleat::test {
namespace {

using tools::Element;
using tools::make_tensor;
using tools::Tensor;
using tools::TensorFile;

/// Roughly normal, sigma 1, from integers alone.
float number(Random& random) {
  const std::uint64_t b = random.bits();
  const auto sum =
      static_cast<std::int64_t>((b & 0xFFFF) + (b >> 16 & 0xFFFF) + (b >> 32 & 0xFFFF) + (b >> 48));
  return static_cast<float>(sum - 131070) * 0x1p-15F;
}

void put(Tensor& t, std::int64_t i, float x) {
  if (t.element == Element::bf16) {
    t.as<std::uint16_t>()[i] = numerics::bf16_bits(x);
  } else {
    t.as<float>()[i] = x;
  }
}

Tensor random_tensor(const char* name, Element element, std::vector<std::int64_t> shape,
                     Random& random, float scale = 1, float shift = 0) {
  Tensor t = make_tensor(name, element, std::move(shape));
  const auto n = static_cast<std::int64_t>(t.bytes.size()) / tools::size_of(element);
  for (std::int64_t i = 0; i < n; ++i)
    put(t, i, number(random) * scale + shift);
  return t;
}

/// A table of rotations from a few Pythagorean triples: exact enough, and no libm.
Tensor rope_table(std::int64_t positions, std::int32_t dim, bool pairs) {
  constexpr float kCos[] = {1.0F, 0.8F, 0.6F, -0.28F, 0.0F, 0.96F, -0.8F};
  constexpr float kSin[] = {0.0F, 0.6F, -0.8F, 0.96F, 1.0F, -0.28F, -0.6F};
  Tensor t = make_tensor("rope_table", Element::f32, {positions, dim});
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t i = 0; i < dim / 2; ++i) {
      float* row = t.as<float>() + p * dim;
      row[pairs ? 2 * i : i] = kCos[(p + i) % 7];
      row[pairs ? 2 * i + 1 : dim / 2 + i] = kSin[(p + i) % 7];
    }
  }
  return t;
}

template <typename T>
Tensor vector_tensor(const char* name, Element element, const std::vector<T>& values,
                     std::vector<std::int64_t> shape) {
  Tensor t = make_tensor(name, element, std::move(shape));
  if (!values.empty()) std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
  return t;
}

Geometry geometry_named(const std::string& name) {
  for (const auto& g : tools::kGeometries) {
    if (name == g.name) return g.geometry;
  }
  throw std::invalid_argument(fmt::format("geometry {}", name));
}

/// Index arrays of the step.
struct Batch {
  std::vector<std::int64_t> positions, state_slots, kv_slots;
  std::vector<std::int32_t> requests, table;
  std::int64_t blocks = 0;  ///< of a request
  std::int64_t pages = 0;   ///< of the state
  std::int64_t longest = 0;
};

Batch make_batch(const std::vector<RequestSpan>& requests, std::int64_t ratio,
                 std::int64_t page_rows, std::int64_t padding, Random& random) {
  Batch b;
  for (const RequestSpan& r : requests)
    b.longest = std::max(b.longest, r.start + r.tokens);
  b.blocks = (b.longest + page_rows - 1) / page_rows;
  b.pages = b.blocks * static_cast<std::int64_t>(requests.size()) + 1;
  std::vector<std::int32_t> pages(static_cast<std::size_t>(b.pages));
  for (std::size_t i = 0; i < pages.size(); ++i)
    pages[i] = static_cast<std::int32_t>(i);
  random.shuffle(pages);
  b.table.assign(pages.begin(), pages.end() - 1);
  std::int64_t rows = 0;
  for (std::size_t r = 0; r < requests.size(); ++r) {
    for (std::int64_t p = requests[r].start; p < requests[r].start + requests[r].tokens; ++p) {
      const auto block = static_cast<std::int64_t>(r) * b.blocks + p / page_rows;
      b.positions.push_back(p);
      b.requests.push_back(static_cast<std::int32_t>(r));
      b.state_slots.push_back(b.table[static_cast<std::size_t>(block)] * page_rows + p % page_rows);
      b.kv_slots.push_back((p + 1) % ratio == 0 ? rows++ : -1);
    }
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < order.size(); ++i)
    order[i] = static_cast<std::int64_t>(i);
  random.shuffle(order);
  for (std::int64_t& slot : b.kv_slots) {
    if (slot >= 0) slot = order[static_cast<std::size_t>(slot)] + 1;  // row 0 stays untouched
  }
  for (std::int64_t i = 0; i < padding; ++i) {
    b.positions.push_back(ratio - 1);
    b.requests.push_back(0);
    b.state_slots.push_back(-1);
    b.kv_slots.push_back(-1);
  }
  return b;
}

Tensor projection(const SmallCase& d, const Geometry& g, std::int64_t tokens, Random& random) {
  Tensor t = random_tensor("proj", d.bf16_projection ? Element::bf16 : Element::f32,
                           {tokens, g.row_width()}, random);
  for (std::int64_t i = (tokens - d.padding) * g.row_width(); i < tokens * g.row_width(); ++i) {
    put(t, i, std::numeric_limits<float>::quiet_NaN());
  }
  return t;
}

}  // namespace

std::string name_of(const SmallCase& d) {
  const bool stores = d.op != Op::save_state && d.op != Op::compress;
  return fmt::format("{}.{}{}{}{}{}", pleat::name(d.op), pleat::name(d.recipe), stores ? "." : "",
                     stores ? pleat::name(d.row_format) : "", d.bf16_state ? ".bf16" : "",
                     d.tail ? ".tail" : "");
}

TensorFile make_small_case(const SmallCase& d) {
  const Geometry g = geometry_named(d.geometry);
  const std::int64_t page_rows = g.overlap ? 4 : 8;
  const std::int64_t cache_rows = g.overlap ? 4 : 2;
  std::vector<RequestSpan> requests = d.requests;
  if (requests.empty()) {
    requests = {{0, g.ratio + 1}, {2 * g.ratio - 1, 1}};
    if (g.overlap) requests.push_back({g.ratio + 1, 2 * g.ratio});
  }
  Random random(hash_of(d.seed, static_cast<std::uint64_t>(g.ratio),
                        static_cast<std::uint64_t>(g.head_dim), 7));
  const Batch b = make_batch(requests, g.ratio, page_rows, d.padding, random);
  const auto tokens = static_cast<std::int64_t>(b.positions.size());

  TensorFile f;
  f.metadata = {{"format", "pleat-case/1"},
                {"op", pleat::name(d.op)},
                {"geometry", d.geometry},
                {"recipe", pleat::name(d.recipe)},
                {"row_format", pleat::name(d.row_format)},
                {"eps", "1e-06"},
                {"state_block_rows", std::to_string(page_rows)},
                {"kv_block_rows", std::to_string(cache_rows)}};
  if (d.tail) {
    f.metadata["state_write"] = "tail";
    f.metadata["rollback"] = "2";
  }
  f.tensors.push_back(vector_tensor("positions", Element::i64, b.positions, {tokens}));
  f.tensors.push_back(vector_tensor("token_to_req", Element::i32, b.requests, {tokens}));
  f.tensors.push_back(vector_tensor("state_slots", Element::i64, b.state_slots, {tokens}));

  const bool projects = d.op == Op::save_state || d.op == Op::step;
  const bool stores = d.op != Op::save_state && d.op != Op::compress;
  const bool pools = d.op != Op::save_state && d.op != Op::norm_rope_store;
  if (projects) f.tensors.push_back(projection(d, g, tokens, random));
  if (traits_of(d.recipe).ape_when_pooled ? pools : projects) {
    f.tensors.push_back(random_tensor("ape", Element::f32, {g.ratio, g.state_width()}, random));
  }
  if (d.op != Op::norm_rope_store) {
    f.tensors.push_back(random_tensor("state", d.bf16_state ? Element::bf16 : Element::f32,
                                      {b.pages, page_rows * g.row_width() + 16}, random));
  } else {
    f.tensors.push_back(random_tensor("compressed", Element::f32, {tokens, g.head_dim}, random));
  }
  if (pools) {
    f.tensors.push_back(vector_tensor("block_table", Element::i32, b.table,
                                      {static_cast<std::int64_t>(requests.size()), b.blocks}));
  }
  if (stores) {
    const RowLayout layout = row_layout(d.row_format, g);
    const std::int64_t rows = *std::max_element(b.kv_slots.begin(), b.kv_slots.end()) + 1;
    const std::int64_t stride = (layout.page_bytes(cache_rows) + 31) / 16 * 16;
    f.tensors.push_back(vector_tensor("kv_slots", Element::i64, b.kv_slots, {tokens}));
    f.tensors.push_back(
        make_tensor("kv_cache", Element::u8, {(rows + cache_rows - 1) / cache_rows, stride}));
    std::memset(f.tensors.back().bytes.data(), 0xA5, f.tensors.back().bytes.size());
    f.tensors.push_back(
        random_tensor("norm_weight", Element::bf16, {g.head_dim}, random, 0.25F, 1));
    f.tensors.push_back(rope_table(b.longest, g.rope_dim, traits_of(d.recipe).rope_table_in_pairs));
    if (d.row_format == RowFormat::fp8_tensor) {
      f.tensors.push_back(make_tensor("fp8_scale", Element::f32, {1}));
      f.tensors.back().as<float>()[0] = 0.0371F;
    }
  }
  return f;
}

}  // namespace pleat::test
