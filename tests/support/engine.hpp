// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <array>
#include <string>
#include <vector>

#include "support/layer.hpp"
#include "support/memory.hpp"
#include "support/schedule.hpp"

namespace pleat::test {

/// What a schedule left behind.
struct Outcome {
  Status status;      ///< of the first op that was refused; then nothing else counts
  std::string fault;  ///< the first broken promise seen on the way (canary, input written to, ..)
  Bytes state;
  Bytes cache;
  std::vector<std::uint64_t> digests;  ///< of each step's plan and compressed rows
};

/// Runs every step of the schedule on a backend. Unwritten state and cache hold 0xFF (NaN).
Outcome run_schedule(const Layer& layer, const EngineShape& shape, const Schedule& schedule,
                     const Exec& exec);

/// The same requests through a CSA layer and its indexer, whose schedule is `twin_of` main's.
struct Twins {
  const Layer& main;
  const Layer& indexer;
  const EngineShape& main_shape;
  const EngineShape& indexer_shape;
  const Schedule& main_schedule;
  const Schedule& indexer_schedule;
};

/// Runs every step of both: with csa_step, or with the two steps that it stands for.
std::array<Outcome, 2> run_twins(const Twins& twins, const Exec& exec, bool together);

/// What is wrong with an outcome, by the spec: each stored row is the one that the reference makes
/// from the window alone, state rows hold what the policy says, no other byte has changed. Empty
/// where all is well.
std::string judge(const Layer& layer, const EngineShape& shape, const Schedule& schedule,
                  const Outcome& outcome);

/// Where two outcomes of the same schedule differ. Empty where they are the same bytes.
std::string compare(const Outcome& want, const Outcome& got);

}  // namespace pleat::test
