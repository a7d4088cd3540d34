// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "support/api_call.hpp"

namespace pleat::test {

/// A small valid pair of calls for csa_step: an ApiCall of CSA and one of its indexer, on the batch
/// and, once it is given, the plan of the first.
class ApiPair {
 public:
  explicit ApiPair(StateLayout layout = StateLayout::paged, Recipe recipe = Recipe::vllm,
                   RowFormat main_rows = RowFormat::fp8_mla,
                   RowFormat indexer_rows = RowFormat::index_fp8)
      : main_({Csa::value, recipe, main_rows, layout}),
        indexer_({Indexer::value, recipe, indexer_rows, layout}) {
    indexer().batch.positions = main().batch.positions;
    indexer().batch.token_to_req = main().batch.token_to_req;
  }

  Call& main() { return main_.call; }
  Call& indexer() { return indexer_.call; }

  void write(const StateWrite& how) { main().write = indexer().write = how; }
  /// Makes a plan of main's call, for both.
  [[nodiscard]] Status plan(const Exec& exec) {
    main().plan = indexer().plan = {main_.plan_memory(), main_.tokens()};
    return pleat::plan(main(), exec);
  }

  /// As ApiCall::outputs(), main's and then the indexer's.
  [[nodiscard]] std::vector<std::uint8_t> outputs() const {
    std::vector<std::uint8_t> all = main_.outputs();
    const std::vector<std::uint8_t> more = indexer_.outputs();
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

 private:
  ApiCall main_;
  ApiCall indexer_;
};

}  // namespace pleat::test
