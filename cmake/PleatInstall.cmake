# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# The installed package: find_package(pleat), and pleat.pc for those who build without CMake.
include(CMakePackageConfigHelpers)
set(_pleat_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pleat)

install(TARGETS pleat EXPORT pleat-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/pleat DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN *.hpp PATTERN *.h)
install(EXPORT pleat-targets NAMESPACE pleat:: DESTINATION ${_pleat_cmake_dir})

# A static library leaves its own dependencies to the consumer's link; a shared one holds them.
get_target_property(_pleat_type pleat TYPE)
if(_pleat_type STREQUAL "STATIC_LIBRARY")
  set(PLEAT_STATIC 1)
else()
  set(PLEAT_STATIC 0)
endif()
configure_package_config_file(cmake/pleat-config.cmake.in ${PROJECT_BINARY_DIR}/pleat-config.cmake
                              INSTALL_DESTINATION ${_pleat_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pleat-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/pleat-config.cmake
              ${PROJECT_BINARY_DIR}/pleat-config-version.cmake DESTINATION ${_pleat_cmake_dir})

set(_pleat_pc_requires "")
set(_pleat_pc_libs "")
if(PLEAT_STATIC)
  set(_pleat_pc_libs "-lstdc++ -lm -pthread")
  if(PLEAT_HAVE_HIGHWAY)
    set(_pleat_pc_requires libhwy)
  endif()
  if(PLEAT_HAVE_CUDA)
    string(APPEND _pleat_pc_libs " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
  endif()
endif()
# How far below the prefix pleat.pc lies is libdir's choice: lib, or, in Debian's /usr,
# lib/x86_64-linux-gnu. A folder that is absolute stays so.
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} NORMALIZE
           OUTPUT_VARIABLE _pleat_pc_folder)
cmake_path(APPEND _pleat_pc_folder pkgconfig)
file(RELATIVE_PATH _pleat_pc_to_prefix ${_pleat_pc_folder} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" _pleat_pc_to_prefix ${_pleat_pc_to_prefix})
set(_pleat_pc_libdir "\${prefix}")
set(_pleat_pc_includedir "\${prefix}")
cmake_path(APPEND _pleat_pc_libdir ${CMAKE_INSTALL_LIBDIR})
cmake_path(APPEND _pleat_pc_includedir ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/pleat.pc.in ${PROJECT_BINARY_DIR}/pleat.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/pleat.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
