// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/first_nonzero.hpp"
#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/rig.hpp"

// State pages, cache pages, projection and compressed rows beyond 2^31 and 2^32 bytes, and beyond
// 2^31 fp32 elements, on the GPU. An offset cut to 32 bits reads zeros, or leaves bytes where there
// must be none.
namespace pleat::test {
namespace {

constexpr std::int64_t kSpan = (std::int64_t{9} << 30) + 4096;  ///< the last item starts here
constexpr std::int64_t kSpare = std::int64_t{1} << 30;          ///< left to others

enum class Far { state, cache, projection, compressed };

TensorView& view_of(Call& call, Far far) {
  switch (far) {
    case Far::state:
      return call.state.pages;
    case Far::cache:
      return call.cache;
    case Far::projection:
      return call.projection;
    case Far::compressed:
      break;
  }
  return call.compressed;
}

/// The buffer of a rig behind a view.
const Buffer* buffer_of(const Rig& rig, Far far) {
  switch (far) {
    case Far::state:
      return rig.outputs()[0];
    case Far::cache:
      return rig.outputs()[1];
    case Far::projection:
      return rig.inputs()[5];
    case Far::compressed:
      break;
  }
  return rig.outputs()[2];
}

/// A view's items (pages, rows) spread over gigabytes of zeros.
class Spread {
 public:
  explicit Spread(const TensorView& near) : near_(near), items_(near.shape[0]) {
    const std::int64_t element = size_of(near.dtype);
    item_bytes_ = near.stride[0] * element;
    // Odd multiples of 4 KiB: an address cut at 2^31 or 2^32 is no other item's.
    apart_ = kSpan / (items_ - 1) / 8192 * 8192 + 4096;
    size_ = static_cast<std::size_t>((items_ - 1) * apart_ + item_bytes_);
    std::size_t free = 0;
    std::size_t total = 0;
    must(cudaMemGetInfo(&free, &total));
    if (free < size_ + kSpare) return;
    void* p = nullptr;
    if (cudaMalloc(&p, size_) != cudaSuccess) {
      (void)cudaGetLastError();
      return;
    }
    data_ = static_cast<std::uint8_t*>(p);
    must(cudaMemset(data_, 0, size_));
  }
  Spread(const Spread&) = delete;
  Spread& operator=(const Spread&) = delete;
  ~Spread() {
    if (data_ != nullptr) cudaFree(data_);
  }

  [[nodiscard]] bool fits() const { return data_ != nullptr; }
  [[nodiscard]] std::size_t size() const { return size_; }

  [[nodiscard]] TensorView view() const {
    TensorView v = near_;
    v.data = data_;
    v.stride[0] = apart_ / size_of(v.dtype);
    return v;
  }

  void scatter(const Bytes& from) {
    for (std::int64_t i = 0; i < items_; ++i) {
      must(cudaMemcpy(data_ + i * apart_, from.data() + i * item_bytes_,
                      static_cast<std::size_t>(item_bytes_), cudaMemcpyHostToDevice));
    }
  }

  [[nodiscard]] Bytes gather() const {
    Bytes out(static_cast<std::size_t>(items_ * item_bytes_));
    for (std::int64_t i = 0; i < items_; ++i) {
      must(cudaMemcpy(out.data() + i * item_bytes_, data_ + i * apart_,
                      static_cast<std::size_t>(item_bytes_), cudaMemcpyDeviceToHost));
    }
    return out;
  }

  /// The first byte between items that is not zero any more, or -1. Wipes the items.
  std::int64_t stray() {
    for (std::int64_t i = 0; i < items_; ++i)
      must(cudaMemset(data_ + i * apart_, 0, static_cast<std::size_t>(item_bytes_)));
    return first_nonzero(data_, size_);
  }

 private:
  TensorView near_;
  std::int64_t items_;
  std::int64_t item_bytes_ = 0;
  std::int64_t apart_ = 0;
  std::size_t size_ = 0;
  std::uint8_t* data_ = nullptr;
};

struct Kind {
  const char* name;
  Geometry geometry;
  RowFormat format;
  std::int64_t positions;
};

void PrintTo(const Kind& k, std::ostream* out) {
  *out << k.name;
}

struct Place {
  const char* name;
  Far far;
};

void PrintTo(const Place& p, std::ostream* out) {
  *out << p.name;
}

class FarOffsets : public GpuTestWith<std::tuple<Kind, Place>> {};

TEST_P(FarOffsets, LargeBeyondFourGiB) {
  const Kind& kind = std::get<0>(GetParam());
  const Far far = std::get<1>(GetParam()).far;
  LayerShape s;
  s.compressor = {kind.geometry, Recipe::vllm, kind.format, 1e-6F};
  s.positions = kind.positions;
  const Layer layer(s);
  for (const bool special : {true, false}) {
    for (const EngineShape::Path path : {EngineShape::Path::step, EngineShape::Path::split}) {
      EngineShape shape;
      shape.path = path;
      shape.plan = special;
      shape.state_rows = special ? (kind.geometry.ratio == 4 ? 4 : 8) : 3;
      shape.cache_rows = 2;  // more pages
      SCOPED_TRACE(to_string(shape));
      const RigSize size = rig_size(layer, shape, 40, 20);
      Rig gpu(layer, shape, size, gpu_exec());
      Rig cpu(layer, shape, size, cpu_exec());
      Random random(29);
      // Many requests, so that windows close at tokens, in pages and rows near and far.
      auto requests = single_tokens(kind.geometry, 12, true, kind.positions, random);
      requests.push_back({kind.geometry.ratio - 1, 28});
      const Step step = draw_step(kind.geometry, shape, size, requests, random);
      for (Rig* r : {&gpu, &cpu}) {
        r->fill(4);
        r->load(step);
      }
      Spread spread(view_of(gpu.call, far));
      if (!spread.fits()) {
        GTEST_SKIP() << "the device has no " << ((spread.size() + kSpare) >> 20) << " MiB free";
      }
      const Buffer* near = buffer_of(gpu, far);
      const Bytes before = near->download();
      spread.scatter(before);
      const TensorView near_view = view_of(gpu.call, far);
      view_of(gpu.call, far) = spread.view();
      ASSERT_EQ(gpu.play().message(), "");
      ASSERT_EQ(cpu.play().message(), "");
      view_of(gpu.call, far) = near_view;
      const Bytes got = spread.gather();
      EXPECT_TRUE(got == buffer_of(cpu, far)->download()) << "the far bytes are not the CPU's";
      EXPECT_EQ(spread.stray(), -1) << "written between pages or rows";
      EXPECT_TRUE(near->download() == before);
      // The others lie near; with the far bytes beside them all must be equal.
      gpu.memory().write(near->data(), got.data(), got.size());
      EXPECT_EQ(difference(cpu, gpu), "");
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FarOffsets,
    ::testing::Combine(::testing::Values(Kind{"hca", Hca::value, RowFormat::fp8_mla, 300},
                                         Kind{"csa", Csa::value, RowFormat::fp8_mla, 60},
                                         Kind{"indexer", Indexer::value, RowFormat::index_mxfp4,
                                              60}),
                       ::testing::Values(Place{"state", Far::state}, Place{"cache", Far::cache},
                                         Place{"projection", Far::projection},
                                         Place{"compressed", Far::compressed})),
    [](const auto& info) {
      return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace pleat::test
