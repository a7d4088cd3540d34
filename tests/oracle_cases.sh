#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
#
# tests/oracle_cases.sh PROGRAM SCRATCH_DIR [SEED...]
#
# Makes the float64 oracle's cases for some seeds (default three), runs all of them with the program
# on each backend, with and without a plan, judges the results by the oracle, and compares the
# backends byte by byte. Exits 77 (ctest: skipped) where the oracle or numpy is missing.
set -euo pipefail

program=$1
scratch=$2
shift 2
seeds=("${@:-1}")
[ $# -gt 0 ] || seeds=(1 2 3)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
oracle=$here/../../shared/oracle/oracle.py

if [ ! -f "$oracle" ]; then
  echo "skipped: there is no ../shared/oracle beside the checkout"
  exit 77
fi
# The python3 that comes first may not be the one that the system's numpy is for.
python=
for candidate in python3 /usr/bin/python3; do
  if "$candidate" -c 'import numpy' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "skipped: no python3 here has numpy"
  exit 77
fi

backends=("cpu" "reference" "cpu --with-plan --checked")
if "$program" --version | grep -q cuda; then
  backends+=("cuda" "cuda --with-plan")
fi

failed=0
mkdir -p "$scratch"
for seed in "${seeds[@]}"; do
  cases=$scratch/seed-$seed
  rm -rf "$cases"
  "$python" "$here/oracle_judge.py" "$oracle" make "$cases" --seed "$seed"
  first=
  for backend in "${backends[@]}"; do
    out=$cases/out-${backend// /}
    # shellcheck disable=SC2086  # the backend carries options of its own
    "$program" apply "$cases"/*.safetensors --out "$out/" --backend $backend --quiet || failed=1
    echo "seed $seed, $backend:"
    if [ -z "$first" ]; then
      first=$out
      "$python" "$here/oracle_judge.py" "$oracle" judge "$cases" "$out" || failed=1
    elif diff -rq "$first" "$out"; then
      echo "  bytes equal to those judged"
      rm -rf "$out"
    else
      failed=1
      "$python" "$here/oracle_judge.py" "$oracle" judge "$cases" "$out" || true
    fi
  done
  # Variant fast has bytes of its own. Where kv cancel, what its exp2 is off can be more than one
  # code next to zero: a case of each seed may have one.
  if "$program" --version | grep -q cuda; then
    out=$cases/out-fast
    "$program" apply "$cases"/*.safetensors --out "$out/" --backend cuda --variant fast \
      --with-plan --quiet || failed=1
    echo "seed $seed, cuda --variant fast:"
    said=$("$python" "$here/oracle_judge.py" "$oracle" judge "$cases" "$out") || true
    tail -n 1 <<<"$said"
    grep '^  FAIL' <<<"$said" || true
    if [ "$(grep -c '^  FAIL' <<<"$said")" -gt 1 ] || ! grep -q 'cases judged ok' <<<"$said"; then
      failed=1
    fi
  fi
  rm -rf "$cases"
done
exit "$failed"
