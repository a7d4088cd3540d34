// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <cstring>
#include <vector>

#include "support/layer.hpp"
#include "support/machines.hpp"
#include "support/sparse.hpp"

// State, cache, projection and compressed rows that lie further than 2^31 and 2^32 bytes, and than
// 2^31 elements, from their view's start. An offset cut to 32 bits reads zeros or writes elsewhere.
namespace pleat::test {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

/// One request of two windows of CSA, each page of state and cache and each token's row so far from
/// the next that the last one lies beyond 2^32 bytes and 2^31 fp32 elements.
class FarCall {
 public:
  FarCall(const Layer& layer, const Exec& exec)
      : layer_(layer),
        exec_(exec),
        state_(kPages * kApart),
        cache_(kPages * kApart),
        projection_(kTokens * kTokenApart),
        compressed_(kTokens * kTokenApart) {}

  [[nodiscard]] bool mapped() const {
    return state_.data() != nullptr && cache_.data() != nullptr && projection_.data() != nullptr &&
           compressed_.data() != nullptr;
  }

  void prepare() {
    const Geometry& g = layer_.geometry();
    for (std::int64_t t = 0; t < kTokens; ++t) {
      positions_.push_back(t);
      requests_.push_back(0);
      state_slots_.push_back(kPageOf[t / kRows] * kRows + t % kRows);
      kv_slots_.push_back((t + 1) % g.ratio == 0 ? kPages * 2 - 1 - t / g.ratio : -1);
      const Bytes row = layer_.projection_bytes({0, t, 0});
      std::memcpy(projection_.data() + t * kTokenApart, row.data(), row.size());
    }
    auto* ape = const_cast<float*>(layer_.ape().data());  // views are not const; only read
    auto* rope = const_cast<float*>(layer_.rope().data());
    auto* norm = const_cast<std::uint8_t*>(layer_.norm().data());
    const RowLayout layout = row_layout(layer_.shape().compressor.row_format, g);
    call_.compressor = layer_.shape().compressor;
    call_.batch = {TensorView::packed(positions_.data(), DType::i64, kTokens),
                   TensorView::packed(requests_.data(), DType::i32, kTokens),
                   TensorView::packed(state_slots_.data(), DType::i64, kTokens),
                   TensorView::packed(kv_slots_.data(), DType::i64, kTokens)};
    call_.projection = {
        projection_.data(), DType::f32, 2, {kTokens, g.row_width()}, {kTokenApart / 4, 1}};
    call_.compressed = {
        compressed_.data(), DType::f32, 2, {kTokens, g.head_dim}, {kTokenApart / 4, 1}};
    call_.state.pages =
        TensorView::paged(state_.data(), DType::f32, kPages, kRows, g.row_width(), kApart / 4);
    call_.state.block_table = TensorView::packed(kPageOf, DType::i32, 1, 2);
    call_.cache =
        TensorView::paged(cache_.data(), DType::u8, kPages, 2, layout.row_bytes(), kApart);
    call_.weights.ape = TensorView::packed(ape, DType::f32, g.ratio, g.state_width());
    call_.weights.norm = TensorView::packed(norm, layer_.shape().norm, g.head_dim);
    call_.weights.rope = layer_.rope_view(rope);
  }

  void run(Op op) {
    const Status s = pleat::run(op, call_, exec_);
    ASSERT_TRUE(s.ok()) << name(op) << ": " << s.message();
  }

  void clear_cache() {
    for (std::int64_t page = 0; page < kPages; ++page)
      std::memset(cache_.data() + page * kApart, 0, 4096);
  }

  void expect_state() {
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const Bytes want = layer_.state_bytes({0, t, 0});
      const std::uint8_t* got = state_.data() + kPageOf[t / kRows] * kApart +
                                t % kRows * layer_.geometry().row_width() * 4;
      ASSERT_EQ(std::memcmp(got, want.data(), want.size()), 0) << "state of position " << t;
    }
  }

