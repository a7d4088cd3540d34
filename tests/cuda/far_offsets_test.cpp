// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pleat/pleat.hpp>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/first_nonzero.hpp"
#include "cuda/launch.cuh"
#include "support/draw_step.hpp"
#include "support/gpu.hpp"
#include "support/pair_rig.hpp"
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

constexpr Place kPlaces[] = {{"state", Far::state},
                             {"cache", Far::cache},
                             {"projection", Far::projection},
                             {"compressed", Far::compressed}};

Layer layer_of(const Geometry& g, RowFormat format, std::int64_t positions) {
  LayerShape s;
  s.compressor = {g, Recipe::vllm, format, 1e-6F};
  s.positions = positions;
  return Layer(s);
}

/// The special layout, or one that no page size fits.
EngineShape shape_of(const Geometry& g, EngineShape::Path path, bool special) {
  EngineShape s;
  s.path = path;
  s.plan = special;
  s.state_rows = special ? special_state_rows(g) : 3;
  s.cache_rows = special ? special_cache_rows(g) : 3;
  return s;
}

/// Room for step_of() with enough pages of the cache that some lie below 2^31 bytes, some between
/// that and 2^32, and some beyond.
RigSize size_of_rig(const Layer& layer, const EngineShape& shape) {
  RigSize s = rig_size(layer, shape, 40, 20);
  s.cache_pages = std::max<std::int64_t>(s.cache_pages, 8);
  return s;
}

/// Many requests, so that windows close at tokens, in pages and rows near and far.
Step step_of(const Layer& layer, const EngineShape& shape, const RigSize& size, Random& random) {
  const Geometry& g = layer.geometry();
  auto requests = single_tokens(g, 12, true, layer.shape().positions, random);
  requests.push_back({g.ratio - 1, 28});
  return draw_step(g, shape, size, requests, random);
}

/// Of a step, rows of a projection that lie apart are not what the special kernel reads.
void expect_kernel(const std::string& text, bool compiled, bool special, bool step, Far far) {
  const bool packed = !step || far != Far::projection;
  EXPECT_THAT(text, testing::HasSubstr(!compiled           ? "any-geometry"
                                       : special && packed ? "special"
                                                           : "generic"));
}

void expect_kernels(const Rig& rig, bool special, Far far) {
  for (const Op op : rig.ops()) {
    if (op == Op::plan || op == Op::save_state) continue;  // one kernel for all layouts
    std::string text;
    ASSERT_EQ(describe(op, call_for(op, rig.call), rig.exec, &text).message(), "");
    expect_kernel(text, cuda::is_compiled(rig.layer().geometry()), special, op == Op::step, far);
  }
}

/// Plays with the buffer \p far of \p gpu spread over gigabytes. All of it must then hold what \p
/// cpu does, and the spread nothing else.
void play_far(Far far, Rig& gpu, const Rig& cpu, const std::function<Status()>& on_gpu,
              const std::function<Status()>& on_cpu) {
  Spread spread(view_of(gpu.call, far));
  if (!spread.fits()) {
    GTEST_SKIP() << "the device has no " << ((spread.size() + kSpare) >> 20) << " MiB free";
  }
  const Buffer* near = buffer_of(gpu, far);
  const Bytes before = near->download();
  spread.scatter(before);
  const TensorView near_view = view_of(gpu.call, far);
  view_of(gpu.call, far) = spread.view();
  ASSERT_EQ(on_gpu().message(), "");
  ASSERT_EQ(on_cpu().message(), "");
  view_of(gpu.call, far) = near_view;
  const Bytes got = spread.gather();
  EXPECT_TRUE(got == buffer_of(cpu, far)->download()) << "the far bytes are not the CPU's";
  EXPECT_EQ(spread.stray(), -1) << "written between pages or rows";
  EXPECT_TRUE(near->download() == before);
  // The others lie near; with the far bytes beside them all must be equal.
  gpu.memory().write(near->data(), got.data(), got.size());
  EXPECT_EQ(difference(cpu, gpu), "");
}

