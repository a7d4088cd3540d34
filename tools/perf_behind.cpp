// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/perf_behind.hpp"

#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tools/blas.hpp"
#include "tools/cuda_handles.hpp"
#include "tools/graph_timer.hpp"
#include "tools/perf_calls.hpp"
#include "tools/stand_in.cuh"

namespace pleat::tools {
namespace {

/// Normal enough, in bf16: sums of four uniform numbers, times scale.
std::vector<std::uint16_t> random_bf16(std::int64_t count, float scale) {
  std::vector<std::uint16_t> out(static_cast<std::size_t>(count));
  std::uint32_t x = 1;
  for (std::uint16_t& v : out) {
    x = x * 1664525U + 1013904223U;
    const auto sum =
        static_cast<std::int32_t>((x >> 8 & 63U) + (x >> 14 & 63U) + (x >> 20 & 63U) + (x >> 26));
    v = static_cast<std::uint16_t>(
        std::bit_cast<std::uint32_t>(static_cast<float>(sum - 126) / 37.0F * scale) >> 16);
  }
  return out;
}

/// As many copies of a matrix in device memory as are asked for.
class Matrices {
 public:
  Matrices(std::int64_t elements, float scale, std::int64_t copies)
      : bytes_(static_cast<std::size_t>(elements) * 2),
        memory_(bytes_ * static_cast<std::size_t>(copies)) {
    const std::vector<std::uint16_t> one = random_bf16(elements, scale);
    for (std::int64_t i = 0; i < copies; ++i)
      must(cudaMemcpy((*this)[i], one.data(), bytes_, cudaMemcpyHostToDevice), "upload");
  }
  [[nodiscard]] char* operator[](std::int64_t i) const {
    return static_cast<char*>(memory_.get()) + bytes_ * static_cast<std::size_t>(i);
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  DeviceMemory memory_;
};

/// What one projection of a row's calls is made of: x [T, kHiddenWidth] once, weights
/// [N, kHiddenWidth] as many times as there are calls.
struct Factors {
  Matrices x;
  Matrices weights;
  std::int64_t tokens;
  std::int64_t width;

  Factors(const TensorView& projection, std::int64_t calls)
      : x(projection.shape[0] * kHiddenWidth, 1.0F, 1),
        weights(projection.shape[1] * kHiddenWidth, 1.0F / 64, calls),
        tokens(projection.shape[0]),
        width(projection.shape[1]) {}
};

/// Makes a projection from factors, of call i.
using Product = std::function<void(const Factors&, std::int64_t i, float* projection)>;

struct NamedProduct {
  const char* name;
  Product run;
};

std::vector<NamedProduct> products(Blas* blas, cudaStream_t stream) {
  std::vector<NamedProduct> out;
  if (blas != nullptr) {
    out.push_back({"cuBLAS", [blas](const Factors& f, std::int64_t i, float* projection) {
                     blas->multiply(f.x[0], f.weights[i], projection, f.tokens, f.width,
                                    kHiddenWidth);
                   }});
  }
  const auto add = [&](const char* name, Trigger trigger) {
    out.push_back({name, [=](const Factors& f, std::int64_t i, float* projection) {
                     must(stand_in_for_product(f.weights[i], f.weights.bytes(), projection,
                                               static_cast<std::size_t>(f.tokens * f.width),
                                               trigger, stream),
                          "product");
                   }});
  };
  add("stand-in, no trigger", Trigger::never);
  add("stand-in, triggers after reading", Trigger::after_reads);
  add("stand-in, triggers at its start", Trigger::at_start);
  return out;
}

}  // namespace

std::vector<BehindMeasurement> measure_behind(const PerfRow& row) {
  const Stream stream;
  Exec exec;
  exec.backend = Backend::cuda;
  exec.stream = stream.handle;
  const PerfCalls calls(row, exec);
  std::vector<Factors> factors;
  for (const TensorView& projection : calls.projections(0))
    factors.emplace_back(projection, calls.count());
  const std::unique_ptr<Blas> blas = Blas::load(stream.handle);

  std::vector<BehindMeasurement> out;
  for (const NamedProduct& product : products(blas.get(), stream.handle)) {
    const auto multiply = [&](std::int64_t i) {
      const std::vector<TensorView> projections = calls.projections(i);
      for (std::size_t f = 0; f < factors.size(); ++f)
        product.run(factors[f], i, static_cast<float*>(projections[f].data));
    };
    const auto behind = [&](Chain chain) {
      exec.chain = chain;
      return time_in_turn(stream.handle, calls.count(), [&](std::int64_t i) {
        multiply(i);
        calls.launch(i, exec);
      });
    };
    BehindMeasurement m{};
    m.product = product.name;
    m.product_us = time_in_turn(stream.handle, calls.count(), multiply);
    m.unchained_us = behind(Chain::none);
    m.late_us = behind(Chain::late);
    m.early_us = behind(Chain::early);
    out.push_back(m);
  }
  return out;
}

}  // namespace pleat::tools
