// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/plan.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "cpu/backend.hpp"
#include "reference/backend.hpp"
#include "support/memory.hpp"
#include "support/random.hpp"
#include "support/scale.hpp"

namespace pleat::test {
namespace {

struct Tokens {
  std::vector<std::int64_t> positions;
  std::vector<std::int32_t> requests;
  std::vector<std::int64_t> slots;

  void add(std::int64_t position, std::int32_t request, std::int64_t slot) {
    positions.push_back(position);
    requests.push_back(request);
    slots.push_back(slot);
  }
  [[nodiscard]] Batch batch() {
    const auto n = static_cast<std::int64_t>(positions.size());
    Batch b;
    b.positions = TensorView::packed(positions.data(), DType::i64, n);
    b.token_to_req = TensorView::packed(requests.data(), DType::i32, n);
    b.state_slots = TensorView::packed(slots.data(), DType::i64, n);
    return b;
  }
};

/// Requests of any length at any place, with padding between them and, if `broken`, inside them,
/// and with positions left out.
Tokens random_tokens(Random& random, bool broken) {
  Tokens t;
  for (std::int32_t request = 0; request < random.between(0, 12); ++request) {
    std::int64_t p = random.between(0, 300);
    for (std::int64_t n = random.chance(0.5) ? 1 : random.between(1, 200); n > 0; --n, ++p) {
      if (broken && random.chance(0.05)) t.add(-77, -5, -1);
      if (broken && random.chance(0.05)) ++p;
      t.add(p, request, random.between(0, 1 << 20));
    }
    while (random.chance(0.3))
      t.add(random.between(-500, 500), static_cast<std::int32_t>(random.between(-3, 20)), -1);
  }
  return t;
}

Bytes planned(Status (*backend)(Op, const Call&, const Exec&), Call call, std::int64_t capacity) {
  const auto bytes = static_cast<std::size_t>(plan_bytes(capacity));
  Bytes memory(bytes + 64, 0x5A);
  auto* aligned = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  call.plan = {aligned, capacity};
  EXPECT_TRUE(backend(Op::plan, call, {}).ok());
  return {aligned, aligned + bytes};
}

TEST(CpuPlan, HasTheReferencesBytes) {
  std::int64_t closing = 0;
  for (const std::uint64_t seed : seeds(400)) {
    Random random(seed);
    Tokens tokens = random_tokens(random, seed % 2 == 0);
    Call call;
    call.batch = tokens.batch();
    call.compressor.geometry =
        random.pick<Geometry>({Hca::value, Csa::value, {1, false, 512, 64, false}});
    call.write.policy = random.chance(0.5) ? StatePolicy::tail : StatePolicy::all;
    call.write.rollback = static_cast<std::int32_t>(random.between(0, 9));
    call.state.layout = random.chance(0.5) ? StateLayout::ring : StateLayout::paged;
    call.state.pages = TensorView::paged(nullptr, DType::f32, 1, random.between(1, 200), 8, 2000);
    const std::int64_t capacity = call.batch.positions.shape[0] + random.below(70);
    const Bytes want = planned(reference::run, call, capacity);
    ASSERT_EQ(planned(cpu::run, call, capacity), want) << "seed " << seed;
    closing += plan_pointers(const_cast<std::uint8_t*>(want.data()), capacity).header->closing;
  }
  EXPECT_GT(closing, 0);
}

TEST(CpuPlan, KnowsUnbrokenRequests) {
  const auto unbroken = [](Tokens t) { return cpu::is_unbroken(t.batch()); };
  Tokens t;
  EXPECT_TRUE(unbroken(t));
  t.add(5, 0, 1);
  t.add(6, 0, 2);
  t.add(0, 9, -1);  // padding between requests
  t.add(6, 1, 3);
  t.add(7, 1, 4);
  EXPECT_TRUE(unbroken(t));
  Tokens gap = t;
  gap.add(9, 1, 5);
  EXPECT_FALSE(unbroken(gap));
  Tokens padded = t;
  padded.add(8, 1, -1);
  padded.add(8, 1, 5);
  EXPECT_FALSE(unbroken(padded));
}

}  // namespace
}  // namespace pleat::test