class FarOffsets : public GpuTestWith<std::tuple<Kind, Place>> {};

TEST_P(FarOffsets, LargeBeyondFourGiB) {
  const auto& [kind, place] = GetParam();
  const Far far = place.far;
  const Layer layer = layer_of(kind.geometry, kind.format, kind.positions);
  for (const bool special : {true, false}) {
    for (const EngineShape::Path path : {EngineShape::Path::step, EngineShape::Path::split}) {
      const EngineShape shape = shape_of(kind.geometry, path, special);
      SCOPED_TRACE(to_string(shape));
      const RigSize size = size_of_rig(layer, shape);
      Rig gpu(layer, shape, size, gpu_exec());
      Rig cpu(layer, shape, size, cpu_exec());
      Random random(29);
      const Step step = step_of(layer, shape, size, random);
      for (Rig* r : {&gpu, &cpu}) {
        r->fill(4);
        r->load(step);
      }
      const auto on_gpu = [&] {
        expect_kernels(gpu, special, far);
        return gpu.play();
      };
      play_far(far, gpu, cpu, on_gpu, [&] { return cpu.play(); });
      if (HasFailure() || IsSkipped()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FarOffsets,
    ::testing::Combine(
        ::testing::Values(Kind{"hca", Hca::value, RowFormat::fp8_mla, 300},
                          Kind{"csa", Csa::value, RowFormat::fp8_mla, 60},
                          Kind{"indexer", Indexer::value, RowFormat::index_mxfp4, 60},
                          Kind{"any", Geometry{8, true, 256, 32, true}, RowFormat::bf16, 100}),
        ::testing::ValuesIn(kPlaces)),
    [](const auto& info) {
      return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param).name;
    });

/// csa_step: whether it is the indexer's buffer that is far, and which.
class FarPairs : public GpuTestWith<std::tuple<bool, Place>> {};

TEST_P(FarPairs, LargeBeyondFourGiB) {
  const auto& [of_indexer, place] = GetParam();
  const Far far = place.far;
  const Layer main = layer_of(Csa::value, RowFormat::fp8_mla, 60);
  const Layer indexer = layer_of(Indexer::value, RowFormat::index_mxfp4, 60);
  for (const bool special : {true, false}) {
    const EngineShape shape = shape_of(Csa::value, EngineShape::Path::step, special);
    SCOPED_TRACE(to_string(shape));
    const RigSize size = size_of_rig(main, shape);
    PairRig gpu(main, indexer, shape, size, gpu_exec());
    PairRig cpu(main, indexer, shape, size, cpu_exec());
    Random random(31);
    const Twin twin(size.state_pages, size.cache_pages * shape.cache_rows, shape.state_rows,
                    random);
    const Step step = step_of(main, shape, size, random);
    for (PairRig* r : {&gpu, &cpu}) {
      r->fill(4);
      r->load(step, twin);
    }
    const auto on_gpu = [&] {
      std::string text;
      EXPECT_EQ(describe_csa_step(gpu.main.call, gpu.indexer.call, gpu.main.exec, &text).message(),
                "");
      expect_kernel(text, true, special, true, far);
      return gpu.play(true);
    };
    play_far(far, of_indexer ? gpu.indexer : gpu.main, of_indexer ? cpu.indexer : cpu.main, on_gpu,
             [&] { return cpu.play(false); });
    if (HasFailure() || IsSkipped()) return;
    EXPECT_EQ(difference(of_indexer ? cpu.main : cpu.indexer, of_indexer ? gpu.main : gpu.indexer),
              "");
  }
}

// All but compressed, which a step has none of.
INSTANTIATE_TEST_SUITE_P(All, FarPairs,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::ValuesIn(kPlaces, kPlaces + 3)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param) ? "indexer_" : "main_") +
                                  std::get<1>(info.param).name;
                         });

}  // namespace
}  // namespace pleat::test
