// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
//
// The bytes that every backend, on every machine and in every release, gives for small cases. They
// change only with docs/numerics.md; tests/golden/make.sh writes them anew, from the reference.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/small_case.hpp"
#include "tools/case.hpp"
#include "tools/names.hpp"
#include "tools/run_case.hpp"
#include "tools/safetensors.hpp"

namespace pleat::test {
namespace {

using tools::Element;
using tools::Tensor;
using tools::TensorFile;

constexpr const char* kFolder = PLEAT_SOURCE_DIR "/tests/golden/";

std::vector<SmallCase> golden_cases(const std::string& geometry) {
  const bool indexer = geometry == "indexer";
  const std::vector<RowFormat> formats =
      indexer ? std::vector{RowFormat::index_fp8, RowFormat::index_mxfp4}
              : std::vector{RowFormat::fp8_mla, RowFormat::bf16, RowFormat::fp8_tensor};
  std::vector<SmallCase> cases;
  for (const Recipe recipe : tools::kRecipes) {
    SmallCase c;
    c.geometry = geometry;
    c.recipe = recipe;
    c.row_format = formats[0];
    for (const Op op : {Op::save_state, Op::compress}) {
      c.op = op;
      cases.push_back(c);
    }
    for (const RowFormat format : formats) {
      c.row_format = format;
      for (const Op op : {Op::norm_rope_store, Op::compress_store, Op::step}) {
        c.op = op;
        cases.push_back(c);
      }
    }
    c.op = Op::step;
    c.row_format = formats[0];
    c.tail = true;
    cases.push_back(c);
    c.bf16_state = c.bf16_projection = true;
    cases.push_back(c);
  }
  return cases;
}

/// FNV-1a over 64 bits: a long tensor is kept as this.
std::int64_t digest_of(const Tensor& t) {
  std::uint64_t h = 0xCBF29CE484222325ULL;
  for (std::size_t i = 0; i < t.bytes.size(); ++i) {
    h = (h ^ t.bytes.data()[i]) * 0x100000001B3ULL;
  }
  return static_cast<std::int64_t>(h);
}

/// What is kept of a result: cache rows as they are, of state and pooled rows a digest.
std::vector<Tensor> kept(const SmallCase& c, TensorFile result) {
  std::vector<Tensor> out;
  for (Tensor& t : result.tensors) {
    const std::string name = name_of(c) + "." + t.name;
    if (t.name == "kv_cache") {
      t.name = name;
      out.push_back(std::move(t));
    } else {
      out.push_back(tools::make_tensor(name + ".digest", Element::i64, {1}));
      out.back().as<std::int64_t>()[0] = digest_of(t);
    }
  }
  return out;
}

std::vector<Tensor> result_of(const SmallCase& c, const Exec& exec, bool with_plan) {
  tools::Case file = tools::make_case(make_small_case(c), name_of(c));
  tools::run_case(file, exec, with_plan);
  return kept(c, tools::take_results(std::move(file)));
}

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, EveryBackendGivesTheBytesKept) {
  const std::string geometry = GetParam();
  const TensorFile golden = tools::read_safetensors(kFolder + geometry + ".safetensors");
  std::size_t found = 0;
  for (const Backend backend : tools::kBackends) {
    if (!available(backend)) continue;
    found = 0;
    for (const SmallCase& c : golden_cases(geometry)) {
      for (const bool with_plan : {false, true}) {
        Exec exec;
        exec.backend = backend;
        for (const Tensor& got : result_of(c, exec, with_plan)) {
          const Tensor* want = golden.find(got.name);
          ASSERT_NE(want, nullptr) << got.name;
          ASSERT_EQ(got.shape, want->shape) << got.name;
          EXPECT_TRUE(
              std::equal(got.bytes.data(), got.bytes.data() + got.bytes.size(), want->bytes.data()))
              << name(backend) << " " << geometry << " " << got.name
              << (with_plan ? " with a plan" : "");
          found += with_plan ? 0 : 1;
        }
      }
    }
  }
  EXPECT_EQ(found, golden.tensors.size()) << "the file holds tensors that no case makes";
}

INSTANTIATE_TEST_SUITE_P(Geometries, Golden, testing::Values("hca", "csa", "indexer"),
                         [](const auto& info) { return std::string(info.param); });

int write_golden(const std::string& folder) {
  for (const auto& g : tools::kGeometries) {
    TensorFile file;
    file.metadata = {{"format", "pleat-golden/1"}, {"geometry", g.name}};
    for (const SmallCase& c : golden_cases(g.name)) {
      Exec exec;
      exec.backend = Backend::reference;
      for (Tensor& t : result_of(c, exec, false))
        file.tensors.push_back(std::move(t));
    }
    const std::string path = folder + "/" + g.name + ".safetensors";
    tools::write_safetensors(path, file);
    fmt::print("{}: {} tensors\n", path, file.tensors.size());
  }
  return 0;
}

}  // namespace
}  // namespace pleat::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc == 3 && std::string(argv[1]) == "--write-golden") {
    return pleat::test::write_golden(argv[2]);
  }
  return RUN_ALL_TESTS();
}
