// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>
#include <ostream>
#include <vector>

#include "support/draw_step.hpp"
#include "support/schedule.hpp"

// What chain_test.cpp plays.
namespace pleat::test {

/// What the steps of a case bring. Each closes windows that begin in earlier steps.
struct Load {
  std::int64_t tokens;  ///< with padding
  std::int64_t positions;
  std::int64_t longest = 0;  ///< one request's tokens
  std::int64_t closing = 2;  ///< requests of one token, which closes a window
  std::int64_t others = 4;   ///< at most: requests of any lengths

  [[nodiscard]] std::int64_t requests() const { return closing + others + (longest > 0 ? 1 : 0); }
  [[nodiscard]] std::vector<RequestSpan> draw(const Geometry& g, Random& random) const {
    std::vector<RequestSpan> out = single_tokens(g, closing, true, positions, random);
    if (longest > 0) out.push_back({random.below(positions - longest + 1), longest});
    for (const RequestSpan& r :
         draw_requests(others, tokens - closing - longest, positions, random))
      out.push_back(r);
    return out;
  }
};

/// What is called: a path's ops, or csa_step of a layer and its indexer.
enum class Ops { step, fused, split, save, csa_step };

struct Case {
  const char* name;
  Geometry geometry;
  RowFormat format;
  Ops ops;
  bool plan;
  StateLayout layout;
  Load load;
  StateWrite write = {};

