// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/buffer.hpp"

namespace pleat::tools {

/// The element types that Pleat's files use.
enum class Element : std::uint8_t { f64, f32, bf16, i64, i32, u8 };

/// As the file spells it: F64, F32, BF16, I64, I32, U8.
const char* name(Element e);
std::int64_t size_of(Element e);

/// A packed, row-major tensor, little-endian as in the file.
struct Tensor {
  std::string name;
  Element element = Element::u8;
  std::vector<std::int64_t> shape;
  Buffer bytes;

  template <typename T>
  [[nodiscard]] T* as() {
    return reinterpret_cast<T*>(bytes.data());
  }
  template <typename T>
  [[nodiscard]] const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};

/// A zeroed tensor. Throws Error when the size in bytes does not fit 63 bits.
Tensor make_tensor(std::string name, Element element, std::vector<std::int64_t> shape);
/// For instance "F32 [12, 512]".
std::string describe(Element element, std::span<const std::int64_t> shape);
std::string describe(const Tensor& t);

/// A safetensors file in memory: text about the tensors, and the tensors in the order of their
/// bytes.
struct TensorFile {
  std::map<std::string, std::string> metadata;
  std::vector<Tensor> tensors;

  /// Null when there is none of that name.
  [[nodiscard]] const Tensor* find(std::string_view name) const;
  [[nodiscard]] Tensor* find(std::string_view name);
};

/// Reads the bytes of a safetensors file, trusting none of them; `label` (the path) starts every
/// message. Throws Error with the tensor's name or the byte offset when the header is too long, not
/// JSON or names something twice, when metadata is not text, or when a tensor's offsets overlap
/// another's, leave a hole, leave the file or do not match dtype and shape.
TensorFile parse_safetensors(std::span<const std::uint8_t> file, std::string_view label);
TensorFile read_safetensors(const std::string& path);

/// Throws Error, which begins with `label` or else the path, when the file cannot be written; then
/// nothing stands at `path` that was not there before (see write_file).
void write_safetensors(const std::string& path, const TensorFile& file,
                       const std::string& label = "");

}  // namespace pleat::tools
