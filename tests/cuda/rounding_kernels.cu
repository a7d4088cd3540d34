// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cuda/rounding_kernels.hpp"

#include "numerics/order.hpp"
#include "support/gpu.hpp"

namespace pleat::test {
namespace {

template <class T>
class OnDevice {
 public:
  OnDevice() {
    must(cudaMalloc(reinterpret_cast<void**>(&at_), sizeof(T)));
    must(cudaMemset(at_, 0, sizeof(T)));
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(at_); }

  [[nodiscard]] T* get() const { return at_; }
  [[nodiscard]] T read() const {
    T value{};
    must(cudaGetLastError());
    must(cudaMemcpy(&value, at_, sizeof value, cudaMemcpyDeviceToHost));
    return value;
  }

 private:
  T* at_ = nullptr;
};

template <bool Root>
__global__ void count_wrong(std::uint32_t first, std::uint32_t last, unsigned long long* wrong) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x;
  unsigned long long mine = 0;
  for (std::uint64_t u = first + std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; u <= last;
       u += step) {
    const float x = __uint_as_float(static_cast<std::uint32_t>(u));
    const float got = Root ? numerics::root(x) : numerics::reciprocal(x);
    const float want = Root ? __fsqrt_rn(x) : __frcp_rn(x);
    mine += __float_as_uint(got) != __float_as_uint(want);
  }
  if (mine != 0) atomicAdd(wrong, mine);
}

__global__ void scale_of(double mean, float* scale) {
  *scale = numerics::rms_scale(mean);
}

template <bool Root>
std::uint64_t wrong_of(std::uint32_t first, std::uint32_t last) {
  const OnDevice<unsigned long long> wrong;
  count_wrong<Root><<<2048, 256>>>(first, last, wrong.get());
  return wrong.read();
}

}  // namespace

std::uint64_t wrong_reciprocals(std::uint32_t first, std::uint32_t last) {
  return wrong_of<false>(first, last);
}
std::uint64_t wrong_roots(std::uint32_t first, std::uint32_t last) {
  return wrong_of<true>(first, last);
}

float device_rms_scale(double mean) {
  const OnDevice<float> scale;
  scale_of<<<1, 1>>>(mean, scale.get());
  return scale.read();
}

}  // namespace pleat::test
