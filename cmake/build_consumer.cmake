# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# Run by the test house:installed_consumer: install, then find_package and pkg-config against it.
# SOURCE is Pleat's, BUILD the build of it that is installed.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE _status OUTPUT_VARIABLE _out ERROR_VARIABLE _out)
  message(STATUS "${_out}")
  if(NOT _status EQUAL 0)
    string(JOIN " " _command ${ARGN})
    message(FATAL_ERROR "exit status ${_status}: ${_command}")
  endif()
endfunction()

set(_scratch ${BUILD}/consumer_test)
set(_prefix ${_scratch}/prefix)
file(REMOVE_RECURSE ${_scratch})
# By the environment, whose list has colons: semicolons would not survive run().
string(REPLACE ";" ":" _path "${_prefix};${PREFIX_PATH}")
set(ENV{CMAKE_PREFIX_PATH} "${_path}")
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${_prefix})
foreach(_c_alone IN ITEMS OFF ON)
  set(_build ${_scratch}/c_alone_${_c_alone})
  run(${CMAKE_COMMAND} -S ${CONSUMER} -B ${_build} -G ${GENERATOR} -DC_ALONE=${_c_alone}
      -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_C_COMPILER=${CC})
  run(${CMAKE_COMMAND} --build ${_build})
  run(${CMAKE_CTEST_COMMAND} --test-dir ${_build} --output-on-failure --no-tests=error)
endforeach()

# The same C program by pkg-config alone. The carried libraries of a GPU machine have no .pc files.
find_program(_pkg_config pkg-config)
if(NOT _pkg_config OR PREFIX_PATH)
  message(STATUS "pkg-config: not tried here")
  return()
endif()
set(ENV{PKG_CONFIG_PATH} ${_prefix}/${LIBDIR}/pkgconfig)
run(${_pkg_config} --exact-version=${VERSION} pleat)
execute_process(COMMAND ${_pkg_config} --cflags --libs pleat
                OUTPUT_VARIABLE _flags OUTPUT_STRIP_TRAILING_WHITESPACE)
separate_arguments(_flags UNIX_COMMAND "${_flags}")
run(${CC} -std=c11 ${CONSUMER}/main.c -o ${_scratch}/by_pkg_config ${_flags})
run(${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${_prefix}/${LIBDIR} ${_scratch}/by_pkg_config)

# pleat.pc finds its prefix from any depth of libdir. It is made when a tree is configured, so that
# much of a tree with another libdir will do.
set(_deep lib/two/words)
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${_scratch}/deep -G ${GENERATOR} -DPLEAT_CUDA=OFF
    -DPLEAT_BUILD_TOOLS=OFF -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_INSTALL_LIBDIR=${_deep})
file(COPY ${_scratch}/deep/pleat.pc DESTINATION ${_prefix}/${_deep}/pkgconfig)
set(ENV{PKG_CONFIG_PATH} ${_prefix}/${_deep}/pkgconfig)
execute_process(COMMAND ${_pkg_config} --variable=prefix pleat
                OUTPUT_VARIABLE _got OUTPUT_STRIP_TRAILING_WHITESPACE)
file(REAL_PATH "${_got}" _got)
file(REAL_PATH ${_prefix} _want)
if(NOT _got STREQUAL _want)
  message(FATAL_ERROR "pleat.pc in ${_deep}/pkgconfig: expected prefix ${_want}, got ${_got}")
endif()
