// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "cpu/thread_pool.hpp"
#include "reference/fold64.hpp"
#include "tools/generator.hpp"
#include "tools/row_blocks.hpp"

namespace pleat::tools {
namespace {

constexpr std::size_t kJobsAtOnce = 64;
/// Relative: two fp32 ways to the same raw scale may end a few ulps apart.
constexpr float kRawScaleTolerance = 4e-6F;
/// Beyond this no rounding explains it.
constexpr float kRawScaleLimit = 1e-5F;
constexpr float kFp32Noise = 0x1p-20F;

/// Turns codes counted as further into neighbours where fp32 cannot tell the values apart.
void allow_fp32_noise(const Compressor& c, const RowBytes& want, const RowBytes& have,
                      CodeCounts& counts) {
  const std::vector<Block> blocks = blocks_of(c);
  const auto value = [](const Block& b, const RowBytes& row, std::int32_t i) {
    return value_of(b.code, code_at(b, row.values, i)) * scale_of(b, row.scales);
  };
  float largest = 0;
  for (const Block& b : blocks) {
    for (std::int32_t i = 0; i < b.channels; ++i) {
      largest = std::max(largest, std::fabs(value(b, want, i)));
    }
  }
  for (const Block& b : blocks) {
    for (std::int32_t i = 0; i < b.channels; ++i) {
      const auto quanta =
          quanta_between(b.code, code_at(b, want.values, i), code_at(b, have.values, i));
      if (std::abs(quanta) <= 1 ||
          !(std::fabs(value(b, want, i) - value(b, have, i)) <= largest * kFp32Noise)) {
        continue;
      }
      counts.further -= 1;
      counts.one_quantum += 1;
    }
  }
}

}  // namespace

VerifyTotals& VerifyTotals::operator+=(const VerifyTotals& o) {
  rows += o.rows;
  counts += o.counts;
  if (first_failure.empty()) first_failure = o.first_failure;
  return *this;
}

double VerifyTotals::off_by_one_rate() const {
  return counts.codes == 0
             ? 0.0
             : static_cast<double>(counts.one_quantum) / static_cast<double>(counts.codes);
}

bool VerifyTotals::ok() const {
  return counts.further == 0 && off_by_one_rate() < kMostOffByOne &&
         counts.scales <= std::max<std::int64_t>(1, rows / kRowsPerScale);
}

RowVerifier::RowVerifier(const ReplaySetup& setup, double rate)
    : setup_(setup),
      threshold_(static_cast<std::uint64_t>(std::ldexp(std::clamp(rate, 0.0, 1.0), 53))),
      any_(rate > 0),
      every_(rate >= 1.0),
      totals_(setup.model.kinds.size()) {
  for (const Layer& layer : setup.model.layers) {
    weights_.push_back(make_weights(setup.model, layer, setup.seed));
  }
}

bool RowVerifier::sampled(std::size_t layer, std::int64_t request, std::int64_t row) const {
  if (row == 0) return any_;
  std::uint64_t h = mix_in(setup_.seed, 0x73616D70U);  // apart from the generator's counters
  h = mix_in(h, setup_.model.identity(setup_.model.layers[layer]));
  h = mix_in(h, static_cast<std::uint64_t>(request));
  h = mix_in(h, static_cast<std::uint64_t>(row));
  return every_ || (h >> 11) < threshold_;
}

std::vector<std::uint8_t> RowVerifier::expected_row(std::size_t layer, std::int64_t request,
                                                    std::int64_t row) const {
  const Layer& l = setup_.model.layers[layer];
  const Compressor& c = setup_.model.kind_of(l).compressor;
  const Geometry& g = c.geometry;
  const std::int32_t d = g.head_dim;
  const std::int32_t s = g.state_width();
  const bool ape_late = traits_of(c.recipe).ape_when_pooled;
  const bool bf16_state = setup_.state == DType::bf16;
  const std::uint64_t key = layer_key(setup_.seed, setup_.model.identity(l));

  std::vector<float> token(static_cast<std::size_t>(g.row_width()));
  std::vector<double> kv(static_cast<std::size_t>(g.window()) * d, 0.0);
  std::vector<double> score(kv.size(), -std::numeric_limits<double>::infinity());
  for (std::int32_t w = 0; w < g.window(); ++w) {
    const std::int64_t position = (row + 1) * g.ratio - g.window() + w;
    if (position < 0) continue;
    generate_row(row_key(key, {request, position, 0}), g.row_width(), token.data());
    const float* ape = weights_[layer].ape.data() + position % g.ratio * s;
    const std::int32_t half = g.overlap && w >= g.ratio ? d : 0;
    for (std::int32_t i = 0; i < d; ++i) {
      float v = token[static_cast<std::size_t>(half + i)];
      float z = token[static_cast<std::size_t>(s + half + i)];
      if (setup_.projection == DType::bf16) {
        v = numerics::to_bf16(v);
        z = numerics::to_bf16(z);
      }
      if (g.ape && !ape_late) z = z + ape[half + i];
      if (bf16_state) {
        v = numerics::to_bf16(v);
        z = numerics::to_bf16(z);
      }
      const auto at = static_cast<std::size_t>(w) * d + i;
      kv[at] = v;
      score[at] = static_cast<double>(z) + (g.ape && ape_late ? ape[half + i] : 0.0);
    }
  }
  std::vector<double> pooled(static_cast<std::size_t>(d));
  reference::pool64(g, kv.data(), score.data(), pooled.data());
  std::vector<double> norm(static_cast<std::size_t>(d));
  std::transform(weights_[layer].norm.begin(), weights_[layer].norm.end(), norm.begin(),
                 numerics::bf16_value);
  const float* rope = setup_.rope->data() + row * g.ratio * g.rope_dim;
  reference::norm_rope64(c, norm.data(), rope, pooled.data());

  const RowLayout layout = row_layout(c.row_format, g);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(layout.row_bytes()));
  reference::encode64(c, pooled.data(), kFp8TensorScale, bytes.data(),
                      bytes.data() + layout.value_bytes);
  return bytes;
}

