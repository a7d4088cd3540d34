#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The Pleat authors
# SPDX-License-Identifier: Apache-2.0
"""The float64 oracle over a folder of cases, in one process.

    oracle_judge.py ORACLE make CASES --seed S    make every case of a seed
    oracle_judge.py ORACLE judge CASES RESULTS    judge RESULTS/x by CASES/x; exit 1 if any fails

ORACLE is the path of oracle.py. One thing of it is put right here: given a BF16 `proj` it takes the
16-bit patterns for whole numbers (row() casts them to float32 as they are), so that its expected
results are those of other projections than the case holds. Here they are widened first.
"""
import argparse
import importlib.util
import os
import sys

import numpy as np

sys.dont_write_bytecode = True


def load_oracle(path):
    spec = importlib.util.spec_from_file_location("oracle", path)
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)

    class WidensProjection(oracle.Compressor):
        def row(self, t, pos_ape, x):
            row = x["proj"][t]
            if row.dtype == np.uint16:
                row = oracle.bf16_value(row).astype(np.float32)
            kv, score = row[: self.S], row[self.S :]
            if self.recipe["ape"] == "save":
                score = score + x["ape"][pos_ape % self.R]
            return np.concatenate([kv, score])

    oracle.Compressor = WidensProjection
    return oracle


def make(oracle, folder, seed):
    os.makedirs(folder, exist_ok=True)
    for name, (compressor, meta, tensors) in oracle.cases(seed):
        wanted = compressor.run(meta["op"], tensors)
        wanted = {"expect." + key: value for key, value in wanted.items()}
        path = os.path.join(folder, name + ".safetensors")
        oracle.save(path, {**tensors, **wanted}, dict(meta, seed=seed))
    return True


def judge(oracle, cases, results):
    names = sorted(n for n in os.listdir(cases) if n.endswith(".safetensors"))
    good = 0
    for name in names:
        result = os.path.join(results, name)
        if os.path.exists(result):
            ok, report = oracle.judge(os.path.join(cases, name), result)
        else:
            ok, report = False, "the program wrote no result"
        good += ok
        if not ok:
            print(f"  FAIL {name}: {report}")
    print(f"  {good} of {len(names)} cases judged ok")
    return good == len(names) and good > 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("oracle")
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("cases")
    maker.add_argument("--seed", type=int, default=1)
    judger = commands.add_parser("judge")
    judger.add_argument("cases")
    judger.add_argument("results")
    args = parser.parse_args()
    oracle = load_oracle(args.oracle)
    if args.command == "make":
        ok = make(oracle, args.cases, args.seed)
    else:
        ok = judge(oracle, args.cases, args.results)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
