// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "cuda/chain_cases.hpp"
#include "cuda/chain_kernels.hpp"
#include "support/pair_rig.hpp"
#include "support/rig.hpp"

// The buffers of a chain, and what its producers copy between them.
namespace pleat::test {

/// What all buffers of a case have in common.
struct Setting {
  Setting(const Case& c, std::uint64_t seed)
      : pair(c.pair()),
        layer(layer_shape(c, c.geometry, c.format)),
        indexer(layer_shape(c, Indexer::value, RowFormat::index_fp8)),
        shape(engine_shape(c)),
        size(rig_size(layer, shape, c.load.tokens, c.load.requests())),
        random(seed),
        twin(size.state_pages, size.cache_pages * shape.cache_rows, shape.state_rows, random) {}

  bool pair;
  Layer layer;
  Layer indexer;  ///< of a pair
  EngineShape shape;
  RigSize size;
  Random random;
  Twin twin;
};

/// The buffers that a case's calls work on: a layer's, and those of a pair's indexer.
class Buffers {
 public:
  Buffers(const Setting& s, const Exec& exec)
      : exec(exec), setting_(&s), main_(s.layer, s.shape, s.size, exec) {
    if (!s.pair) return;
    indexer_.emplace(s.indexer, s.shape, s.size, exec);
    share_batch(main_, *indexer_);
  }

  Exec exec;

  void hold(const Step& step, std::uint64_t seed) {
    main_.fill(seed);
    main_.load(step);
    if (!indexer_) return;
    indexer_->fill(seed + 1000);
    indexer_->load(setting_->twin.of(step));
  }

  [[nodiscard]] Status make_plan() {
    return main_.shape().plan ? run(Op::plan, main_.call, exec) : Status{};
  }
  /// All but the plan. Of a pair the CPU takes the two steps that csa_step stands for.
  [[nodiscard]] Status calls() {
    if (indexer_ && exec.backend == Backend::cuda) {
      return csa_step(main_.call, indexer_->call, exec);
    }
    for (const Rig* r : rigs()) {
      for (const Op op : ops_of(r->shape().path)) {
        if (Status s = run(op, call_for(op, r->call), exec); !s.ok()) return s;
      }
    }
    return {};
  }

  [[nodiscard]] std::vector<const Buffer*> inputs() const {
    std::vector<const Buffer*> all;
    for (const Rig* r : rigs()) {
      const auto of_rig = r->inputs();
      all.insert(all.end(), of_rig.begin(), of_rig.end());
    }
    return all;
  }
  [[nodiscard]] std::vector<const Buffer*> projections() const {
    std::vector<const Buffer*> all;
    for (const Rig* r : rigs())
      all.push_back(r->inputs().back());
    return all;
  }
  /// State and cache.
  [[nodiscard]] std::vector<const Buffer*> written() const {
    std::vector<const Buffer*> all;
    for (const Rig* r : rigs()) {
      all.push_back(r->outputs()[0]);
      all.push_back(r->outputs()[1]);
    }
    return all;
  }

 private:
  [[nodiscard]] std::vector<const Rig*> rigs() const {
    if (indexer_) return {&main_, &*indexer_};
    return {&main_};
  }

  const Setting* setting_;
  Rig main_;
  std::optional<Rig> indexer_;
};

/// What a consumer makes of state and cache.
inline std::uint64_t digest_of(const Buffers& buffers) {
  std::uint64_t sum = 0;
  std::int64_t index = 0;
  for (const Buffer* b : buffers.written()) {
    const Bytes bytes = b->download();
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, bytes.data() + i, 4);
      sum += digest_of_word(word, index++);
    }
  }
  return sum;
}

/// A round's producer, which copies buffers to those at the same place.
inline Production production(const std::vector<const Buffer*>& from,
                             const std::vector<const Buffer*>& to) {
  Production p{};
  for (std::size_t i = 0; i < from.size(); ++i) {
    EXPECT_EQ(from[i]->size() % 4, 0U);
    p.copies[p.count++] = {to[i]->data(), from[i]->data(),
                           static_cast<std::int64_t>(from[i]->size())};
  }
  return p;
}
/// All inputs, and state and cache as they are before the step.
inline Production whole_step(const Buffers& from, const Buffers& to) {
  std::vector<const Buffer*> source = from.inputs();
  std::vector<const Buffer*> target = to.inputs();
  for (const Buffer* b : from.written())
    source.push_back(b);
  for (const Buffer* b : to.written())
    target.push_back(b);
  return production(source, target);
}

}  // namespace pleat::test
