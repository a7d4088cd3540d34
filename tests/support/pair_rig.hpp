// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>

#include "support/rig.hpp"
#include "support/schedule.hpp"

namespace pleat::test {

/// Has an indexer's call take its batch and its plan from the call of its CSA layer, for csa_step.
inline void share_batch(const Rig& main, Rig& indexer) {
  indexer.call.batch.positions = main.call.batch.positions;
  indexer.call.batch.token_to_req = main.call.batch.token_to_req;
  indexer.call.plan = main.call.plan;
}

/// A CSA layer's buffers and its indexer's, on one batch and one plan.
class PairRig {
 public:
  PairRig(const Layer& main_layer, const Layer& indexer_layer, const EngineShape& shape,
          const RigSize& size, const Exec& exec)
      : main(main_layer, shape, size, exec),
        indexer(indexer_layer, without_plan(shape), size, exec) {
    share_batch(main, indexer);
  }

  Rig main;
  Rig indexer;

  void fill(std::uint64_t seed) {
    main.fill(seed);
    indexer.fill(seed + 1);
  }
  void load(const Step& step, const Twin& twin) {
    main.load(step);
    indexer.load(twin.of(step));
  }
  /// With csa_step, or with the two steps that it stands for.
  [[nodiscard]] Status play(bool together) {
    if (main.shape().plan) {
      if (Status s = main.run(Op::plan); !s.ok()) return s;
    }
    if (together) return csa_step(main.call, indexer.call, main.exec);
    if (Status s = main.run(Op::step); !s.ok()) return s;
    return indexer.run(Op::step);
  }

 private:
  static EngineShape without_plan(EngineShape s) {
    s.plan = false;
    return s;
  }
};

}  // namespace pleat::test
