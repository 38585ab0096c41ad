"""Measure udt without a question asked: text, mixed tables, small ones, time limits.

::

    UDT_DATA=folder python benchmarks/automl.py --part text|mixed|small|limits|unseen
        [--sets a,b] [--methods udt,…] [--sizes 100,300,1000] [--seeds N] [--within 200]
        [--again] [--out benchmarks/results/automl.json]

Every result is stored as soon as it is known, under its part, set, setting, method and seed. What
is there already is not measured again unless ``--again`` is given, and after ``--within`` seconds
no measurement is begun, so that a long part can be run in pieces.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import _data
import _peers
import _table_peers
import _train
import automl_table
from _table_peers import Split

if TYPE_CHECKING:
    import pandas as pd

Measure = Callable[[Split, int], dict[str, Any]]

SMALL_TEST_ROWS = 5_000
LIMITS_S = (10, 30, 120)
LIMITED_SET = "yelp_restaurants_mixed"
_KEY = ("part", "set", "setting", "method", "seed")
_N_FOLDS = 5


class Leg(NamedTuple):
    """One measurement: its key, and what returns its result."""

    part: str
    set: str
    setting: str
    method: str
    seed: int
    run: Callable[[], dict[str, Any]]


# ── udt ─────────────────────────────────────────────────────────────────────────────────────────


def _told(result: dict[str, Any], process_s: float) -> dict[str, Any]:
    """Return what is kept of a run of `_train`."""
    kept = {key: result[key] for key in ("accuracy", "n_train", "n_test", "chosen")}
    seconds = {"process_s": round(process_s, 3), **result["seconds"]}
    leaders = result["report"]["search"]["leaderboard"][:5]
    return {**kept, "seconds": seconds, "leaderboard": leaders}


def udt_as_is(name: str, *flags: str) -> dict[str, Any]:
    """Train on a set's own files; the wall time is that of the whole process."""
    started = time.perf_counter()
    result = _train.udt(name, *flags)
    return _told(result, time.perf_counter() - started)


def udt_process(split: Split, seed: int) -> dict[str, Any]:
    """Write the split to files and train on them; no seed, as a user would not give one."""
    with tempfile.TemporaryDirectory() as scratch:
        for part, frame in (("train", split.train), ("test", split.test)):
            frame.to_parquet(Path(scratch, f"{part}.parquet"), index=False)
        started = time.perf_counter()
        result = _train.udt_on(Path(scratch), split.target)
        return _told(result, time.perf_counter() - started)


def udt_here(split: Split, seed: int) -> dict[str, Any]:
    """Train in this process: hundreds of small tables need not start Python as often."""
    from udt import UDT

    started = time.perf_counter()
    model = UDT(split.target, random_state=seed).fit(split.train)
    fit_s = time.perf_counter() - started
    return {
        "accuracy": _score(model, split),
        "chosen": model.leaderboard_[0]["name"],
        "seconds": {"fit_s": round(fit_s, 3)},
        "leaderboard": model.leaderboard_[:5],
    }


def _score(model: Any, split: Split) -> float:
    """Return the share of right test rows; a label that training lacked cannot be right."""
    predicted = model.predict(split.test.drop(columns=split.target))
    truth = split.test[split.target].astype(str).tolist()
    return statistics.fmean(str(p) == t for p, t in zip(predicted, truth, strict=True))


# ── Peers ───────────────────────────────────────────────────────────────────────────────────────


def _joined(split: Split) -> tuple[_data.Part, _data.Part]:
    """Return the text columns joined, as the peers of texts read them."""
    parts = []
    for frame, labels in zip((split.train, split.test), split.labels(), strict=True):
        columns = [frame[name].fillna("").astype(str) for name in split.text]
        parts.append(_data.Part(["\n".join(r) for r in zip(*columns, strict=True)], labels))
    return parts[0], parts[1]


def text_svm(split: Split, seed: int, *, chars: bool) -> dict[str, Any]:
    """TF-IDF of words, or of words and characters, + LinearSVC with a tuned cost."""
    return _peers.svm(*_joined(split), seed, chars=chars)


