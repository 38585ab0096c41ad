"""Measure what finding the sparsity is worth, against every level that one could set.

::

    UDT_DATA=folder python benchmarks/adaptive.py [--sets a,b] [--levels auto,1.0,.5,.2,.1,.05]
        [--seeds 1] [--out benchmarks/results/adaptive.json]

Each set is trained and tested by the command, race and all, with ``--sparsity`` at each level. Sets
of few test rows take three seeds at least. Each result replaces the one of the same (set, level,
seed) in the file as soon as it is known. Then the whole file's table is printed, and what it says
of the goals: within 0.2 points of the best fixed level (or a standard error), at 60 % of the work
of the dense one.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _data
from _train import store, udt

LEVELS = ("auto", "1.0", "0.5", "0.2", "0.1", "0.05")
SMALL_SETS = ("trec6", "sms_spam")
SMALL_SEEDS = 3
WITHIN, MOST_LOST, WORK_SHARE = 0.2, 0.5, 0.6
"""Points below the best fixed level that count as level; that are too many; aim for the work."""

Record = dict[str, Any]


def _means(records: Sequence[Record]) -> dict[str, dict[str, Record]]:
    """Return for each set, and each of its levels, the means over seeds; accuracy in %."""
    means: dict[str, dict[str, Record]] = {}
    for name in _data.TEXT_COLUMNS:
        for level in LEVELS:
            runs = [r for r in records if (r["set"], r["level"]) == (name, level)]
            if runs:
                what = ("accuracy", "n_test", "work_train", "work_predict")
                mean = {key: statistics.fmean(r[key] for r in runs) for key in what}
                mean["accuracy"] *= 100
                means.setdefault(name, {})[level] = mean
    return means


def _lost(levels: dict[str, Record]) -> float:
    """Return by how many points the best fixed level is ahead of what was found."""
    return max(m["accuracy"] for k, m in levels.items() if k != "auto") - levels["auto"]["accuracy"]


def table(records: Sequence[Record]) -> str:
    """Lay out a Markdown table: test accuracy of each level, and the work of auto and of 1.0."""
    head = ["set", *LEVELS, "behind the best fixed", "work in training: auto", "1.0"]
    lines = [head, ["---"] + ["--:"] * (len(head) - 1)]
    for name, levels in _means(records).items():
        shown = [f"{levels[k]['accuracy']:.2f}" if k in levels else "–" for k in LEVELS]
        work = [f"{levels[k]['work_train']:.2f}" for k in ("auto", "1.0")]
        lines.append([name, *shown, f"{_lost(levels):.2f}", *work])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def statement(records: Sequence[Record]) -> str:
    """Say from the numbers alone what finding the level costs and saves."""
    means = _means(records)
    n_level = n_error = n_far = 0
    for levels in means.values():
        p, lost = levels["auto"]["accuracy"] / 100, _lost(levels)
        error = 100 * math.sqrt(p * (1 - p) / levels["auto"]["n_test"])
        n_level += lost <= WITHIN
        n_error += lost <= max(WITHIN, error)
        n_far += lost > MOST_LOST
    shares = [m["auto"]["work_train"] / m["1.0"]["work_train"] for m in means.values()]
    return (
        f"auto is within {WITHIN} points of the best of {len(LEVELS) - 1} fixed levels on "
        f"{n_level} of {len(means)} sets ({n_error} if a standard error of the test set is "
        f"allowed), loses more than {MOST_LOST} on {n_far}, and does "
        f"{statistics.fmean(shares):.0%} of the work of 1.0 on average."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(_data.TEXT_COLUMNS))
    parser.add_argument("--levels", default=",".join(LEVELS))
    parser.add_argument("--seeds", type=int, default=1, help="number of runs of each")
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "adaptive.json")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    for name in arguments.sets.split(","):
        n_seeds = max(arguments.seeds, SMALL_SEEDS if name in SMALL_SETS else 1)
        for level in arguments.levels.split(","):
            for seed in range(n_seeds):
                around = _data.circumstances()
                result = udt(name, "--sparsity", level)
                network = result["report"]["network"]
                record = {
                    "set": name,
                    "level": level,
                    "seed": seed,
                    "accuracy": result["accuracy"],
                    "n_test": result["n_test"],
                    "work_train": network["work_train"],
                    "work_predict": network["work_predict"],
                    "deep_fraction": network["deep_fraction"],
                    "train_s": result["seconds"]["wall_s"],
                }
                store(arguments.out, record | around, key=("set", "level", "seed"))
                told = f"{100 * result['accuracy']:6.2f} {network['work_train']:.3f}"
                print(f"{name:24}{level:6}{told}", file=sys.stderr)
    records = json.loads(arguments.out.read_text("utf-8"))
    print(table(records), statement(records), sep="\n\n")


if __name__ == "__main__":
    main()