  [[nodiscard]] bool pair() const { return ops == Ops::csa_step; }
};

inline constexpr auto kPaged = StateLayout::paged;
inline constexpr auto kRing = StateLayout::ring;
inline constexpr StateWrite kTail{StatePolicy::tail, 2};
inline constexpr Load kHcaLoad{24, 300};
inline constexpr Load kCsaLoad{24, 80};
inline constexpr Load kIndexerLoad{40, 80};
inline constexpr Geometry kAnyGeometry{16, true, 256, 32, true};
inline constexpr Load kAnyLoad{40, 120};
inline constexpr Case kCases[] = {
    {"hca", Hca::value, RowFormat::fp8_mla, Ops::step, false, kPaged, kHcaLoad},
    {"hca_plan", Hca::value, RowFormat::fp8_mla, Ops::step, true, kPaged, kHcaLoad},
    {"hca_ring_plan", Hca::value, RowFormat::fp8_mla, Ops::step, true, kRing, kHcaLoad},
    {"hca_split", Hca::value, RowFormat::bf16, Ops::split, false, kPaged, kHcaLoad},
    {"hca_split_plan", Hca::value, RowFormat::bf16, Ops::split, true, kPaged, kHcaLoad},
    {"csa", Csa::value, RowFormat::fp8_mla, Ops::step, false, kPaged, kCsaLoad},
    {"csa_plan", Csa::value, RowFormat::fp8_mla, Ops::step, true, kPaged, kCsaLoad},
    {"csa_ring", Csa::value, RowFormat::fp8_tensor, Ops::step, false, kRing, kCsaLoad},
    {"csa_fused_plan", Csa::value, RowFormat::bf16, Ops::fused, true, kPaged, kCsaLoad},
    {"csa_split_plan", Csa::value, RowFormat::fp8_mla, Ops::split, true, kPaged, kCsaLoad},
    {"indexer", Indexer::value, RowFormat::index_mxfp4, Ops::step, false, kPaged, kIndexerLoad},
    {"indexer_plan", Indexer::value, RowFormat::index_fp8, Ops::step, true, kPaged, kIndexerLoad},
    {"indexer_split_plan", Indexer::value, RowFormat::index_fp8, Ops::split, true, kPaged,
     kIndexerLoad},
    {"any", kAnyGeometry, RowFormat::bf16, Ops::step, false, kPaged, kAnyLoad},
    {"any_tail_plan", kAnyGeometry, RowFormat::bf16, Ops::step, true, kPaged, kAnyLoad, kTail},
    {"any_ring_plan", kAnyGeometry, RowFormat::fp8_tensor, Ops::step, true, kRing, kAnyLoad},
    {"any_ring", kAnyGeometry, RowFormat::fp8_tensor, Ops::step, false, kRing, kAnyLoad, kTail},
    {"any_split_plan", kAnyGeometry, RowFormat::bf16, Ops::split, true, kPaged, kAnyLoad},
    {"csa_step", Csa::value, RowFormat::fp8_mla, Ops::csa_step, false, kPaged, kCsaLoad},
    {"csa_step_plan", Csa::value, RowFormat::fp8_mla, Ops::csa_step, true, kPaged, kCsaLoad},
    {"csa_step_ring", Csa::value, RowFormat::bf16, Ops::csa_step, false, kRing, kCsaLoad, kTail},
};

// Of more than 512 tokens, above which blocks that save rows ask the plan which, or look for them.
// On 132 multiprocessors: HCA windows of 40 * 128 tokens have clusters of 2, a block a
// multiprocessor; of 68 * 128, two; 1,000 to be compressed, a block each, of which some start late.
// In CSA no warp has a partner, and of 4096 tokens teams have two windows; then none has one in the
// indexer.
inline constexpr Load kHca40{5120, 6000, 4200, 3};
inline constexpr Load kHca68{8704, 9000, 7700, 3};
inline constexpr Load kHcaAround{640, 1000, 400, 3};  // a ring of 131 rows
inline constexpr Load kHcaDecode{1024, 300, 0, 1010};
inline constexpr Load kGroups1024{1024, 1200, 800, 20};
inline constexpr Load kGroups4096{4096, 5000, 3500, 20};
inline constexpr Case kLargeCases[] = {
    {"hca_40_tail_plan", Hca::value, RowFormat::fp8_mla, Ops::step, true, kPaged, kHca40, kTail},
    {"hca_40_plan", Hca::value, RowFormat::fp8_mla, Ops::step, true, kPaged, kHca40},
    {"hca_68_plan", Hca::value, RowFormat::bf16, Ops::step, true, kPaged, kHca68},
    {"hca_ring_plan", Hca::value, RowFormat::fp8_mla, Ops::step, true, kRing, kHcaAround},
    {"hca_ring", Hca::value, RowFormat::fp8_mla, Ops::step, false, kRing, kHcaAround, kTail},
    {"hca_fused_plan", Hca::value, RowFormat::fp8_mla, Ops::fused, true, kPaged, kHcaDecode},
    {"hca_split_plan", Hca::value, RowFormat::fp8_mla, Ops::split, true, kPaged, kHcaDecode},
    {"csa", Csa::value, RowFormat::fp8_mla, Ops::step, false, kPaged, kGroups1024},
    {"csa_tail_plan", Csa::value, RowFormat::fp8_mla, Ops::step, true, kPaged, kGroups1024, kTail},
    {"csa_ring_plan", Csa::value, RowFormat::fp8_mla, Ops::step, true, kRing, kGroups1024},
    {"csa_plan", Csa::value, RowFormat::fp8_mla, Ops::step, true, kPaged, kGroups4096},
    {"csa_save_plan", Csa::value, RowFormat::fp8_mla, Ops::save, true, kPaged, kGroups1024, kTail},
    {"indexer_tail_plan", Indexer::value, RowFormat::index_fp8, Ops::step, true, kPaged,
     kGroups4096, kTail},
    {"csa_step", Csa::value, RowFormat::fp8_mla, Ops::csa_step, false, kPaged, kGroups1024},
    {"csa_step_tail_plan", Csa::value, RowFormat::fp8_mla, Ops::csa_step, true, kPaged, kGroups1024,
     kTail},
    {"csa_step_plan", Csa::value, RowFormat::fp8_mla, Ops::csa_step, true, kPaged, kGroups4096},
};

inline void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

inline LayerShape layer_shape(const Case& c, const Geometry& g, RowFormat format) {
  LayerShape s;
  s.compressor = {g, Recipe::vllm, format, 1e-6F};
  s.positions = c.load.positions;
  return s;
}

inline EngineShape::Path path_of(Ops ops) {
  switch (ops) {
    case Ops::step:
    case Ops::csa_step:
      return EngineShape::Path::step;
    case Ops::fused:
      return EngineShape::Path::fused;
    case Ops::split:
      return EngineShape::Path::split;
    case Ops::save:
      break;
  }
  return EngineShape::Path::save;
}

inline EngineShape engine_shape(const Case& c) {
  EngineShape s;
  s.path = path_of(c.ops);
  s.plan = c.plan;
  s.layout = c.layout;
  s.write = c.write;
  s.padding = 0.3;
  s.cache_rows = special_cache_rows(c.geometry);
  s.state_rows = c.layout == kRing ? c.geometry.window() + 3 : special_state_rows(c.geometry);
  return s;
}

}  // namespace pleat::test
