# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# The library. Code writes #include <pleat/geometry.hpp> and #include "numerics/exp2.hpp".
file(GLOB_RECURSE _pleat_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.cpp)
file(GLOB_RECURSE _pleat_cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cuda/*.cpp
     ${PROJECT_SOURCE_DIR}/src/cuda/*.cu)
list(FILTER _pleat_sources EXCLUDE REGEX "/src/cuda/")
if(PLEAT_HAVE_CUDA)
  list(APPEND _pleat_sources ${_pleat_cuda_sources})
endif()
if(NOT _pleat_sources)
  return()
endif()

add_library(pleat ${_pleat_sources})
add_library(pleat::pleat ALIAS pleat)
set_target_properties(pleat PROPERTIES VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_compile_features(pleat PUBLIC cxx_std_20)
target_include_directories(pleat
  PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
         $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
  PRIVATE ${PROJECT_SOURCE_DIR}/src)
# fmt is taken as headers only, so that a consumer of the installed library does not need it.
target_link_libraries(pleat PRIVATE Threads::Threads
                      $<BUILD_INTERFACE:pleat_flags> $<BUILD_INTERFACE:fmt::fmt-header-only>)
if(PLEAT_HAVE_HIGHWAY)
  target_link_libraries(pleat PRIVATE hwy::hwy)
endif()
if(PLEAT_HAVE_CUDA AND _pleat_cuda_sources)
  target_link_libraries(pleat PRIVATE CUDA::cudart_static)
endif()

# What is inside the project sees: src/, tools/ and tests/ as written from the root, and the flags.
add_library(pleat_internal INTERFACE)
target_include_directories(pleat_internal INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
target_link_libraries(pleat_internal INTERFACE pleat pleat_flags fmt::fmt)
