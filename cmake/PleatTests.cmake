# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# One GoogleTest program per tests/**/*_test.cpp, named after its path below tests/.
# tests/cuda/ is built only with CUDA and carries the label gpu; its tests skip without a GPU.
include(GoogleTest)
find_package(GTest REQUIRED)
find_package(rapidcheck QUIET)
set(CMAKE_GTEST_DISCOVER_TESTS_DISCOVERY_MODE PRE_TEST)

file(GLOB_RECURSE _pleat_support CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/*.cpp)
add_library(pleat_test_deps INTERFACE)
target_link_libraries(pleat_test_deps INTERFACE pleat_internal GTest::gtest GTest::gmock)
target_include_directories(pleat_test_deps INTERFACE ${PROJECT_SOURCE_DIR}/tests)
target_compile_definitions(pleat_test_deps INTERFACE
  PLEAT_SOURCE_DIR="${PROJECT_SOURCE_DIR}" PLEAT_BINARY_DIR="${PROJECT_BINARY_DIR}")
if(TARGET rapidcheck)
  target_link_libraries(pleat_test_deps INTERFACE rapidcheck)
  target_compile_definitions(pleat_test_deps INTERFACE PLEAT_HAVE_RAPIDCHECK=1)
endif()
if(TARGET pleat_tools)
  target_link_libraries(pleat_test_deps INTERFACE pleat_tools)
endif()
if(_pleat_support)
  add_library(pleat_test_support STATIC ${_pleat_support})
  target_link_libraries(pleat_test_support PUBLIC pleat_test_deps)
else()
  add_library(pleat_test_support ALIAS pleat_test_deps)
endif()

file(GLOB_RECURSE _pleat_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/*_test.cpp
     ${PROJECT_SOURCE_DIR}/tests/*_test.cu)
list(FILTER _pleat_tests EXCLUDE REGEX "/tests/(compile_fail|consumer)/")
foreach(_test IN LISTS _pleat_tests)
  cmake_path(RELATIVE_PATH _test BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/tests OUTPUT_VARIABLE _name)
  cmake_path(REMOVE_EXTENSION _name)
  string(REPLACE "/" "." _name ${_name})
  set(_labels cpu)
  if(_name MATCHES "^cuda\\.")
    if(NOT PLEAT_HAVE_CUDA)
      continue()
    endif()
    set(_labels gpu)
  endif()
  add_executable(${_name} ${_test})
  target_link_libraries(${_name} PRIVATE pleat_test_support GTest::gtest_main)
  if(PLEAT_HAVE_CUDA)
    target_link_libraries(${_name} PRIVATE CUDA::cudart_static)
  endif()
  # The parameters' own names: GoogleTest prints a struct without a printer as its bytes.
  if(_name STREQUAL "tools.cli_test" AND TARGET pleat_cli)
    target_compile_definitions(${_name} PRIVATE PLEAT_PROGRAM="$<TARGET_FILE:pleat_cli>")
    add_dependencies(${_name} pleat_cli)
  endif()
  gtest_discover_tests(${_name} TEST_PREFIX ${_name}: NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60
                       PROPERTIES LABELS ${_labels} TIMEOUT 600)
endforeach()

foreach(_part IN ITEMS PleatHeaderTests PleatCompileFailTests PleatConsumerTest PleatScriptTests)
  include(${PROJECT_SOURCE_DIR}/cmake/${_part}.cmake OPTIONAL)
endforeach()
