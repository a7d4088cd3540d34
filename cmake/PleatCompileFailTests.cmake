# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# Each tests/compile_fail/*.cpp must be refused, with the text of its `// expect: ` line.
file(GLOB _pleat_refused CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/compile_fail/*.cpp)
foreach(_source IN LISTS _pleat_refused)
  cmake_path(GET _source STEM _name)
  add_test(NAME compile_fail:${_name}
           COMMAND ${CMAKE_COMMAND} -DCOMPILER=${CMAKE_CXX_COMPILER} -DSOURCE=${_source}
                   -DROOT=${PROJECT_SOURCE_DIR}
                   -P ${PROJECT_SOURCE_DIR}/cmake/expect_compile_error.cmake)
  set_tests_properties(compile_fail:${_name} PROPERTIES LABELS cpu)
endforeach()
