// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/pleat.h>

#include <cstdio>
#include <cstring>

int main() {
  std::printf("pleat %s from C++\n", pleat_version());
  return std::strlen(pleat_version()) > 0 ? 0 : 1;
}
