# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs this build to a scratch prefix and builds tests/consumer against it, as a user would.
if(NOT EXISTS ${PROJECT_SOURCE_DIR}/tests/consumer/CMakeLists.txt OR PLEAT_SANITIZE)
  return()
endif()
add_test(NAME house:installed_consumer
         COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DBUILD=${PROJECT_BINARY_DIR}
                 -DGENERATOR=${CMAKE_GENERATOR}
                 -DCONSUMER=${PROJECT_SOURCE_DIR}/tests/consumer
                 -DLIBDIR=${CMAKE_INSTALL_LIBDIR} -DVERSION=${PROJECT_VERSION}
                 -DCXX=${CMAKE_CXX_COMPILER} -DCC=${CMAKE_C_COMPILER}
                 "-DPREFIX_PATH=${CMAKE_PREFIX_PATH}"
                 -P ${PROJECT_SOURCE_DIR}/cmake/build_consumer.cmake)
set_tests_properties(house:installed_consumer PROPERTIES TIMEOUT 300)