VerifyTotals RowVerifier::judge(const Job& job) const {
  const KindSpec& spec = setup_.model.kind_of(setup_.model.layers[job.layer]);
  const Compressor& c = spec.compressor;
  const RowLayout layout = spec.row();
  const std::vector<std::uint8_t> bytes = expected_row(job.layer, job.ref.request, job.ref.row);
  const RowBytes want{bytes.data(), bytes.data() + layout.value_bytes};
  const RowBytes have{job.bytes.data(), job.bytes.data() + layout.value_bytes};
  const bool raw_scale =
      c.row_format == RowFormat::index_fp8 && traits_of(c.recipe).index_scale_raw;

  VerifyTotals totals;
  totals.rows = 1;
  std::optional<std::int64_t> channel;
  totals.counts = compare_rows(c, want, have, raw_scale ? kRawScaleTolerance : 0.0F, &channel);
  if (totals.counts.further > 0) allow_fp32_noise(c, want, have, totals.counts);
  if (totals.counts.scales > 0) {
    totals.counts.further += scales_further(c, want, have, raw_scale ? kRawScaleLimit : 0.0F);
  }
  if (totals.counts.further > 0) {
    totals.first_failure = fmt::format(
        "{} layer {}, request {}, row {}: {} codes or scales more than one quantum off, channel {} "
        "the first that differs",
        name(spec.kind), setup_.model.layers[job.layer].index, job.ref.request, job.ref.row,
        totals.counts.further, channel.value_or(0));
  }
  return totals;
}

void RowVerifier::add(std::size_t layer, const RowRef& ref, const std::uint8_t* bytes) {
  const std::int32_t size = setup_.model.kind_of(setup_.model.layers[layer]).row().row_bytes();
  jobs_.push_back({layer, ref, {bytes, bytes + size}});
  if (jobs_.size() >= kJobsAtOnce) finish();
}

void RowVerifier::finish() {
  std::vector<VerifyTotals> found(jobs_.size());
  const int threads = cpu::thread_count(setup_.exec.threads);
  cpu::run_parts(threads, [&](int part) {
    const auto range = cpu::part_of(jobs_.size(), threads, part);
    for (std::size_t i = range.first; i < range.last; ++i)
      found[i] = judge(jobs_[i]);
  });
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    totals_[setup_.model.layers[jobs_[i].layer].kind] += found[i];
  }
  jobs_.clear();
}

}  // namespace pleat::tools
