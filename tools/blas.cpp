// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/blas.hpp"

#if __has_include(<cublas_v2.h>)

#include <cublas_v2.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "tools/cuda_handles.hpp"
#include "tools/error.hpp"

namespace pleat::tools {
namespace {

void must_blas(cublasStatus_t s, const char* what) {
  if (s != CUBLAS_STATUS_SUCCESS) throw fail("{}: cuBLAS status {}", what, static_cast<int>(s));
}

/// A function of the library, of the type that its header declares.
template <class F>
F* function_of(void* library, const char* name) {
  auto* f = reinterpret_cast<F*>(dlsym(library, name));
  if (f == nullptr) throw fail("libcublas has no {}", name);
  return f;
}

/// The one of two overloads that is in the library.
using GemmEx = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                              const void*, const void*, cudaDataType, int, const void*,
                              cudaDataType, int, const void*, void*, cudaDataType, int,
                              cublasComputeType_t, cublasGemmAlgo_t);
using DeclaredGemmEx = decltype(static_cast<GemmEx*>(&cublasGemmEx));  // or it does not compile

constexpr std::size_t kWorkspace = 32 << 20;  // bytes, as cuBLAS asks for on sm_90

class LoadedBlas final : public Blas {
 public:
  LoadedBlas(void* library, cudaStream_t stream)
      : destroy_(function_of<decltype(cublasDestroy_v2)>(library, "cublasDestroy_v2")),
        multiply_(function_of<GemmEx>(library, "cublasGemmEx")),
        workspace_(kWorkspace) {
    const auto create = function_of<decltype(cublasCreate_v2)>(library, "cublasCreate_v2");
    const auto to = function_of<decltype(cublasSetStream_v2)>(library, "cublasSetStream_v2");
    const auto with =
        function_of<decltype(cublasSetWorkspace_v2)>(library, "cublasSetWorkspace_v2");
    must_blas(create(&handle_), "cublasCreate");
    must_blas(to(handle_, stream), "cublasSetStream");
    // Its own would be allocated while a graph is captured.
    must_blas(with(handle_, workspace_.get(), kWorkspace), "cublasSetWorkspace");
  }
  ~LoadedBlas() override { destroy_(handle_); }
  LoadedBlas(const LoadedBlas&) = delete;
  LoadedBlas& operator=(const LoadedBlas&) = delete;

  void multiply(const void* x, const void* w, float* out, std::int64_t t, std::int64_t n,
                std::int64_t k) override {
    const float one = 1;
    const float zero = 0;
    const auto rows = static_cast<int>(t);
    const auto columns = static_cast<int>(n);
    const auto inner = static_cast<int>(k);
    // It takes matrices column by column: there this is out^T = w x^T.
    must_blas(multiply_(handle_, CUBLAS_OP_T, CUBLAS_OP_N, columns, rows, inner, &one, w,
                        CUDA_R_16BF, inner, x, CUDA_R_16BF, inner, &zero, out, CUDA_R_32F, columns,
                        CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
              "cublasGemmEx");
  }

 private:
  cublasHandle_t handle_ = nullptr;
  decltype(&cublasDestroy_v2) destroy_;
  DeclaredGemmEx multiply_;
  DeviceMemory workspace_;
};

}  // namespace

std::unique_ptr<Blas> Blas::load(cudaStream_t stream) {
  const std::string soname = fmt::format("libcublas.so.{}", CUBLAS_VER_MAJOR);
  for (const std::string& name : {soname, "/usr/local/cuda/lib64/" + soname}) {
    // Never closed: it holds state of the process's CUDA context.
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) return std::make_unique<LoadedBlas>(library, stream);
  }
  return nullptr;
}

}  // namespace pleat::tools

#else

namespace pleat::tools {

std::unique_ptr<Blas> Blas::load(cudaStream_t /*stream*/) {
  return nullptr;
}

}  // namespace pleat::tools

#endif
