// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tools/error.hpp"
#include "tools/file.hpp"

namespace pleat::tools {
namespace {

using testing::HasSubstr;

std::vector<std::uint8_t> file_of(const std::string& header, std::size_t data_bytes) {
  std::vector<std::uint8_t> bytes(8 + header.size() + data_bytes);
  const std::uint64_t n = header.size();
  std::memcpy(bytes.data(), &n, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  for (std::size_t i = 0; i < data_bytes; ++i) {
    bytes[8 + header.size() + i] = static_cast<std::uint8_t>(i + 1);
  }
  return bytes;
}

std::string refusal_of(const std::vector<std::uint8_t>& bytes) {
  try {
    parse_safetensors(bytes, "x.st");
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const auto bytes =
      file_of(R"({"b":{"dtype":"U8","shape":[2,2],"data_offsets":[8,12]},)"
              R"("__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
              12);
  const TensorFile f = parse_safetensors(bytes, "x.st");
  ASSERT_EQ(f.tensors.size(), 2U);
  EXPECT_EQ(f.tensors[0].name, "a");
  EXPECT_EQ(describe(f.tensors[1]), "U8 [2, 2]");
  EXPECT_EQ(f.find("b")->bytes.data()[3], 12);
  EXPECT_EQ(f.find("c"), nullptr);
  EXPECT_EQ(f.metadata.at("k"), "v");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(f.tensors[1].bytes.data()) % 64, 0U);
}

TEST(Safetensors, TakesScalarsAndEmptyTensors) {
  const auto bytes = file_of(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                             R"("e":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]}})",
                             4);
  const TensorFile f = parse_safetensors(bytes, "x.st");
  EXPECT_EQ(f.find("s")->bytes.size(), 4U);
  EXPECT_EQ(f.find("e")->bytes.size(), 0U);
  EXPECT_NE(f.find("e")->bytes.data(), nullptr);
}

TEST(Safetensors, WritesWhatItReads) {
  TensorFile f;
  f.metadata = {{"format", "pleat-result/1"}, {"quote", "a \"b\"\n"}};
  f.tensors.push_back(make_tensor("x", Element::bf16, {3, 5}));
  f.tensors.push_back(make_tensor("y", Element::i64, {1}));
  for (std::size_t i = 0; i < 30; ++i)
    f.tensors[0].bytes.data()[i] = static_cast<std::uint8_t>(i);
  const std::string path = testing::TempDir() + "/safetensors_test.st";
  write_safetensors(path, f);
  const TensorFile g = read_safetensors(path);
  EXPECT_EQ(g.metadata, f.metadata);
  ASSERT_EQ(g.tensors.size(), 2U);
  EXPECT_EQ(g.tensors[0].shape, f.tensors[0].shape);
  EXPECT_EQ(std::memcmp(g.tensors[0].bytes.data(), f.tensors[0].bytes.data(), 30), 0);
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  std::filesystem::remove(path);
}

TEST(Safetensors, RefusesByByteOffset) {
  EXPECT_THAT(refusal_of({}), HasSubstr("x.st: byte 0: expected 8 bytes of header length"));
  EXPECT_THAT(refusal_of({255, 255, 255, 255, 255, 255, 255, 255, '{', '}'}),
              HasSubstr("byte 0: header length: expected at most 2, got 18446744073709551615"));
  EXPECT_THAT(refusal_of(file_of(std::string((std::size_t{1} << 26U) + 8, ' '), 0)),
              HasSubstr("header length: expected at most 67108864, got 67108872"));
  EXPECT_THAT(refusal_of(file_of("{\"a\":", 0)), HasSubstr("byte 14: header is not JSON"));
  EXPECT_THAT(refusal_of(file_of("[]", 0)), HasSubstr("header: expected an object, got array"));
  EXPECT_THAT(refusal_of(file_of("{}", 3)), HasSubstr("byte 10: 3 trailing bytes"));
  EXPECT_THAT(refusal_of(file_of(std::string(5000, '['), 0)), HasSubstr("nested deeper"));
}

std::string refusal_of_tensor(const std::string& entry, std::size_t data_bytes = 8) {
  return refusal_of(file_of("{\"t\":" + entry + "}", data_bytes));
}

TEST(Safetensors, RefusesByTensorName) {
  EXPECT_THAT(refusal_of_tensor("7"), HasSubstr("tensor \"t\": expected an object, got number"));
  EXPECT_THAT(refusal_of_tensor(R"({"shape":[2],"data_offsets":[0,8]})"), HasSubstr("dtype"));
  EXPECT_THAT(refusal_of_tensor(R"({"dtype":"F8","shape":[2],"data_offsets":[0,8]})"),
              HasSubstr("dtype: expected F64, F32, BF16, I64, I32 or U8, got \"F8\""));
  EXPECT_THAT(refusal_of_tensor(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"),
              HasSubstr("shape: expected whole numbers from 0 below 2^63, got -2"));
  EXPECT_THAT(refusal_of_tensor(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,8]})"),
              HasSubstr("shape: expected whole numbers"));
  EXPECT_THAT(refusal_of_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"),
              HasSubstr("data_offsets: expected [begin, end]"));
  EXPECT_THAT(refusal_of_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,9]})"),
              HasSubstr("expected at most 8 (the file ends there), got 9"));
  EXPECT_THAT(refusal_of_tensor(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
              HasSubstr("F32 [3] takes 12 bytes, but data_offsets [0, 8] give 8"));
  EXPECT_THAT(refusal_of_tensor(
                  R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]})", 0),
              HasSubstr("takes too many bytes"));
}

TEST(Safetensors, RefusesOverlapsHolesAndRepeatedNames) {
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  EXPECT_THAT(
      refusal_of(file_of("{" + a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6)),
      HasSubstr("tensor \"b\": data_offsets: expected to begin at 4"));
  EXPECT_THAT(
      refusal_of(file_of("{" + a + R"(,"b":{"dtype":"U8","shape":[2],"data_offsets":[6,8]}})", 8)),
      HasSubstr("tensor \"b\": data_offsets: expected to begin at 4"));
  EXPECT_THAT(refusal_of(file_of("{" + a + "," + a + "}", 4)), HasSubstr("names \"a\" twice"));
  EXPECT_THAT(refusal_of(file_of(R"({"__metadata__":{"k":"1","k":"2"}})", 0)),
              HasSubstr("names \"k\" twice"));
  EXPECT_THAT(refusal_of(file_of(R"({"__metadata__":{"k":7}})", 0)),
              HasSubstr("metadata \"k\": expected a string, got number"));
}

TEST(Safetensors, ControlCharactersOfAFileStayOutOfMessages) {
  const std::string message = refusal_of(file_of("{\"a\\u001b[31m\":7}", 0));
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_THAT(message, HasSubstr("\\x1b[31m"));
  EXPECT_EQ(in_quotes(std::string(100, 'x')).size(), 65U);
}

TEST(Safetensors, FilesThatCannotBeReadOrWrittenAreNamed) {
  EXPECT_THROW(read_safetensors("/nowhere/x.st"), Error);
  EXPECT_THROW(read_safetensors(testing::TempDir()), Error);
  EXPECT_THROW(write_safetensors("/nowhere/x.st", {}), Error);
  EXPECT_THROW(make_tensor("t", Element::f64, {INT64_MAX, 2}), Error);
}

}  // namespace
}  // namespace pleat::tools
