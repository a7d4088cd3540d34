// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/safetensors.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "tools/error.hpp"
#include "tools/file.hpp"
#include "tools/output_file.hpp"

namespace pleat::tools {
namespace {

static_assert(std::endian::native == std::endian::little, "the file's numbers are read in place");

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = std::uint64_t{1} << 26;

constexpr std::array<std::pair<const char*, std::int64_t>, 6> kElements{
    {{"F64", 8}, {"F32", 4}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"U8", 1}}};

std::optional<Element> element_named(std::string_view text) {
  for (std::size_t i = 0; i < kElements.size(); ++i) {
    if (text == kElements[i].first) return static_cast<Element>(i);
  }
  return std::nullopt;
}

/// Bytes of a packed tensor; nothing when they do not fit 63 bits.
std::optional<std::int64_t> bytes_of(Element element, std::span<const std::int64_t> shape) {
  std::int64_t bytes = size_of(element);
  for (const std::int64_t n : shape) {
    if (n < 0 || __builtin_mul_overflow(bytes, n, &bytes)) return std::nullopt;
  }
  return bytes;
}

/// JSON keeps the last of two equal keys and says nothing; a file with two is a trap, so refuse it.
json parse_header(std::string_view text, std::string_view label) {
  std::vector<std::set<std::string>> seen;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    const auto level = static_cast<std::size_t>(depth);
    if (level > 4) throw fail("{}: header nested deeper than a safetensors header is", label);
    if (seen.size() <= level + 1) seen.resize(level + 2);
    if (event == json::parse_event_t::object_start) seen[level + 1].clear();
    if (event == json::parse_event_t::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!seen[level].insert(key).second) {
        throw fail("{}: header names {} twice", label, in_quotes(key));
      }
    }
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::parse_error& e) {
    throw fail("{}: byte {}: header is not JSON", label, kLengthBytes + e.byte);
  } catch (const json::exception& e) {
    throw fail("{}: header is not JSON: {}", label, e.what());
  }
}

std::map<std::string, std::string> read_metadata(const json& header, std::string_view label) {
  std::map<std::string, std::string> metadata;
  if (!header.is_object()) throw fail("{}: metadata: expected an object of strings", label);
  for (const auto& [key, value] : header.items()) {
    if (!value.is_string()) {
      throw fail("{}: metadata {}: expected a string, got {}", label, in_quotes(key),
                 value.type_name());
    }
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

struct Entry {
  std::string name;
  Element element;
  std::vector<std::int64_t> shape;
  std::uint64_t begin;
  std::uint64_t end;
};

/// A list of non-negative numbers below 2^63.
std::vector<std::int64_t> read_numbers(const json& entry, const char* key, std::string_view who) {
  const auto it = entry.find(key);
  if (it == entry.end() || !it->is_array()) throw fail("{}: {}: expected a list", who, key);
  std::vector<std::int64_t> numbers;
  for (const json& n : *it) {
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!n.is_number_unsigned() || n.get<std::uint64_t>() > kMax) {
      throw fail("{}: {}: expected whole numbers from 0 below 2^63, got {}", who, key, n.dump());
    }
    numbers.push_back(n.get<std::int64_t>());
  }
  return numbers;
}

Entry read_entry(const std::string& tensor, const json& entry, std::uint64_t data_bytes,
                 std::string_view label) {
  const std::string who = fmt::format("{}: tensor {}", label, in_quotes(tensor));
  if (!entry.is_object()) throw fail("{}: expected an object, got {}", who, entry.type_name());
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) throw fail("{}: dtype: expected a name", who);
  const auto element = element_named(dtype->get_ref<const std::string&>());
  if (!element) {
    throw fail("{}: dtype: expected F64, F32, BF16, I64, I32 or U8, got {}", who,
               in_quotes(dtype->get_ref<const std::string&>()));
  }
  std::vector<std::int64_t> shape = read_numbers(entry, "shape", who);
  const std::vector<std::int64_t> offsets = read_numbers(entry, "data_offsets", who);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    throw fail("{}: data_offsets: expected [begin, end], got {}", who, offsets);
  }
  const auto end = static_cast<std::uint64_t>(offsets[1]);
  if (end > data_bytes) {
    throw fail("{}: data_offsets: expected at most {} (the file ends there), got {}", who,
               data_bytes, end);
  }
  const auto bytes = bytes_of(*element, shape);
  if (!bytes || *bytes != offsets[1] - offsets[0]) {
    throw fail("{}: {} takes {} bytes, but data_offsets {} give {}", who, describe(*element, shape),
               bytes ? std::to_string(*bytes) : "too many", offsets, offsets[1] - offsets[0]);
  }
  return {tensor, *element, std::move(shape), static_cast<std::uint64_t>(offsets[0]), end};
}

