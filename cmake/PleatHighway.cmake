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
