# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# pleat_flags: what every file of the project is compiled with. It is never installed.
#
# The bytes of the result depend on two of these: no contraction (a * b + c stays two roundings
# unless the source says fma) and never fast-math. Keep them for host and device alike.
add_library(pleat_flags INTERFACE)
# As a feature, not CMAKE_CXX_STANDARD: CUDA would inherit that one, and CMake 3.25 then gives up.
target_compile_features(pleat_flags INTERFACE cxx_std_20)

set(_pleat_host_flags -Wall -Wextra -ffp-contract=off)
if(PLEAT_WERROR)
  list(APPEND _pleat_host_flags -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # SIMD vectors passed by value between internal functions: the ABI note is not about us.
  # g++ 12 warns of overlap inside std::string for `text = "x"` (GCC bug 105651), and at -O3 of the
  # bytes that a std::vector copies to memory it has just asked for: nothing is wrong.
  list(APPEND _pleat_host_flags -Wno-psabi -Wno-restrict -Wno-stringop-overflow)
endif()

if(PLEAT_SANITIZE)
  list(APPEND _pleat_host_flags -fsanitize=${PLEAT_SANITIZE} -fno-sanitize-recover=all
       -fno-omit-frame-pointer)
  target_link_options(pleat_flags INTERFACE -fsanitize=${PLEAT_SANITIZE})
  # Tests shrink their exhaustive sweeps under a sanitizer, which is some ten times slower.
  target_compile_definitions(pleat_flags INTERFACE PLEAT_SANITIZED=1)
endif()
if(PLEAT_BUILD_FUZZ)
  list(APPEND _pleat_host_flags -fsanitize=fuzzer-no-link)
endif()

string(REPLACE ";" "," _pleat_xcompiler "${_pleat_host_flags}")
target_compile_options(pleat_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:C,CXX>:${_pleat_host_flags}>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${_pleat_xcompiler}>")
target_compile_definitions(pleat_flags INTERFACE PLEAT_VERSION="${PROJECT_VERSION}")
