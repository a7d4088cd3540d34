// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/quanta.hpp"
#include "tools/replay_device.hpp"

namespace pleat::tools {

/// What verification found about one kind's rows. Scales that are further off than one power of two
/// (raw fp32 ones: 1e-5) are among counts.further, as well as among counts.scales.
struct VerifyTotals {
  /// The limits of the oracle's judge.
  static constexpr double kMostOffByOne = 2e-3;  ///< of all codes
  static constexpr std::int64_t kRowsPerScale = 200;

  std::int64_t rows = 0;
  CodeCounts counts;
  std::string first_failure;  ///< which row had something further off; else empty

  VerifyTotals& operator+=(const VerifyTotals& o);
  [[nodiscard]] double off_by_one_rate() const;
  [[nodiscard]] bool ok() const;
};

/// Recomputes sampled rows from nothing but the generator, in float64, and judges the bytes that
/// the replay left in the cache. Codes may be off by one quantum, rarely, and none further; a scale
/// by one power of two, more rarely. Where fp32 itself cannot tell (both values within 2^-20 of the
/// row's largest magnitude from each other: bf16 numbers that a rotation cancels to almost 0) a
/// difference counts as one quantum.
class RowVerifier {
 public:
  /// Row 0 of every request, whose window reaches before the request, and about `rate` of all rows
  /// are looked at, by a hash of (layer, request, row) alone; none when the rate is 0.
  RowVerifier(const ReplaySetup& setup, double rate);

  [[nodiscard]] bool sampled(std::size_t layer, std::int64_t request, std::int64_t row) const;
  /// Queues a row: its bytes, values then scales, are copied. Queued rows are judged by the dozen,
  /// on all threads.
  void add(std::size_t layer, const RowRef& ref, const std::uint8_t* bytes);
  /// Judges what is still queued.
  void finish();
  /// Per kind; complete after finish().
  [[nodiscard]] const std::vector<VerifyTotals>& totals() const { return totals_; }

 private:
  struct Job {
    std::size_t layer;
    RowRef ref;
    std::vector<std::uint8_t> bytes;
  };

  [[nodiscard]] std::vector<std::uint8_t> expected_row(std::size_t layer, std::int64_t request,
                                                       std::int64_t row) const;
  [[nodiscard]] VerifyTotals judge(const Job& job) const;

  const ReplaySetup& setup_;
  std::uint64_t threshold_;
  bool any_;
  bool every_;
  std::vector<LayerWeights> weights_;
  std::vector<Job> jobs_;
  std::vector<VerifyTotals> totals_;
};

}  // namespace pleat::tools