METHODS: dict[str, Measure] = {
    "udt": udt_process,
    "word_svm": partial(text_svm, chars=False),
    "svm": partial(text_svm, chars=True),
    "linear_svm": _table_peers.linear_svm,
    "linear_logistic": _table_peers.linear_logistic,
    "lightgbm": _table_peers.lightgbm,
}
SMALL_METHODS: dict[str, Measure] = {
    "udt": udt_here,
    "logistic_default": partial(_table_peers.text_logistic, ngrams=(1, 1), costs=(1.0,)),
    "logistic_words": partial(_table_peers.text_logistic, ngrams=(1, 1), costs=(1.0, 10.0, 100.0)),
    "logistic_pairs": partial(_table_peers.text_logistic, ngrams=(1, 2), costs=(1.0, 10.0, 100.0)),
}
_TABLE_METHODS = ("udt", "linear_svm", "linear_logistic", "lightgbm")


# ── Sets ────────────────────────────────────────────────────────────────────────────────────────


@cache
def _frame(name: str, part: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(_data.folder(name) / f"{part}.parquet")


def load(name: str) -> Split:
    """Return a set as it is."""
    text = (_data.TEXT_COLUMNS | _data.MORE_TEXT_COLUMNS)[name]
    return Split(_frame(name, "train"), _frame(name, "test"), _data.target(name), text)


def small(name: str, n_rows: int, seed: int) -> Split:
    """Return so many training rows, drawn at random, and at most 5,000 of the test rows."""
    split = load(name)
    n_test = min(SMALL_TEST_ROWS, len(split.test))
    return split._replace(
        train=split.train.sample(n_rows, random_state=seed).reset_index(drop=True),
        test=split.test.sample(n_test, random_state=0).reset_index(drop=True),
    )


def folds(name: str, seed: int) -> Iterator[Split]:
    """Yield the folds of all rows of a set, training and test rows alike."""
    import pandas as pd
    from sklearn.model_selection import StratifiedKFold

    split = load(name)
    rows = pd.concat([split.train, split.test], ignore_index=True)
    cut = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=seed)
    for train, test in cut.split(rows, rows[split.target].astype(str)):
        yield split._replace(
            train=rows.iloc[train].reset_index(drop=True),
            test=rows.iloc[test].reset_index(drop=True),
        )


def changed(name: str) -> Split:
    """Return a set that no choice was made on: another target, fewer rows or fewer columns."""
    base, target, dropped, n_rows = _data.UNSEEN[name]
    split = load(base)
    train, test = (p.drop(columns=list(dropped)) for p in (split.train, split.test))
    target = target or split.target
    text = tuple(c for c in split.text if c in train.columns and c != target)
    train, test = (p[p[target].notna()] for p in (train, test))
    n_train, n_test = min(n_rows or len(train), len(train)), min(10_000, len(test))
    return Split(
        train.sample(n_train, random_state=0).reset_index(drop=True),
        test.sample(n_test, random_state=0).reset_index(drop=True),
        target,
        text,
    )


# ── Parts ───────────────────────────────────────────────────────────────────────────────────────


def _text_legs(seeds: int, sets: list[str], _: list[int]) -> Iterator[Leg]:
    for name in sets:
        for seed in range(seeds):
            yield Leg("text", name, "", "udt", seed, partial(udt_as_is, name))
        # The other peers of the same sets are those of accuracy.py.
        yield Leg("text", name, "", "word_svm", 0, lambda n=name: METHODS["word_svm"](load(n), 0))


def _mixed_legs(seeds: int, sets: list[str], _: list[int]) -> Iterator[Leg]:
    for name in sets:
        for method in _TABLE_METHODS:
            measure = METHODS[method]
            if name == "titanic":
                for seed in range(_N_FOLDS):
                    run = partial(_over_folds, measure, name, seed)
                    yield Leg("mixed", name, "5-fold", method, seed, run)
                continue
            for seed in range(seeds if method == "udt" else 1):
                run = lambda m=measure, n=name, s=seed: m(load(n), s)  # noqa: E731
                yield Leg("mixed", name, "", method, seed, run)


def _over_folds(measure: Measure, name: str, seed: int) -> dict[str, Any]:
    results = [measure(split, seed) for split in folds(name, seed)]
    seconds = {"all": round(sum(sum(r["seconds"].values()) for r in results), 3)}
    accuracies = [r["accuracy"] for r in results]
    chosen = "; ".join(str(r["chosen"]) for r in results)
    mean = statistics.fmean(accuracies)
    return {"accuracy": mean, "chosen": chosen, "folds": accuracies, "seconds": seconds}


