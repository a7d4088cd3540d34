# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# One libFuzzer program per fuzz/*_fuzz.cpp, all in <build>/fuzz/, so that `dev` can run the folder.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "PLEAT_BUILD_FUZZ needs clang; the compiler is ${CMAKE_CXX_COMPILER_ID}")
endif()
file(GLOB _pleat_fuzzers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fuzz/*_fuzz.cpp)
foreach(_fuzzer IN LISTS _pleat_fuzzers)
  cmake_path(GET _fuzzer STEM _name)
  add_executable(${_name} ${_fuzzer})
  target_link_libraries(${_name} PRIVATE pleat_internal)
  if(TARGET pleat_tools)
    target_link_libraries(${_name} PRIVATE pleat_tools)
  endif()
  target_link_options(${_name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${_name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
endforeach()
