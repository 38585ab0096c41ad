"""Measure what updates lose: a model of all rows, and one that learned them in ten parts.

::

    UDT_DATA=folder python benchmarks/increments.py [--sets a,b] [--orders shuffled,by_label]
        [--rows 10000] [--seeds 1] [--out benchmarks/results/increments.json]

The second model is trained on the first tenth of the rows and updated with the others, one after
the other, each time from its file, as `udt train --update-from` does. ``by_label``: rows come label
by label, so that most parts bring new labels and lack the old ones; nothing is harder to learn
from. Each result replaces the one of the same (set, order, seed) in the file; then the whole
file's table is printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _data
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import udt

SETS = ("trec6", "banking77", "airline_tweets", "yelp_polarity_balanced")
ORDERS = ("shuffled", "by_label")
N_PARTS = 10

Record = dict[str, Any]


def parts(rows: pa.Table, target: str, order: str, rng: np.random.Generator) -> Iterator[pa.Table]:
    """Yield ten parts of the rows."""
    rows = rows.take(rng.permutation(len(rows)))
    if order == "by_label":
        labels = np.array([str(label) for label in rows[target].to_pylist()], dtype=object)
        names = rng.permutation(np.unique(labels))
        place = {name: i for i, name in enumerate(names)}
        rows = rows.take(np.argsort([place[label] for label in labels], kind="stable"))
    cuts = np.linspace(0, len(rows), N_PARTS + 1).astype(int)
    for start, stop in itertools.pairwise(cuts):
        yield rows.slice(start, stop - start)


def measure(name: str, order: str, n_rows: int, seed: int) -> Record:
    """Return accuracies on the test rows, and seconds."""
    target = _data.target(name)
    train, test = (pq.read_table(_data.folder(name) / f"{p}.parquet") for p in ("train", "test"))
    rng = np.random.default_rng(seed)
    train = train.take(rng.permutation(len(train))[:n_rows])
    started = time.perf_counter()
    whole = udt.UDT(target, random_state=seed).fit(train)
    at_once_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        path, update_s, grown = Path(folder) / "model.udt", 0.0, None
        for part in parts(train, target, order, rng):
            started = time.perf_counter()
            if grown is None:
                labels = len(set(part[target].to_pylist()))
                if labels < 2:  # nothing to tell apart yet: two rows of each other label
                    part = _with_others(train, part, target)
                grown = udt.UDT(target, random_state=seed).fit(part)
            else:
                grown = udt.load(path).partial_fit(part)
            update_s = time.perf_counter() - started
            grown.save(path, overwrite=True)
        model_bytes = path.stat().st_size
    return {
        "n_train": len(train),
        "n_test": len(test),
        "at_once": whole.score(test),
        "in_parts": grown.score(test),
        "at_once_s": at_once_s,
        "last_update_s": update_s,
        "model_bytes": model_bytes,
    }


def _with_others(rows: pa.Table, part: pa.Table, target: str) -> pa.Table:
    """Return the part and two rows of each label that it lacks."""
    labels = np.array([str(label) for label in rows[target].to_pylist()], dtype=object)
    known = {str(label) for label in part[target].to_pylist()}
    more = [np.flatnonzero(labels == name)[:2] for name in np.unique(labels) if name not in known]
    return pa.concat_tables([part, rows.take(np.concatenate(more))])


def table(records: list[Record]) -> str:
    """Return the results as a table in Markdown: means of the seeds."""
    lines = [
        "| set | rows | order | at once | in ten parts | |",
        "|---|--:|---|--:|--:|--:|",
    ]
    keys = dict.fromkeys((r["set"], r["order"]) for r in records)
    for name, order in keys:
        runs = [r for r in records if (r["set"], r["order"]) == (name, order)]
        once, grown = (100 * np.mean([r[k] for r in runs]) for k in ("at_once", "in_parts"))
        lines.append(
            f"| {name} | {runs[0]['n_train']:,} | {order.replace('_', ' ')} | {once:.1f} | "
            f"{grown:.1f} | {grown - once:+.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--orders", default=",".join(ORDERS))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "increments.json")
    arguments = parser.parse_args()
    records = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else []
    for name in arguments.sets.split(","):
        for order in arguments.orders.split(","):
            for seed in range(arguments.seeds):
                key = {"set": name, "order": order, "seed": seed}
                around = _data.circumstances(None)
                record = {**key, **measure(name, order, arguments.rows, seed), **around}
                records = [r for r in records if any(r[k] != v for k, v in key.items())] + [record]
                arguments.out.write_text(json.dumps(records, indent=1) + "\n", "utf-8")
    print(table(records))


if __name__ == "__main__":
    main()
