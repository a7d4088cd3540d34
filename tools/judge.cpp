// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "tools/error.hpp"
#include "tools/quanta.hpp"

namespace pleat::tools {
namespace {

// The limits of oracle.py's judge.
constexpr double kPooledError = 2e-5;
constexpr double kPooledFloor = 1e-3;  ///< of the largest magnitude, added to the denominator
constexpr double kCodeRate = 2e-3;
constexpr std::int64_t kRowsPerScale = 200;
constexpr float kScaleTolerance = 4e-6F;

/// The case's tokens as arrays.
struct Tokens {
  std::int64_t count;
  const std::int64_t* positions;
  const std::int32_t* requests;
  const std::int64_t* state_slots;
  const std::int64_t* kv_slots;  ///< null for ops that store nothing
  std::int64_t ratio;

  explicit Tokens(const Call& call)
      : count(call.batch.positions.shape[0]),
        positions(static_cast<const std::int64_t*>(call.batch.positions.data)),
        requests(static_cast<const std::int32_t*>(call.batch.token_to_req.data)),
        state_slots(static_cast<const std::int64_t*>(call.batch.state_slots.data)),
        kv_slots(static_cast<const std::int64_t*>(call.batch.kv_slots.data)),
        ratio(call.compressor.geometry.ratio) {}

  [[nodiscard]] bool closes(std::int64_t t) const {
    return state_slots[t] >= 0 && positions[t] % ratio == ratio - 1;
  }
};

Verdict judge_pooled(const Tokens& tokens, std::int64_t dim, const Tensor& want,
                     const Tensor& have) {
  const auto* w = want.as<double>();
  const auto* h = have.as<float>();
  double largest = 0;
  for (std::int64_t t = 0; t < tokens.count; ++t) {
    for (std::int64_t c = 0; tokens.closes(t) && c < dim; ++c) {
      largest = std::max(largest, std::fabs(w[t * dim + c]));
    }
  }
  double worst = 0;
  double error_square = 0;
  double want_square = 0;
  bool sane = true;  // closing rows are finite, the others were left alone
  for (std::int64_t t = 0; t < tokens.count; ++t) {
    for (std::int64_t c = 0; c < dim; ++c) {
      const double got = h[t * dim + c];
      if (!tokens.closes(t)) {
        sane = sane && got == 0;
        continue;
      }
      const double expected = w[t * dim + c];
      const double error = std::fabs(got - expected);
      sane = sane && std::isfinite(got);
      if (error > 0) {
        worst = std::max(worst, error / (std::fabs(expected) + largest * kPooledFloor));
      }
      error_square += error * error;
      want_square += expected * expected;
    }
  }
  const double l2 = want_square > 0 ? std::sqrt(error_square / want_square) : 0;
  return {"compressed", sane && worst < kPooledError,
          fmt::format("largest relative error {:.2e}, L2 {:.2e}{}", worst, l2,
                      sane ? "" : ", values where none belong or not finite")};
}

/// State slots of the step's tokens that policy tail may leave unwritten.
std::set<std::int64_t> optional_slots(const Tokens& tokens, const CaseHeader& header) {
  std::map<std::int32_t, std::int64_t> length;
  for (std::int64_t t = 0; t < tokens.count; ++t) {
    if (tokens.state_slots[t] < 0) continue;
    std::int64_t& n = length[tokens.requests[t]];
    n = std::max(n, tokens.positions[t] + 1);
  }
  const Geometry& g = header.compressor.geometry;
  std::set<std::int64_t> slots;
  for (std::int64_t t = 0; t < tokens.count; ++t) {
    if (tokens.state_slots[t] < 0) continue;
    const std::int64_t m = length[tokens.requests[t]] - header.write.rollback;
    const std::int64_t groups = m >= 0 ? m / g.ratio : -((-m + g.ratio - 1) / g.ratio);
    const std::int64_t first = groups * g.ratio - (g.overlap ? g.ratio : 0);
    if (tokens.positions[t] < first) slots.insert(tokens.state_slots[t]);
  }
  return slots;
}

Verdict judge_state(const Tokens& tokens, const CaseHeader& header, const Tensor& old,
                    const Tensor& want, const Tensor& have) {
  const std::int64_t size = size_of(want.element);
  const std::int64_t row = header.compressor.geometry.row_width() * size;
  const std::int64_t page = want.shape[1] * size;
  std::vector<bool> forgiven(want.bytes.size());
  if (header.write.policy == StatePolicy::tail) {
    for (const std::int64_t slot : optional_slots(tokens, header)) {
      if (slot >= want.shape[0] * header.state_page_rows) continue;
      const std::int64_t at =
          slot / header.state_page_rows * page + slot % header.state_page_rows * row;
      const bool untouched = std::memcmp(old.bytes.data() + at, have.bytes.data() + at,
                                         static_cast<std::size_t>(row)) == 0;
      std::fill_n(forgiven.begin() + at, row, untouched);
    }
  }
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < want.bytes.size(); ++i) {
    wrong += want.bytes.data()[i] != have.bytes.data()[i] && !forgiven[i];
  }
  return {"state", wrong == 0, fmt::format("{} of {} bytes wrong", wrong, want.bytes.size())};
}

std::vector<std::int64_t> written_slots(const Tokens& tokens, const TensorView& cache,
                                        std::string_view label) {
  std::vector<std::int64_t> slots;
  for (std::int64_t t = 0; t < tokens.count; ++t) {
    if (!tokens.closes(t) || tokens.kv_slots[t] < 0) continue;
    if (tokens.kv_slots[t] >= cache.shape[0] * cache.shape[1]) {
      throw fail("{}: kv_slots: token {}: expected a slot below {}, got {}", label, t,
                 cache.shape[0] * cache.shape[1], tokens.kv_slots[t]);
    }
    slots.push_back(tokens.kv_slots[t]);
  }
  return slots;
}

Verdict judge_cache(const Tokens& tokens, const CaseHeader& header, Tensor& want,
                    std::string_view case_label, Tensor& have, std::string_view result_label) {
  const TensorView w = cache_view(header, want, case_label);
  const TensorView h = cache_view(header, have, result_label);
  const bool by_value = header.compressor.row_format == RowFormat::index_fp8 &&
                        traits_of(header.compressor.recipe).hadamard;
  const CacheDifference d =
      compare_caches(header.compressor, w, h, written_slots(tokens, w, case_label),
                     by_value ? kScaleTolerance : 0);
  const CodeCounts& n = d.counts;
  const double rate = static_cast<double>(n.one_quantum + n.further) /
                      static_cast<double>(std::max<std::int64_t>(n.codes, 1));
  const bool ok = d.stray_bytes == 0 && n.further == 0 && rate < kCodeRate &&
                  n.scales <= std::max<std::int64_t>(1, d.rows / kRowsPerScale);
  return {"kv_cache", ok,
          fmt::format("{} rows, {} of {} codes differ ({:.1e}), {} of them by more than one "
                      "quantum, {} scales differ, {} stray bytes",
                      d.rows, n.one_quantum + n.further, n.codes, rate, n.further, n.scales,
                      d.stray_bytes)};
}

}  // namespace