  void expect_rows(const char* after) {
    const RowLayout layout = row_layout(layer_.shape().compressor.row_format, layer_.geometry());
    for (std::int64_t window = 0; window < 2; ++window) {
      const std::int64_t slot = kPages * 2 - 1 - window;
      const std::uint8_t* page = cache_.data() + slot / 2 * kApart;
      const Bytes& want = layer_.cache_row(0, window);
      ASSERT_EQ(std::memcmp(page + layout.value_offset(slot % 2), want.data(),
                            static_cast<std::size_t>(layout.value_bytes)),
                0)
          << after << ", window " << window;
      ASSERT_EQ(
          std::memcmp(page + layout.scale_offset(2, slot % 2), want.data() + layout.value_bytes,
                      static_cast<std::size_t>(layout.scale_bytes)),
          0)
          << after << ", window " << window;
    }
  }

  /// Pages that nobody owns: where a cut offset would have landed.
  void expect_nothing_near_the_start() {
    for (const std::uint8_t* base : {state_.data(), cache_.data()}) {
      for (std::int64_t i = 0; i < (std::int64_t{1} << 20); ++i)
        ASSERT_EQ(base[i], 0) << i;
    }
  }

 private:
  static constexpr std::int64_t kPages = 5;
  static constexpr std::int64_t kApart = 3 * kGiB - 4096;  // page 4 starts at about 12 GiB
  static constexpr std::int64_t kTokens = 8;
  static constexpr std::int64_t kTokenApart = 2 * kGiB - 2048;
  static constexpr std::int64_t kRows = 4;
  static inline std::int32_t kPageOf[2] = {4, 2};

  const Layer& layer_;
  Exec exec_;
  SparseMapping state_;
  SparseMapping cache_;
  SparseMapping projection_;
  SparseMapping compressed_;
  std::vector<std::int64_t> positions_;
  std::vector<std::int32_t> requests_;
  std::vector<std::int64_t> state_slots_;
  std::vector<std::int64_t> kv_slots_;
  Call call_;
};

TEST(Offsets, BeyondFourGiBInEveryView) {
  LayerShape shape;
  shape.compressor = {Csa::value, Recipe::vllm, RowFormat::fp8_mla, 1e-6F};
  shape.positions = 8;
  const Layer layer(shape);
  for (const Machine& m : machines()) {
    if (m.exec.backend == Backend::cuda) continue;  // host mappings
    SCOPED_TRACE(m.name);
    FarCall far(layer, m.exec);
    if (!far.mapped()) GTEST_SKIP() << "this system gives no sparse mapping of 62 GiB";
    far.prepare();
    far.run(Op::step);
    far.expect_state();
    far.expect_rows("step");
    far.clear_cache();
    far.run(Op::compress_store);
    far.expect_rows("compress_store");
    far.clear_cache();
    far.run(Op::compress);
    far.run(Op::norm_rope_store);
    far.expect_rows("compress, norm_rope_store");
    far.expect_nothing_near_the_start();
  }
}

TEST(Offsets, SaveStateBeyondFourGiB) {
  LayerShape shape;
  shape.compressor = {Csa::value, Recipe::vllm, RowFormat::fp8_mla, 1e-6F};
  shape.positions = 8;
  const Layer layer(shape);
  for (const Machine& m : machines()) {
    if (m.exec.backend == Backend::cuda) continue;
    SCOPED_TRACE(m.name);
    FarCall far(layer, m.exec);
    if (!far.mapped()) GTEST_SKIP() << "this system gives no sparse mapping of 62 GiB";
    far.prepare();
    far.run(Op::save_state);
    far.expect_state();
    far.run(Op::compress_store);
    far.expect_rows("save_state, compress_store");
    far.expect_nothing_near_the_start();
  }
}

}  // namespace
}  // namespace pleat::test
