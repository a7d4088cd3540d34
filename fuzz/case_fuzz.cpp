// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a case file: the reader and the case must refuse or accept, never fault; what they
// accept the reference runs in checked mode, which must not touch memory that the case does not
// own.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tools/case.hpp"
#include "tools/error.hpp"
#include "tools/inspect.hpp"
#include "tools/run_case.hpp"
#include "tools/safetensors.hpp"

namespace {

using namespace pleat;

constexpr std::int64_t kMostTokens = 64;
constexpr std::int64_t kMostRows = 64;

/// Small enough to run thousands of times a second.
bool is_small(const Call& call) {
  return call.batch.positions.shape[0] <= kMostTokens &&
         (!call.cache.given() || call.cache.shape[0] * call.cache.shape[1] <= kMostRows);
}

void show(const tools::CaseHeader& header, tools::TensorFile& file) {
  (void)tools::show_file(file, header, tools::Paint());
  tools::Tensor* cache = file.find("kv_cache");
  if (cache == nullptr) return;
  const TensorView view = tools::cache_view(header, *cache, "fuzz");
  if (view.shape[0] == 0) return;
  (void)tools::show_cache_page(header, view, 0, tools::Paint());
  (void)tools::show_cache_map(header, view, 0, tools::Paint());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    tools::Case c = tools::make_case(tools::parse_safetensors({data, size}, "fuzz"), "fuzz");
    if (!is_small(c.call)) return 0;
    Exec exec;
    exec.backend = Backend::reference;
    exec.checked = true;
    tools::run_case(c, exec, size % 2 == 0);
    const tools::CaseHeader header = c.header;
    tools::TensorFile result = tools::take_results(std::move(c));
    show(header, result);
  } catch (const tools::Error&) {
    // A refusal is an answer.
  }
  return 0;
}
