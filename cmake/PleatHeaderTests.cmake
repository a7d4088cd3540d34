# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# Each public header compiles alone (and twice): as C++20, and pleat.h as C11 as well.
enable_language(C)
file(GLOB _pleat_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include
     ${PROJECT_SOURCE_DIR}/include/pleat/*.hpp ${PROJECT_SOURCE_DIR}/include/pleat/*.h)
set(_pleat_units "")
foreach(_header IN LISTS _pleat_headers)
  set(_extensions cpp)
  if(_header MATCHES "\\.h$")
    list(APPEND _extensions c)
  endif()
  foreach(_extension IN LISTS _extensions)
    set(_unit ${PROJECT_BINARY_DIR}/header_check/${_header}.${_extension})
    # C forbids a translation unit without a declaration; a header with macros only would be one.
    file(CONFIGURE OUTPUT ${_unit} CONTENT
         "#include <${_header}>\n#include <${_header}>\nextern int pleat_header_check;\n")
    list(APPEND _pleat_units ${_unit})
  endforeach()
endforeach()
if(NOT _pleat_units)
  return()
endif()

add_library(pleat_header_check OBJECT ${_pleat_units})
target_link_libraries(pleat_header_check PRIVATE pleat pleat_flags)
target_compile_options(pleat_header_check PRIVATE -Wpedantic
                       $<$<COMPILE_LANGUAGE:C>:-std=c11$<SEMICOLON>-pedantic-errors>)
add_test(NAME house:headers_compile_alone
         COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target pleat_header_check)
