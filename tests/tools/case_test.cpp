// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/case.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "support/small_case.hpp"
#include "tools/error.hpp"
#include "tools/run_case.hpp"

namespace pleat::tools {
namespace {

using test::make_small_case;
using test::SmallCase;
using testing::HasSubstr;

SmallCase shape(Op op, const char* geometry = "csa", Recipe recipe = Recipe::vllm) {
  SmallCase c;
  c.op = op;
  c.geometry = geometry;
  c.recipe = recipe;
  if (c.geometry == "indexer") c.row_format = RowFormat::index_fp8;
  return c;
}

/// What make_case says about a step of csa that `spoil` has changed.
std::string refusal(const std::function<void(TensorFile&)>& spoil, Op op = Op::step) {
  TensorFile f = make_small_case(shape(op));
  spoil(f);
  try {
    make_case(std::move(f), "x.st");
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

void replace(TensorFile& f, const char* name, Element e, std::vector<std::int64_t> dims) {
  *f.find(name) = make_tensor(name, e, std::move(dims));
}

TEST(Case, EveryOpGetsTheViewsThatItReads) {
  for (const Op op :
       {Op::save_state, Op::compress, Op::norm_rope_store, Op::compress_store, Op::step}) {
    for (const Recipe recipe : {Recipe::vllm, Recipe::sglang}) {
      const Case c = make_case(make_small_case(shape(op, "csa", recipe)), "x.st");
      const bool projects = op == Op::save_state || op == Op::step;
      const bool pools = op != Op::save_state && op != Op::norm_rope_store;
      const bool stores = op != Op::save_state && op != Op::compress;
      EXPECT_EQ(c.call.projection.given(), projects) << name(op);
      EXPECT_EQ(c.call.state.block_table.given(), pools) << name(op);
      EXPECT_EQ(c.call.state.pages.given(), op != Op::norm_rope_store) << name(op);
      EXPECT_EQ(c.call.cache.given(), stores) << name(op);
      EXPECT_EQ(c.call.compressed.given(), op == Op::compress || op == Op::norm_rope_store);
      EXPECT_EQ(c.call.weights.ape.given(), recipe == Recipe::sglang ? pools : projects);
    }
  }
}

TEST(Case, PagesKeepTheirStride) {
  const Case c = make_case(make_small_case(shape(Op::step, "hca")), "x.st");
  const TensorView& pages = c.call.state.pages;
  EXPECT_EQ(pages.shape[1], 8);
  EXPECT_EQ(pages.shape[2], 1024);
  EXPECT_EQ(pages.stride[0], 8 * 1024 + 16);
  EXPECT_EQ(c.call.cache.shape[2], 584);
  EXPECT_EQ(c.call.cache.stride[0], c.file.find("kv_cache")->shape[1]);
}

TEST(Case, PolicyAndRollbackComeFromTheMetadata) {
  SmallCase d = shape(Op::step);
  d.tail = true;
  const Case c = make_case(make_small_case(d), "x.st");
  EXPECT_EQ(c.call.write.policy, StatePolicy::tail);
  EXPECT_EQ(c.call.write.rollback, 2);
  EXPECT_EQ(make_case(make_small_case(shape(Op::step)), "x").call.write.policy, StatePolicy::all);
}

TEST(Case, MetadataIsRefusedByKey) {
  const auto set = [](const char* key, const char* value) {
    return refusal([&](TensorFile& f) { f.metadata[key] = value; });
  };
  EXPECT_THAT(refusal([](TensorFile& f) { f.metadata.erase("op"); }),
              HasSubstr("x.st: metadata op: missing"));
  EXPECT_THAT(set("format", "pleat-case/2"), HasSubstr("metadata format: expected pleat-case/1"));
  EXPECT_THAT(set("format", "pleat-result/1"), HasSubstr("format: expected pleat-case/1"));
  EXPECT_THAT(set("op", "fold"), HasSubstr("metadata op: expected"));
  EXPECT_THAT(set("op", "plan"), HasSubstr("metadata op: expected save_state, compress, "));
  EXPECT_THAT(set("geometry", "mla"), HasSubstr("expected hca, csa, indexer, got \"mla\""));
  EXPECT_THAT(set("recipe", "trt"), HasSubstr("metadata recipe: expected deepseek, vllm"));
  EXPECT_THAT(set("row_format", "fp4"), HasSubstr("metadata row_format: expected fp8_mla"));
  EXPECT_THAT(set("row_format", "index_fp8"), HasSubstr("a format that fits geometry csa"));
  EXPECT_THAT(set("eps", "1e-6x"), HasSubstr("metadata eps: expected a number"));
  for (const char* eps : {"0", "-1e-6", "1.5"}) {
    EXPECT_THAT(set("eps", eps), HasSubstr("eps: expected a number greater than 0 and at most 1"));
  }
  EXPECT_THAT(set("eps", "nan"), HasSubstr("metadata eps: expected a number"));
  EXPECT_THAT(set("state_block_rows", "0"), HasSubstr("metadata state_block_rows: expected a num"));
  EXPECT_THAT(set("kv_block_rows", "99999999999999999999"), HasSubstr("metadata kv_block_rows"));
  EXPECT_THAT(set("state_write", "some"), HasSubstr("expected all or tail, got \"some\""));
  EXPECT_THAT(set("rollback", "-1"), HasSubstr("metadata rollback: expected a number from 0"));
}

TEST(Case, TensorsAreRefusedByName) {
  for (const char* name : {"positions", "token_to_req", "state_slots", "proj", "ape", "state",
                           "block_table", "kv_slots", "kv_cache", "norm_weight", "rope_table"}) {
    const std::string said =
        refusal([&](TensorFile& f) { f.find(name)->name = std::string(name) + "?"; });
    EXPECT_THAT(said, HasSubstr("x.st: tensor " + std::string(name) + ": missing"));
  }
  const auto bad = [](const char* name, Element e, std::vector<std::int64_t> dims) {
    return refusal([&](TensorFile& f) { replace(f, name, e, dims); });
  };
  EXPECT_THAT(bad("positions", Element::i32, {3}),
              HasSubstr("tensor positions: expected I64 [any], got I32 [3]"));
  EXPECT_THAT(bad("kv_slots", Element::i64, {3}), HasSubstr("tensor kv_slots: expected I64 ["));
  EXPECT_THAT(bad("proj", Element::u8, {15, 2048}), HasSubstr("tensor proj: expected F32 or BF16"));
  EXPECT_THAT(bad("ape", Element::f32, {4, 1023}),
              HasSubstr("tensor ape: expected F32 [4, 1024], got F32 [4, 1023]"));
  EXPECT_THAT(bad("block_table", Element::i32, {3}),
              HasSubstr("tensor block_table: expected I32 [any, any], got I32 [3]"));
  EXPECT_THAT(bad("rope_table", Element::f32, {99, 63}), HasSubstr("expected F32 [any, 64]"));
  EXPECT_THAT(bad("norm_weight", Element::f32, {511}), HasSubstr("F32 or BF16 [512]"));
  EXPECT_THAT(bad("state", Element::f32, {3, 8191}),
              HasSubstr("tensor state: expected pages of at least 8192 elements (4 rows of 2048)"));
  EXPECT_THAT(bad("kv_cache", Element::u8, {2, 2335}),
              HasSubstr("tensor kv_cache: expected pages of at least 2336 elements"));
  EXPECT_THAT(refusal(
                  [](TensorFile& f) {
                    replace(f, "compressed", Element::f32, {1, 512});
                  },
                  Op::norm_rope_store),
              HasSubstr("tensor compressed: expected F32 ["));
}

TEST(Case, ResultsAreWhatTheOpWritesWithTheMetadataOfTheCase) {
  const auto names = [](Op op) {
    Case c = make_case(make_small_case(shape(op)), "x.st");
    Exec exec;
    exec.backend = Backend::reference;
    run_case(c, exec, false);
    const TensorFile result = take_results(std::move(c));
    EXPECT_EQ(result.metadata.at("format"), kResultFormat);
    EXPECT_EQ(result.metadata.at("row_format"), "fp8_mla");
    std::string all;
    for (const Tensor& t : result.tensors)
      all += t.name + " ";
    return all;
  };
  EXPECT_EQ(names(Op::save_state), "state ");
  EXPECT_EQ(names(Op::compress), "compressed ");
  EXPECT_EQ(names(Op::norm_rope_store), "kv_cache ");
  EXPECT_EQ(names(Op::compress_store), "kv_cache ");
  EXPECT_EQ(names(Op::step), "state kv_cache ");
}

TEST(Case, RefusedByTheLibraryTheCaseIsAsItWas) {
  TensorFile f = make_small_case(shape(Op::step));
  f.find("block_table")->as<std::int32_t>()[0] = 1 << 20;
  const TensorFile before = make_small_case(shape(Op::step));
  Case c = make_case(std::move(f), "x.st");
  Exec exec;
  exec.backend = Backend::reference;
  exec.checked = true;
  EXPECT_THROW(run_case(c, exec, false), Error);
  for (const char* name : {"state", "kv_cache"}) {
    const Tensor* now = c.file.find(name);
    EXPECT_EQ(std::memcmp(now->bytes.data(), before.find(name)->bytes.data(), now->bytes.size()), 0)
        << name;
  }
}

}  // namespace
}  // namespace pleat::tools
