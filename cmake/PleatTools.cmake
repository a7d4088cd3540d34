# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# The program: everything but tools/main.cpp is a library, which the tests link as well.
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)

file(GLOB_RECURSE _pleat_tools CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/*.cpp)
set(_pleat_main ${PROJECT_SOURCE_DIR}/tools/main.cpp)
list(REMOVE_ITEM _pleat_tools ${_pleat_main})
if(PLEAT_HAVE_CUDA)
  file(GLOB _pleat_tools_cuda CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/*.cu)
  list(APPEND _pleat_tools ${_pleat_tools_cuda})
else()
  foreach(_name bench_behind bench_perf blas graph_timer perf_behind perf_calls perf_gpu perf_report
                replay_cuda replay_cuda_rows)
    list(FILTER _pleat_tools EXCLUDE REGEX "/${_name}\\.cpp$")
  endforeach()
endif()
if(_pleat_tools)
  add_library(pleat_tools STATIC ${_pleat_tools})
  target_link_libraries(pleat_tools PUBLIC pleat_internal fmt::fmt nlohmann_json::nlohmann_json
                        CLI11::CLI11)
  if(PLEAT_HAVE_CUDA)
    target_link_libraries(pleat_tools PUBLIC CUDA::cudart_static PRIVATE ${CMAKE_DL_LIBS})
  endif()
endif()
if(TARGET pleat_tools AND EXISTS ${_pleat_main})
  add_executable(pleat_cli ${_pleat_main})
  target_link_libraries(pleat_cli PRIVATE pleat_tools)
  set_target_properties(pleat_cli PROPERTIES OUTPUT_NAME pleat
                        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
                        INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS pleat_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
