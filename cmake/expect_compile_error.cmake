# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# cmake -DCOMPILER=... -DSOURCE=... -DROOT=... -P: passes where the compiler refuses SOURCE for the
# reason the file states. A refusal for another reason (a typo, a renamed header) is a failure.
file(STRINGS ${SOURCE} _expect REGEX "^// expect: " LIMIT_COUNT 1)
string(REGEX REPLACE "^// expect: *" "" _expect "${_expect}")
if(_expect STREQUAL "")
  message(FATAL_ERROR "${SOURCE} has no line `// expect: <text of the error>`")
endif()

execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only -I${ROOT}/include -I${ROOT}/src
                        ${SOURCE}
                RESULT_VARIABLE _status OUTPUT_VARIABLE _out ERROR_VARIABLE _out)
if(_status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, but must be refused with: ${_expect}")
endif()
string(FIND "${_out}" "${_expect}" _at)
if(_at EQUAL -1)
  message(FATAL_ERROR "${SOURCE} is refused, but not with: ${_expect}\n${_out}")
endif()
