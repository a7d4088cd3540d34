# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# PLEAT_HAVE_HIGHWAY=0 makes the CPU backend compile its scalar path; the bytes stay the same.
set(PLEAT_HAVE_HIGHWAY 0)
if(NOT PLEAT_HIGHWAY STREQUAL "OFF")
  find_package(hwy QUIET)
  if(TARGET hwy::hwy)
    set(PLEAT_HAVE_HIGHWAY 1)
  elseif(PLEAT_HIGHWAY STREQUAL "ON")
    message(FATAL_ERROR "PLEAT_HIGHWAY=ON, but find_package(hwy) found none (Debian: libhwy-dev)")
  endif()
endif()
message(STATUS "pleat: Highway SIMD ${PLEAT_HAVE_HIGHWAY}")
target_compile_definitions(pleat_flags INTERFACE PLEAT_HAVE_HIGHWAY=${PLEAT_HAVE_HIGHWAY})

# Highway's NEON is built for the AES instructions, too, which no server's ARM lacks. Functions that
# a compiler makes by itself, such as the constructor of a struct of vectors, have no such attribute
# of their own, and g++ does not inline across the difference.
if(PLEAT_HAVE_HIGHWAY AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  if(NOT CMAKE_CXX_FLAGS MATCHES "-m(arch|cpu)=")
    target_compile_options(pleat_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=armv8-a+crypto>)
  endif()
  # Where a vector is the sum's last one, its tag has no more use (numerics-inl.hpp, SumHalves).
  target_compile_options(pleat_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-unused-parameter>)
endif()