std::vector<Verdict> judge(Case& expected, std::string_view case_label, TensorFile& result,
                           std::string_view result_label) {
  const Tokens tokens(expected.call);
  std::vector<Verdict> verdicts;
  for (const char* tensor : {"compressed", "state", "kv_cache"}) {
    Tensor* want = expected.file.find(std::string("expect.") + tensor);
    if (want == nullptr) continue;
    Tensor* have = result.find(tensor);
    if (have == nullptr) throw fail("{}: tensor {}: missing", result_label, tensor);
    const bool pooled = std::string_view(tensor) == "compressed";
    const Element element = pooled ? Element::f32 : want->element;
    if (have->shape != want->shape || have->element != element) {
      throw fail("{}: tensor {}: expected {}, got {}", result_label, tensor,
                 describe(element, want->shape), describe(*have));
    }
    if (pooled) {
      const std::int64_t dim = expected.header.compressor.geometry.head_dim;
      if (want->element != Element::f64 ||
          want->shape != std::vector<std::int64_t>{tokens.count, dim}) {
        throw fail("{}: tensor {}: expected {}, got {}", case_label, want->name,
                   describe(Element::f64, std::vector<std::int64_t>{tokens.count, dim}),
                   describe(*want));
      }
      verdicts.push_back(judge_pooled(tokens, dim, *want, *have));
    } else if (std::string_view(tensor) == "state") {
      const Tensor* old = expected.file.find("state");
      if (old == nullptr || old->element != want->element || old->shape != want->shape) {
        throw fail("{}: tensor {}: expected as state, got {}", case_label, want->name,
                   describe(*want));
      }
      state_view(expected.header, *want, case_label);
      verdicts.push_back(judge_state(tokens, expected.header, *old, *want, *have));
    } else {
      if (tokens.kv_slots == nullptr) {
        throw fail("{}: tensor {}: the op stores no rows", case_label, want->name);
      }
      verdicts.push_back(
          judge_cache(tokens, expected.header, *want, case_label, *have, result_label));
    }
  }
  if (verdicts.empty()) throw fail("{}: carries no expect.* tensor to judge by", case_label);
  return verdicts;
}

}  // namespace pleat::tools
