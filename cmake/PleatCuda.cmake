# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# The CUDA language and its flags. CMake 3.25 does not know nvcc 13: it ignores CUDA_STANDARD 20
# without a word and has no names for the newer architectures. Both are therefore spelled out, and
# cmake/cuda_flags_check.cu fails to compile where the flags did not arrive.
set(PLEAT_HAVE_CUDA 0)
if(NOT PLEAT_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS /usr/local/cuda/bin/nvcc)
    set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
  endif()
  set(CMAKE_CUDA_ARCHITECTURES OFF)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(PLEAT_HAVE_CUDA 1)
  elseif(PLEAT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PLEAT_CUDA=ON, but no nvcc was found (set CMAKE_CUDA_COMPILER)")
  endif()
endif()
target_compile_definitions(pleat_flags INTERFACE PLEAT_HAVE_CUDA=${PLEAT_HAVE_CUDA})
if(NOT PLEAT_HAVE_CUDA)
  message(STATUS "pleat: CUDA off (PLEAT_CUDA=${PLEAT_CUDA})")
  return()
endif()

enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
message(STATUS "pleat: CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${PLEAT_CUDA_ARCHITECTURES}")

set(_pleat_cuda_flags -std=c++20 --fmad=false -Xptxas=-v $<$<CONFIG:RelWithDebInfo>:-lineinfo>)
if(PLEAT_WERROR)
  list(APPEND _pleat_cuda_flags --Werror=all-warnings)
endif()
foreach(_arch IN LISTS PLEAT_CUDA_ARCHITECTURES)
  if(_arch MATCHES "^([0-9]+[af]?)-virtual$")
    set(_code compute_${CMAKE_MATCH_1})
    set(_arch ${CMAKE_MATCH_1})
  else()
    set(_code sm_${_arch})
  endif()
  list(APPEND _pleat_cuda_flags --generate-code=arch=compute_${_arch},code=${_code})
endforeach()
target_compile_options(pleat_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:${_pleat_cuda_flags}>")

# Keeps what ptxas says of each kernel beside its object; scripts/check-cuda-resources reads it.
set(CMAKE_CUDA_COMPILER_LAUNCHER ${PROJECT_SOURCE_DIR}/scripts/nvcc-log
    ${CMAKE_CUDA_COMPILER_LAUNCHER})
add_library(pleat_cuda_flags_check OBJECT cmake/cuda_flags_check.cu)
target_link_libraries(pleat_cuda_flags_check PRIVATE pleat_flags)