def _small_legs(seeds: int, sets: list[str], sizes: list[int]) -> Iterator[Leg]:
    for n_rows in sizes:
        for name in sets:
            for seed in range(seeds):
                for method, measure in SMALL_METHODS.items():
                    run = lambda m=measure, n=name, k=n_rows, s=seed: m(small(n, k, s), s)  # noqa: E731
                    yield Leg("small", name, f"{n_rows} rows", method, seed, run)


def _limits_legs(seeds: int, sets: list[str], _: list[int]) -> Iterator[Leg]:
    for name in sets:
        for limit in LIMITS_S:
            for seed in range(seeds):
                run = partial(udt_as_is, name, "--time-limit", str(limit))
                yield Leg("limits", name, f"{limit} s", "udt", seed, run)


def _unseen_legs(seeds: int, sets: list[str], _: list[int]) -> Iterator[Leg]:
    for name in sets:
        for method, measure in METHODS.items():
            split = changed(name)
            columns = len(split.train.columns) - 1 - len(split.text)
            reads_text_alone = method in ("word_svm", "svm")
            if (method == "lightgbm" and not columns) or (reads_text_alone and not split.text):
                continue
            for seed in range(seeds if method == "udt" else 1):
                run = lambda m=measure, n=name, s=seed: m(changed(n), s)  # noqa: E731
                yield Leg("unseen", name, "", method, seed, run)


PARTS: dict[str, tuple[Callable[..., Iterator[Leg]], tuple[str, ...], int]] = {
    "text": (_text_legs, tuple(_data.TEXT_COLUMNS), 3),
    "mixed": (_mixed_legs, _data.MIXED_SETS, 3),
    "small": (_small_legs, _data.SMALL_SETS, 5),
    "limits": (_limits_legs, (LIMITED_SET,), 3),
    "unseen": (_unseen_legs, tuple(_data.UNSEEN), 1),
}
"""What makes a part's legs, its sets, and how often each is run."""


def store(path: Path, record: dict[str, Any]) -> None:
    """Put a record in its place; one process at a time."""
    with Path(tempfile.gettempdir(), f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _train.store(path, record, _KEY)


def read(path: Path) -> list[dict[str, Any]]:
    """Return all records."""
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", required=True, choices=PARTS)
    parser.add_argument("--sets", help="of the part's sets, with commas; all by default")
    parser.add_argument("--methods", help="of the part's methods, with commas; all by default")
    parser.add_argument("--sizes", default="100,300,1000", help="rows of a small table")
    parser.add_argument("--seeds", type=int, help="number of runs of each")
    parser.add_argument("--within", type=float, help="begin no measurement after so many seconds")
    parser.add_argument("--again", action="store_true", help="measure what is stored already")
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "automl.json")
    arguments = parser.parse_args()
    known = PARTS[arguments.part][1]
    arguments.sets = arguments.sets.split(",") if arguments.sets else list(known)
    if unknown := set(arguments.sets) - set(known):
        parser.error(f"unknown sets {sorted(unknown)}; there are {', '.join(known)}")
    arguments.methods = arguments.methods.split(",") if arguments.methods else None
    arguments.sizes = [int(size) for size in arguments.sizes.split(",")]
    return arguments


def main() -> None:
    """Measure what is missing; print the part's table."""
    arguments = _arguments()
    make_legs, _, seeds = PARTS[arguments.part]
    started = time.perf_counter()
    stored = {tuple(r[k] for k in _KEY) for r in read(arguments.out)}
    for leg in make_legs(arguments.seeds or seeds, arguments.sets, arguments.sizes):
        if arguments.methods and leg.method not in arguments.methods:
            continue
        if leg[:-1] in stored and not arguments.again:
            continue
        if arguments.within is not None and time.perf_counter() - started > arguments.within:
            print("Out of time: run it again for the others.", file=sys.stderr)
            break
        # A part measured in pieces has one command: that which measures all of it.
        command = f"python benchmarks/automl.py --part {leg.part}"
        around = _data.circumstances() | {"command": command}
        result = leg.run()
        store(arguments.out, dict(zip(_KEY, leg[:-1], strict=True)) | result | around)
        shown = " ".join(f"{field!s:20}" for field in leg[:-1])
        print(f"{shown} {100 * result['accuracy']:6.2f}", file=sys.stderr, flush=True)
    records = automl_table.beside_stored(read(arguments.out), read(_data.RESULTS / "accuracy.json"))
    print(automl_table.tables(records, [arguments.part]))


if __name__ == "__main__":
    main()
