"""Measure explanations: whether they add up, say what the model does, and what they cost.

A row's words are explained for its predicted class; then the strongest one (for or against) is
deleted from the text, and the model predicts what is left. The explanation was right if the
probability fell where the word spoke for the class, and rose where it spoke against it. A word
drawn at random shows what chance would do.

::

    python benchmarks/explain.py             # --sets a,b  --rows 500  --model yelp.udt
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import _data
import numpy as np

SETS = ("yelp_polarity_balanced", "clinc150", "20newsgroups", "reuters21578_modapte")
SEED = 0
TABLE_HEAD = [
    "set", "classes", "rows", "error", "strongest word: right way", "a random one", "p50, ms",
    "p99, ms",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--rows", type=int, default=500, help="test rows to explain")
    parser.add_argument("--model", help="of the one set that is named; default: trained now")
    given = parser.parse_args()
    path = _data.RESULTS / "explain.json"
    found = json.loads(path.read_text("utf-8")) if path.exists() else {"records": []}
    for name in given.sets.split(","):
        record = {**measure(name, given.rows, given.model), **_data.circumstances()}
        found["records"] = [r for r in found["records"] if r["set"] != name] + [record]
        _data.write_json(path, found)
        print(record)


def measure(name: str, n_rows: int, path: str | None) -> dict[str, Any]:
    """Return the record of one set."""
    from udt import UDT, load
    from udt.table import read_table

    folder, target = _data.folder(name), _data.target(name)
    model = load(path) if path else UDT(target, random_state=SEED).fit(folder / "train.parquet")
    table = read_table(folder / "test.parquet").drop(target)
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.choice(table.n_rows, min(n_rows, table.n_rows), replace=False))
    model.explain(table.slice(0, 1))  # kernels are loaded once
    seconds, errors, moved = [], [], {"strongest": [], "random": []}
    for row in rows.tolist():
        one = table.slice(row, row + 1)
        started = time.perf_counter()
        top = model.explain(one).classes[0]
        seconds.append(time.perf_counter() - started)
        parts = [s.weight for s in top.spans] + [c.weight for c in top.columns]
        errors.append(abs(top.bias + sum(parts) - top.logit))
        if not top.spans:
            continue
        strongest = max(top.spans, key=lambda s: abs(s.weight))
        drawn = top.spans[int(rng.integers(len(top.spans)))]
        for how, span in (("strongest", strongest), ("random", drawn)):
            moved[how].append(_is_right(model, one, top, span))
    return {
        "set": name,
        "n_rows": len(rows),
        "n_classes": len(model.classes_),
        "largest_error": max(errors),
        "right_strongest": float(np.mean(moved["strongest"])),
        "right_random": float(np.mean(moved["random"])),
        "p50_ms": 1e3 * float(np.percentile(seconds, 50)),
        "p99_ms": 1e3 * float(np.percentile(seconds, 99)),
    }


def table_rows(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return the rows of RESULTS.md's table."""
    return [
        [
            r["set"], str(r["n_classes"]), str(r["n_rows"]), f"{r['largest_error']:.0e}",
            f"{r['right_strongest']:.1%}", f"{r['right_random']:.1%}", f"{r['p50_ms']:.1f}",
            f"{r['p99_ms']:.1f}",
        ]
        for r in records
    ]  # fmt: skip


def _is_right(model: Any, one: Any, top: Any, span: Any) -> bool:
    """Delete a word; return whether the class's probability moves as the word's weight says."""
    cell = one.column(span.column).to_pylist()[0]
    shorter = one.with_column(span.column, [cell[: span.start] + cell[span.end :]])
    at = list(model.classes_).index(top.label)
    before, after = (float(model.predict_proba(t)[0, at]) for t in (one, shorter))
    return (before - after) * span.weight > 0


if __name__ == "__main__":
    main()