/// The tensors must cover the data exactly once, as the format asks.
void check_cover(const std::vector<Entry>& entries, std::uint64_t data_bytes,
                 std::uint64_t data_start, std::string_view label) {
  std::uint64_t at = 0;
  for (const Entry& e : entries) {
    if (e.begin != at) {
      throw fail(
          "{}: tensor {}: data_offsets: expected to begin at {}, where the tensor before it "
          "ends, got {}",
          label, in_quotes(e.name), at, e.begin);
    }
    at = e.end;
  }
  if (at != data_bytes) {
    throw fail("{}: byte {}: {} trailing bytes belong to no tensor", label, data_start + at,
               data_bytes - at);
  }
}

std::string header_of(const TensorFile& file) {
  nlohmann::ordered_json header;
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  std::int64_t at = 0;
  for (const Tensor& t : file.tensors) {
    const auto end = at + static_cast<std::int64_t>(t.bytes.size());
    header[t.name] = {{"dtype", name(t.element)}, {"shape", t.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  if (header.is_null()) header = nlohmann::ordered_json::object();
  std::string text = header.dump();
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');
  return text;
}

}  // namespace

const char* name(Element e) {
  return kElements[static_cast<std::size_t>(e)].first;
}

std::int64_t size_of(Element e) {
  return kElements[static_cast<std::size_t>(e)].second;
}

Tensor make_tensor(std::string tensor, Element element, std::vector<std::int64_t> shape) {
  const auto bytes = bytes_of(element, shape);
  if (!bytes) throw fail("tensor {}: {} is too large", tensor, describe(element, shape));
  return {std::move(tensor), element, std::move(shape), Buffer(static_cast<std::size_t>(*bytes))};
}

std::string describe(Element element, std::span<const std::int64_t> shape) {
  return fmt::format("{} [{}]", name(element), fmt::join(shape, ", "));
}

std::string describe(const Tensor& t) {
  return describe(t.element, t.shape);
}

const Tensor* TensorFile::find(std::string_view wanted) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(),
                               [&](const Tensor& t) { return t.name == wanted; });
  return it == tensors.end() ? nullptr : &*it;
}

Tensor* TensorFile::find(std::string_view wanted) {
  return const_cast<Tensor*>(std::as_const(*this).find(wanted));
}

TensorFile parse_safetensors(std::span<const std::uint8_t> file, std::string_view label) {
  if (file.size() < kLengthBytes) {
    throw fail("{}: byte {}: expected 8 bytes of header length, the file ends", label, file.size());
  }
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), kLengthBytes);
  if (header_bytes > file.size() - kLengthBytes || header_bytes > kMaxHeader) {
    throw fail("{}: byte 0: header length: expected at most {}, got {}", label,
               std::min<std::uint64_t>(file.size() - kLengthBytes, kMaxHeader), header_bytes);
  }
  const std::uint64_t data_start = kLengthBytes + header_bytes;
  const std::uint64_t data_bytes = file.size() - data_start;
  const json header = parse_header(
      {reinterpret_cast<const char*>(file.data()) + kLengthBytes, header_bytes}, label);
  if (!header.is_object()) {
    throw fail("{}: header: expected an object, got {}", label, header.type_name());
  }

  TensorFile out;
  std::vector<Entry> entries;
  for (const auto& [key, value] : header.items()) {
    if (key == "__metadata__") {
      out.metadata = read_metadata(value, label);
    } else {
      entries.push_back(read_entry(key, value, data_bytes, label));
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_cover(entries, data_bytes, data_start, label);
  for (Entry& e : entries) {
    Tensor t = make_tensor(std::move(e.name), e.element, std::move(e.shape));
    std::memcpy(t.bytes.data(), file.data() + data_start + e.begin, t.bytes.size());
    out.tensors.push_back(std::move(t));
  }
  return out;
}

TensorFile read_safetensors(const std::string& path) {
  return parse_safetensors(read_file(path), path);
}

void write_safetensors(const std::string& path, const TensorFile& file, const std::string& label) {
  const std::string header = header_of(file);
  const std::uint64_t header_bytes = header.size();
  write_file(label.empty() ? path : label, path, [&](std::ostream& out) {
    out.write(reinterpret_cast<const char*>(&header_bytes), kLengthBytes);
    out.write(header.data(), static_cast<std::streamsize>(header.size()));
    for (const Tensor& t : file.tensors) {
      out.write(reinterpret_cast<const char*>(t.bytes.data()),
                static_cast<std::streamsize>(t.bytes.size()));
    }
  });
}

}  // namespace pleat::tools
