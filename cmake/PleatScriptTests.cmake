# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# Tests that are scripts. They say the same in every build tree, so sanitized ones leave them out.
if(PLEAT_SANITIZE)
  return()
endif()
add_test(NAME house:sources COMMAND ${PROJECT_SOURCE_DIR}/scripts/check-sources)
find_program(PLEAT_PYTHON3 python3)
mark_as_advanced(PLEAT_PYTHON3)
if(PLEAT_PYTHON3)
  add_test(NAME house:readme_tables
           COMMAND ${PLEAT_PYTHON3} ${PROJECT_SOURCE_DIR}/scripts/readme-tables --check)
endif()
if(PLEAT_HAVE_CUDA)
  set(_pleat_compiled ${PLEAT_CUDA_ARCHITECTURES})
  list(FILTER _pleat_compiled EXCLUDE REGEX "virtual")
  list(TRANSFORM _pleat_compiled PREPEND "sm_")
  add_test(NAME house:cuda_resources
           COMMAND ${PROJECT_SOURCE_DIR}/scripts/check-cuda-resources ${PROJECT_BINARY_DIR}
                   ${_pleat_compiled})
endif()

# tests/oracle_cases.sh PROGRAM SCRATCH_DIR judges the program by ../shared/oracle where that is
# there, and exits 77 where it is not.
set(_pleat_oracle ${PROJECT_SOURCE_DIR}/tests/oracle_cases.sh)
if(EXISTS ${_pleat_oracle} AND TARGET pleat_cli)
  add_test(NAME oracle_cases
           COMMAND bash ${_pleat_oracle} $<TARGET_FILE:pleat_cli>
                   ${PROJECT_BINARY_DIR}/oracle_cases)
  set_tests_properties(oracle_cases PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 COST 100)
endif()
