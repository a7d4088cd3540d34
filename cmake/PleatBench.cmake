# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# One Google Benchmark program per bench/*.cpp: bench/pool.cpp gives bench.pool.
find_package(benchmark REQUIRED)
file(GLOB _pleat_benches CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.cpp)
foreach(_bench IN LISTS _pleat_benches)
  cmake_path(GET _bench STEM _name)
  string(PREPEND _name bench.)
  add_executable(${_name} ${_bench})
  target_link_libraries(${_name} PRIVATE pleat_internal benchmark::benchmark_main)
  if(TARGET pleat_tools)
    target_link_libraries(${_name} PRIVATE pleat_tools)
  endif()
endforeach()
