"""Measure how long udt takes: whole training runs, starting, and predicting. Unix only.

::

    UDT_DATA=folder python benchmarks/speed.py [--parts train,start,predict] [--pairs 3]
        [--out benchmarks/results/speed.json]

``train``: whole ``udt train`` processes, Parquet in, model file out, in turns with fastText's
training call alone (with its own reading of its prepared file, without Python's start), on the
same rows and cores; the first udt run of all finds no compiled kernel. ``start``: ``udt --help``
and ``import udt``. ``predict``: one row at a time, and 200,000 at once.

Each part is stored as soon as it is known, in the place of its previous measurement. This process
stays small and does its work in children: a child's peak memory is never reported below its
parent's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _data
from _peers import write_fasttext
from _process import apart, peak_bytes, timed_process

TRAIN_SET, PREDICT_SET = "yelp_polarity_balanced", "banking77"
N_ONE, N_MANY, N_REPEATS = 2_000, 200_000, 5
FASTTEXT = {"dim": 16, "lr": 0.1, "epoch": 5, "wordNgrams": 2, "thread": 2}
HEAVY = ("numba", "sklearn", "scipy", "numpy", "pyarrow", "datasets", "pandas", "rich", "typer")


# ── train ───────────────────────────────────────────────────────────────────────────────────────


def _udt_train(name: str, model: Path) -> dict[str, Any]:
    command = ("train", str(_data.folder(name) / "train.parquet"), "--target", _data.target(name))
    used, printed = timed_process(*_data.UDT, *command, "-o", str(model), "--force", "--json")
    report = json.loads(printed)
    return {**used, "stages": report["time"], "accuracy_holdout": report["metrics"]["accuracy"]}


def _write_for_fasttext(name: str, path: Path) -> None:
    write_fasttext(_data.load(name, "train"), path)


def _fasttext_train(path: Path) -> dict[str, float]:
    import fasttext

    start = time.perf_counter()
    fasttext.train_supervised(str(path), verbose=0, **FASTTEXT)
    wall_s = time.perf_counter() - start
    return {"wall_s": round(wall_s, 3), "peak_bytes": peak_bytes()}


def measure_train(n_pairs: int, scratch: Path) -> dict[str, Any]:
    """Train udt cold once, then udt and fastText in turns; each is first in every other pair."""
    model, lines = scratch / "model.udt", scratch / "lines.txt"
    apart(_write_for_fasttext, TRAIN_SET, lines)
    cold = _udt_train(TRAIN_SET, model)
    pairs = []
    for i in range(n_pairs):
        if i % 2:
            fasttext, udt = apart(_fasttext_train, lines), _udt_train(TRAIN_SET, model)
        else:
            udt, fasttext = _udt_train(TRAIN_SET, model), apart(_fasttext_train, lines)
        ratio = round(udt["wall_s"] / fasttext["wall_s"], 3)
        pairs.append({"udt": udt, "fasttext": fasttext, "ratio": ratio})
    warm_s = statistics.median(pair["udt"]["wall_s"] for pair in pairs)
    return {
        "set": TRAIN_SET,
        "fasttext": FASTTEXT,
        "ratio_median": statistics.median(pair["ratio"] for pair in pairs),
        "udt_s": warm_s,
        "fasttext_s": statistics.median(pair["fasttext"]["wall_s"] for pair in pairs),
        "udt_peak_bytes": max(pair["udt"]["peak_bytes"] for pair in pairs),
        "fasttext_peak_bytes": max(pair["fasttext"]["peak_bytes"] for pair in pairs),
        "cold_extra_s": round(cold["wall_s"] - warm_s, 3),
        "model_bytes": model.stat().st_size,
        "cold": cold,
        "pairs": pairs,
    }


# ── start ───────────────────────────────────────────────────────────────────────────────────────

_IMPORT = f"import sys, udt; print(*(m for m in {HEAVY!r} if m in sys.modules))"


def measure_start() -> dict[str, Any]:
    """Time ``udt --help`` and ``import udt`` as whole processes, beside Python's own start."""
    commands = {
        "help": (*_data.UDT, "--help"),
        "import": (sys.executable, "-c", "import udt"),
        "python": (sys.executable, "-c", "pass"),
    }
    runs: dict[str, list[float]] = {key: [] for key in commands}
    for _ in range(2 + 2 * N_REPEATS):
        for key, command in commands.items():
            runs[key].append(timed_process(*command)[0]["wall_s"])
    # The first of each may have had to write byte code.
    medians = {f"{key}_s": statistics.median(values[1:]) for key, values in runs.items()}
    return {**medians, "import_loads": timed_process(sys.executable, "-c", _IMPORT)[1].split()}


# ── predict ─────────────────────────────────────────────────────────────────────────────────────


def _one_row(path: Path) -> dict[str, float]:
    sys.path.insert(0, str(_data.REPOSITORY))
    import udt

    model = udt.load(path)
    texts = _data.load(PREDICT_SET, "test").texts
    times_ms = []
    for i in range(N_ONE + 200):
        row = [texts[i % len(texts)]]
        start = time.perf_counter_ns()
        model.predict(row)
        times_ms.append((time.perf_counter_ns() - start) / 1e6)
    ranked = sorted(times_ms[200:])
    return {"median_ms": statistics.median(ranked), "p99_ms": ranked[int(0.99 * N_ONE)]}


def _many_rows(path: Path) -> dict[str, int]:
    sys.path.insert(0, str(_data.REPOSITORY))
    import pandas as pd
    import pyarrow as pa

    import udt

    model = udt.load(path)
    texts = _data.load(PREDICT_SET, "test").texts
    texts = (texts * (N_MANY // len(texts) + 1))[:N_MANY]
    forms = {
        "list": texts,
        "DataFrame": pd.DataFrame({"text": texts}),
        "Arrow table": pa.table({"text": texts}),
    }
    rows_per_s = {}
    for form, rows in forms.items():
        seconds = []
        for _ in range(1 + N_REPEATS):
            start = time.perf_counter()
            model.predict(rows)
            seconds.append(time.perf_counter() - start)
        rows_per_s[form] = round(N_MANY / statistics.median(seconds[1:]))
    return rows_per_s


def measure_predict(scratch: Path) -> dict[str, Any]:
    """Time warm predictions in Python: one row a call, and many rows in three forms."""
    model = scratch / "predict.udt"
    _udt_train(PREDICT_SET, model)
    return {
        "set": PREDICT_SET,
        "one_row": apart(_one_row, model),
        "rows_per_s": apart(_many_rows, model),
    }


def _store(path: Path, part: str, result: dict[str, Any]) -> None:
    parts = json.loads(path.read_text("utf-8")) if path.exists() else {}
    _data.write_json(path, parts | {part: result})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="train,start,predict")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "speed.json")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := set(parts) - {"train", "start", "predict"}:
        parser.error(f"unknown parts {sorted(unknown)}; there are train, start and predict")
    # As on a user's machine: byte code is kept, and no kernel has been compiled before.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.environ["NUMBA_CACHE_DIR"] = str(scratch / "numba")
        measure: dict[str, Callable[[], dict[str, Any]]] = {
            "train": lambda: measure_train(arguments.pairs, scratch),
            "start": measure_start,
            "predict": lambda: measure_predict(scratch),
        }
        # Training is first whatever the order asked for: its first run has to be cold.
        for part in (part for part in measure if part in parts):
            around = _data.circumstances()
            result = measure[part]()
            _store(arguments.out, part, {**result, **around})
            print(part, json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
