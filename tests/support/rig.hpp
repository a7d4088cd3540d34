// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "support/call_for.hpp"
#include "support/layer.hpp"
#include "support/layer_buffers.hpp"
#include "support/memory.hpp"
#include "support/random.hpp"
#include "support/schedule.hpp"

namespace pleat::test {

/// What stays the same of a call while steps come and go.
struct RigSize {
  std::int64_t tokens = 0;  ///< T; what a step has less is padding
  std::int64_t table_rows = 1;
  std::int64_t blocks = 1;
  std::int64_t state_pages = 1;
  std::int64_t cache_pages = 1;
  std::int64_t capacity = 0;  ///< of the plan
};

/// Room for steps of `tokens` tokens of `requests` requests, at positions below the layer's.
RigSize rig_size(const Layer& layer, const EngineShape& shape, std::int64_t tokens,
                 std::int64_t requests);

/// Every buffer of a call, in a backend's memory, at addresses that stay: what an engine captures
/// into a graph. Two rigs that get the same steps and fills hold the same bytes.
class Rig {
 public:
  Rig(const Layer& layer, const EngineShape& shape, const RigSize& size, const Exec& exec);

  Call call;
  Exec exec;

  /// Writes the step's tokens into the buffers, padding with garbage in every field up to T.
  void load(const Step& step);
  /// Rows of state and compressed become numbers; all else that an op may write becomes garbage
  /// that differs from place to place, so that hardly a stray byte goes unseen.
  void fill(std::uint64_t seed);

  [[nodiscard]] Status run(Op op) { return pleat::run(op, call_for(op, call), exec); }
  /// With the call's plan, or as if it had none.
  [[nodiscard]] Status run(Op op, bool planned);
  /// The ops of the shape's path, the plan first where it has one.
  [[nodiscard]] std::vector<Op> ops() const;
  [[nodiscard]] Status play();

  [[nodiscard]] const Layer& layer() const { return *layer_; }
  [[nodiscard]] const EngineShape& shape() const { return shape_; }
  [[nodiscard]] const RigSize& size() const { return size_; }
  [[nodiscard]] Memory& memory() const { return *memory_; }

  [[nodiscard]] Bytes state() const { return buffers_.state.download(); }
  [[nodiscard]] Bytes cache() const { return buffers_.cache.download(); }
  [[nodiscard]] Bytes compressed() const { return compressed_.download(); }
  [[nodiscard]] Bytes plan() const { return plan_.download(); }
  /// Inputs that changed, bytes beside a buffer that did; empty where all is well.
  [[nodiscard]] std::string damage() const;

  /// All that a producer may write anew for the next step, metadata first: for copies between rigs.
  [[nodiscard]] std::vector<const Buffer*> inputs() const;
  [[nodiscard]] std::vector<const Buffer*> outputs() const;

 private:
  const Layer* layer_;
  EngineShape shape_;
  RigSize size_;
  Memory* memory_;
  Random random_;
  LayerBuffers buffers_;
  Buffer positions_;
  Buffer requests_;
  Buffer state_slots_;
  Buffer kv_slots_;
  Buffer block_table_;
  Buffer projection_;
  Buffer compressed_;
  Buffer plan_;
};

/// Where two rigs that were given the same differ; empty where they hold the same bytes.
std::string difference(const Rig& want, const Rig& got);

}  // namespace pleat::test
