#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# tests/golden/make.sh BUILD_DIR
#
# Writes the golden bytes anew, from the scalar reference. Only for a change of docs/numerics.md:
# say in the commit which figure of it changed.
set -euo pipefail
"$1/golden_test" --write-golden "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
