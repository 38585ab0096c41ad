"""Measure test accuracy of udt, fastText and TF-IDF + linear SVM on the same splits.

::

    UDT_DATA=folder python benchmarks/accuracy.py [--sets a,b] [--only udt|fasttext|svm]
        [--seeds 1] [--threads N] [--out benchmarks/results/accuracy.json]

Each result replaces the one of the same (set, method, seed) in the file as soon as it is known,
so any leg can be run again alone. Then the whole file's table is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import _data
import _peers
from _train import store, udt
from results_table import accuracy_table


def measure(name: str, method: str, seed: int, n_threads: int) -> dict[str, Any]:
    """Run one method on one set."""
    if method == "udt":
        return udt(name)
    train, test = _data.load(name, "train"), _data.load(name, "test")
    result = (
        _peers.fasttext(train, test, seed, n_threads)
        if method == "fasttext"
        else _peers.svm(train, test, seed)
    )
    return result | {"n_train": len(train.texts), "n_test": len(test.texts)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(_data.TEXT_COLUMNS))
    parser.add_argument("--only", choices=("udt", "fasttext", "svm"))
    parser.add_argument("--seeds", type=int, default=1, help="number of runs of each")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of fastText")
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "accuracy.json")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    if unknown := set(arguments.sets) - set(_data.TEXT_COLUMNS):
        parser.error(f"unknown sets {sorted(unknown)}; there are {', '.join(_data.TEXT_COLUMNS)}")
    return arguments


def main() -> None:
    arguments = _arguments()
    methods = [arguments.only] if arguments.only else ["udt", "fasttext", "svm"]
    for name in arguments.sets:
        for method in methods:
            for seed in range(arguments.seeds):
                # udt takes all cores and no seed: there, the number only tells runs apart.
                n_threads = {"udt": None, "fasttext": arguments.threads, "svm": 1}[method]
                around = _data.circumstances(n_threads)
                result = measure(name, method, seed, arguments.threads)
                store(
                    arguments.out, {"set": name, "method": method, "seed": seed, **result, **around}
                )
                print(f"{name:24}{method:10}{100 * result['accuracy']:6.2f}", file=sys.stderr)
    print(accuracy_table(json.loads(arguments.out.read_text("utf-8"))))


if __name__ == "__main__":
    main()
