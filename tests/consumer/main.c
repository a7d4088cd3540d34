/* SPDX-FileCopyrightText: 2026 The Pleat authors
 * SPDX-License-Identifier: Apache-2.0 */
#include <pleat/pleat.h>
#include <stdio.h>

int main(void) {
  printf("pleat %s from C\n", pleat_version());
  return 0;
}
