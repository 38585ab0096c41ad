"""Measure udt, fastText and a nearest centroid on tables with thousands of classes. Unix only.

::

    UDT_DATA=folder python benchmarks/many_classes.py [--sets a,b]
        [--only udt|fasttext|centroid|selectors] [--seeds 1] [--rows N] [--threads N]
        [--out benchmarks/results/many_classes.json]

``selectors`` is an ablation of how a row's active classes are found in training, and of how many
classes a feature's shortlist holds: the engine alone on 100,000 rows of the first set. ``--rows``
trains everything on so many rows only, to try the script.

Each result replaces the one of the same (set, method, seed, rows) in the file as soon as it is
known. Then the whole file's tables are printed. This process stays small and does its work in
children, so that their peak memory is their own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import _data
import _peers
from _process import apart, peak_bytes, timed_process

Record = dict[str, Any]


class Set(NamedTuple):
    """The column that the peers read, and what stands between labels; "" = one a row."""

    column: str
    separator: str


SETS = {
    "reddit_subreddits": Set("title", ""),
    "yso_subjects_extreme": Set("text", "|"),
}
METHODS = {"udt": "udt", "fasttext": "fastText", "centroid": "nearest centroid"}
ABLATION_SET, ABLATION_ROWS = "reddit_subreddits", 100_000
FASTTEXT = {"loss": "hs", "dim": 64, "epoch": 5, "lr": 0.5, "wordNgrams": 2}
SELECTORS = ("votes", "lsh", "random", "dense")
SHORTLISTS = (8, 16, 32, 64)
_TOP, _BLOCK_ROWS, _REPEATS = 10, 500, 3


# ── data ────────────────────────────────────────────────────────────────────────────────────────


def write_sample(name: str, n_rows: int, path: Path) -> None:
    """Write a random part of a set's training rows."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(_data.folder(name) / "train.parquet")
    n_rows = min(n_rows, table.num_rows)
    chosen = np.random.default_rng(0).choice(table.num_rows, n_rows, replace=False)
    pq.write_table(table.take(np.sort(chosen)), path)


def read(name: str, path: Path) -> tuple[list[str], list[list[str]]]:
    """Return texts and label lists; a missing text is an empty one."""
    import pyarrow.parquet as pq

    table, separator = pq.read_table(path), SETS[name].separator
    texts = [text or "" for text in table[SETS[name].column].to_pylist()]
    labels = [str(label) for label in table[_data.target(name)].to_pylist()]
    return texts, [label.split(separator) if separator else [label] for label in labels]


def score(name: str, top: Sequence[Sequence[str]], truth: Sequence[Sequence[str]]) -> Record:
    """Return P@1, and where a row has several labels P@3 and R@10.

    Parameters
    ----------
    name : str
        The set.
    top : sequence of sequences of str
        Up to ten labels for each row, the best first.
    truth : sequence of sequences of str
        True labels of each row.
    """
    pairs = [(list(found), set(labels)) for found, labels in zip(top, truth, strict=True)]
    scores = {"precision_at_1": statistics.fmean(len({*f[:1]} & t) for f, t in pairs)}
    if SETS[name].separator:
        scores["precision_at_3"] = statistics.fmean(len({*f[:3]} & t) / 3 for f, t in pairs)
        scores["recall_at_10"] = statistics.fmean(len({*f[:10]} & t) / len(t) for f, t in pairs)
    return scores


# ── udt ─────────────────────────────────────────────────────────────────────────────────────────


def _predict_rate(model: Path, test: Path, target: str) -> int:
    """Return rows a second of warm predictions of the whole test table."""
    sys.path.insert(0, str(_data.REPOSITORY))
    import pyarrow.parquet as pq

    import udt

    loaded = udt.load(model)
    table = pq.read_table(test).drop_columns([target])
    seconds = []
    for _ in range(1 + _REPEATS):
        start = time.perf_counter()
        loaded.predict(table)
        seconds.append(time.perf_counter() - start)
    return round(table.num_rows / statistics.median(seconds[1:]))


def udt(name: str, train: Path, test: Path, *_: int) -> Record:
    """Train and test in a process of its own, with no flag but the target, as a user would."""
    with tempfile.TemporaryDirectory() as scratch:
        model, target = Path(scratch, "model.udt"), _data.target(name)
        files = (str(train), "--target", target, "--test", str(test), "-o", str(model))
        used, printed = timed_process(*_data.UDT, "train", *files, "--json")
        rate = apart(_predict_rate, model, test, target)
    report = json.loads(printed)
    metrics = report["metrics"]
    if metrics["split"] != "test":
        raise RuntimeError(f"udt tested on '{metrics['split']}', not on the test file of {name}.")
    keys = ("precision_at_1", "precision_at_3", "recall_at_10") if SETS[name].separator else ()
    if not metrics.keys() >= {*keys}:
        raise RuntimeError(f"udt took the labels of {name} for one label a row; try more --rows.")
    return {
        "precision_at_1": metrics["accuracy"],
        **{key: metrics[key] for key in keys},
        "train_s": used["wall_s"],
        "predict_rows_per_s": rate,
        "peak_bytes": report["size"]["peak_memory_bytes"],
        "work_train": report["network"]["work_train"],
        "n_train": report["n_rows"],
        "n_test": metrics["n_rows"],
        "stages": report["time"],
        "model_bytes": report["size"].get("model_bytes"),
    }


# ── the peers ───────────────────────────────────────────────────────────────────────────────────


def _write_lines(name: str, source: Path, path: Path) -> int:
    """Write fastText's file: every label of a row in front of its text. Return the rows."""
    texts, labels = read(name, source)
    with path.open("w", encoding="utf-8") as file:
        for text, row in zip(texts, labels, strict=True):
            names = " ".join(f"__label__{label.encode().hex()}" for label in row)
            file.write(f"{names} {_peers._fasttext_line(text)}\n")
    return len(texts)


def _fasttext(name: str, lines: Path, test: Path, seed: int, n_threads: int) -> Record:
    """Train, then predict ten labels of each test row."""
    import fasttext

    start = time.perf_counter()
    model = fasttext.train_supervised(
        str(lines), verbose=0, thread=n_threads, seed=seed, **FASTTEXT
    )
    train_s, peak = time.perf_counter() - start, peak_bytes()
    texts, truth = read(name, test)
    texts = [_peers._fasttext_line(text) for text in texts]
    start = time.perf_counter()
    model.predict(texts)  # the best label, as udt is timed
    predict_s = time.perf_counter() - start
    found, _ = model.predict(texts, k=_TOP)
    top = [[bytes.fromhex(label[len("__label__") :]).decode() for label in row] for row in found]
    return {
        **score(name, top, truth),
        "train_s": round(train_s, 3),
        "predict_rows_per_s": round(len(texts) / predict_s),
        "peak_bytes": peak,
        "n_test": len(texts),
        "options": FASTTEXT,
    }


def fasttext(name: str, train: Path, test: Path, seed: int, n_threads: int) -> Record:
    """Train and test fastText with a hierarchical softmax, its way to many classes."""
    with tempfile.TemporaryDirectory() as scratch:
        lines = Path(scratch, "lines.txt")
        n_train = apart(_write_lines, name, train, lines)
        return {**apart(_fasttext, name, lines, test, seed, n_threads), "n_train": n_train}


def _centroid(name: str, train: Path, test: Path) -> Record:
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import MultiLabelBinarizer, normalize

    texts, labels = read(name, train)
    start = time.perf_counter()
    tfidf = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b",
        dtype=np.float32,
    )  # fmt: skip
    rows = tfidf.fit_transform(texts)
    binarizer = MultiLabelBinarizer(sparse_output=True)
    members = binarizer.fit_transform(labels).astype(np.float32)
    centroids = normalize(members.T @ rows).T.tocsr()
    train_s = time.perf_counter() - start
    texts_of_test, truth = read(name, test)
    start, top = time.perf_counter(), []
    asked = tfidf.transform(texts_of_test)
    for first in range(0, len(truth), _BLOCK_ROWS):
        cosines = (asked[first : first + _BLOCK_ROWS] @ centroids).toarray()
        best = np.argpartition(-cosines, _TOP, axis=1)[:, :_TOP]
        order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1, kind="stable")
        top += binarizer.classes_[np.take_along_axis(best, order, axis=1)].tolist()
    predict_s = time.perf_counter() - start
    return {
        **score(name, top, truth),
        "train_s": round(train_s, 3),
        "predict_rows_per_s": round(len(truth) / predict_s),
        "peak_bytes": peak_bytes(),
        "n_train": len(texts),
        "n_test": len(truth),
        "options": {"n_features": rows.shape[1]},
    }


def centroid(name: str, train: Path, test: Path, *_: int) -> Record:
    """Measure the nearest centroid over TF-IDF of words and pairs of words; cosine."""
    return apart(_centroid, name, train, test)


# ── the ablation ────────────────────────────────────────────────────────────────────────────────


def _features(name: str, train: Path, test: Path, n_threads: int) -> tuple[Any, ...]:
    """Return training rows and targets, test rows and classes, and the number of classes."""
    import numpy as np
    import pyarrow.parquet as pq

    from udt.csr import one_class
    from udt.featurizers.infer import infer_schema
    from udt.featurizers.rows import FeaturePool
    from udt.settings import FeaturizerSettings
    from udt.table import as_table

    target, column = _data.target(name), SETS[name].column
    tables = [pq.read_table(path) for path in (train, test)]
    labels = [np.array(table[target].to_pylist()) for table in tables]
    names, y = np.unique(labels[0], return_inverse=True)
    code = {label: i for i, label in enumerate(names.tolist())}
    texts, asked = (as_table(table.select([column])) for table in tables)
    targets = one_class(y)
    settings = FeaturizerSettings(max_features=300_000)
    schema = infer_schema({column: texts.column(column)})
    pool = FeaturePool(texts, schema, settings, n_threads)
    encoder, rows = pool.select(targets, len(names), settings, n_threads)
    truth = np.array([code.get(label, -1) for label in labels[1].tolist()])
    return rows, targets, encoder.transform(asked, n_threads), truth, len(names)


def _ablate(name: str, train: Path, test: Path, seed: int, n_threads: int) -> list[Record]:
    """Train with every selector, and with shortlists of several lengths."""
    sys.path.insert(0, str(_data.REPOSITORY))
    import numpy as np

    from udt.engine.many import ranking
    from udt.engine.many_train import rank, train_many
    from udt.settings import ManySettings

    rows, targets, asked, truth, n_classes = _features(name, train, test, n_threads)

    def run(method: str, settings: ManySettings) -> Record:
        start = time.perf_counter()
        trained = train_many(rows, targets, n_classes, settings, n_threads=n_threads, seed=seed)
        whole_s, epochs_s = time.perf_counter() - start, trained.history[-1]["seconds"]
        record = {
            "method": method,
            "epoch_s": round(epochs_s / len(trained.history), 3),
            "start_s": round(whole_s - epochs_s, 3),
            "work_train": trained.work,
            "n_train": rows.n_rows,
            "n_test": len(truth),
        }
        n_deep = {"precision_at_1": settings.n_best, "precision_at_1_all": n_classes}
        for key, n_best in n_deep.items():
            ranked, _ = rank(
                trained.network, asked, ranking(trained.network, 1.0, n_best), 1,
                n_threads=n_threads,
            )  # fmt: skip
            record[key] = float((ranked.ids[:, 0] == truth).mean())
        return record

    few = np.arange(min(1_000, rows.n_rows))
    for selector in SELECTORS:  # what is compiled once is not measured
        settings = ManySettings(selector=selector, epochs=1)
        train_many(rows, targets, n_classes, settings, which=few, n_threads=n_threads)
    records = [run(selector, ManySettings(selector=selector)) for selector in SELECTORS]
    return records + [run(f"shortlist {n}", ManySettings(shortlist=n)) for n in SHORTLISTS]


def selectors(train: Path, test: Path, seed: int, n_threads: int) -> list[Record]:
    """Return one record for each way to find the active classes, and each shortlist's length."""
    found: list[Record] = apart(_ablate, ABLATION_SET, train, test, seed, n_threads)
    return found


# ── tables ──────────────────────────────────────────────────────────────────────────────────────


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table; "" without rows. Every column but the first is aligned to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "" if len(lines) == 2 else "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mean(runs: list[Record], key: str, show: str, factor: float = 1) -> str:
    values = [r[key] for r in runs if r.get(key) is not None]
    return format(factor * statistics.fmean(values), show) if values else "–"


def many_classes_table(records: list[Record]) -> str:
    """Lay out every method on every set; means of the seeds."""
    rows = []
    keys = sorted({(r["set"], r["n_train"]) for r in records if r["method"] in METHODS})
    for name, n_train in keys:
        for method, shown in METHODS.items():
            key = (name, n_train, method)
            runs = [r for r in records if (r["set"], r["n_train"], r["method"]) == key]
            if not runs:
                continue
            scores = ("precision_at_1", "precision_at_3", "recall_at_10")
            rows.append([
                name, f"{n_train:,}", shown,
                *(_mean(runs, score, ".2f", 100) for score in scores),
                _mean(runs, "train_s", ".1f"), _mean(runs, "predict_rows_per_s", ",.0f"),
                _mean(runs, "peak_bytes", ".2f", 1e-9), _mean(runs, "work_train", ".1f", 100),
            ])  # fmt: skip
    head = ["set", "training rows", "", "P@1", "P@3", "R@10", "train s", "rows/s", "GB", "work, %"]
    return _markdown(head, rows)


def selectors_table(records: list[Record]) -> str:
    """Lay out the ablation; work is that of training, in percent of the dense network's."""
    rows = []
    for method in (*SELECTORS, *(f"shortlist {n}" for n in SHORTLISTS)):
        runs = [r for r in records if r["method"] == method]
        if runs:
            rows.append([
                method, f"{runs[0]['n_train']:,}", _mean(runs, "precision_at_1", ".2f", 100),
                _mean(runs, "precision_at_1_all", ".2f", 100), _mean(runs, "epoch_s", ".2f"),
                _mean(runs, "work_train", ".2f", 100),
            ])  # fmt: skip
    head = ["active classes by", "training rows", "P@1", "P@1, all scored", "s/epoch", "work, %"]
    return _markdown(head, rows)


# ── the whole ───────────────────────────────────────────────────────────────────────────────────


def store(path: Path, record: Record) -> None:
    """Put a record in the place of the one with the same key; read anew, as runs may overlap."""
    records = json.loads(path.read_text("utf-8")) if path.exists() else []
    key = ("set", "method", "seed", "n_train")
    others = [r for r in records if any(r[k] != record[k] for k in key)]
    _data.write_json(path, sorted([*others, record], key=lambda r: [r[k] for k in key]))


def measure(arguments: argparse.Namespace, scratch: Path) -> Iterator[Record]:
    """Yield the results one by one."""
    methods: dict[str, Callable[..., Record]] = {
        "udt": udt, "fasttext": fasttext, "centroid": centroid
    }  # fmt: skip
    wanted = [arguments.only] if arguments.only else [*methods, "selectors"]
    for name in arguments.sets:
        test = _data.folder(name) / "test.parquet"
        train = _data.folder(name) / "train.parquet"
        if arguments.rows:
            train = scratch / f"{name}.parquet"
            apart(write_sample, name, arguments.rows, train)
        for method in (m for m in wanted if m in methods):
            for seed in range(arguments.seeds if method != "centroid" else 1):
                # udt takes all cores and no seed: there, the number only tells runs apart.
                n_threads = {"udt": None, "centroid": 1}.get(method, arguments.threads)
                around = _data.circumstances(n_threads)
                result = methods[method](name, train, test, seed, arguments.threads)
                yield {"set": name, "method": method, "seed": seed, **result, **around}
    if "selectors" in wanted:
        train, test = scratch / "ablation.parquet", _data.folder(ABLATION_SET) / "test.parquet"
        apart(write_sample, ABLATION_SET, arguments.rows or ABLATION_ROWS, train)
        for seed in range(arguments.seeds):
            around = _data.circumstances(arguments.threads)
            for result in selectors(train, test, seed, arguments.threads):
                yield {"set": ABLATION_SET, "seed": seed, **result, **around}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--only", choices=(*METHODS, "selectors"))
    parser.add_argument("--seeds", type=int, default=1, help="number of runs of each")
    parser.add_argument("--rows", type=int, help="train on so many rows only")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of peers and engine")
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "many_classes.json")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    if unknown := set(arguments.sets) - set(SETS):
        parser.error(f"unknown sets {sorted(unknown)}; there are {', '.join(SETS)}")
    return arguments


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        for record in measure(arguments, Path(name)):
            store(arguments.out, record)
            shown = f"{record['set']:24}{record['method']:16}{100 * record['precision_at_1']:6.2f}"
            print(shown, file=sys.stderr)
    records = json.loads(arguments.out.read_text("utf-8"))
    print(*filter(None, (many_classes_table(records), selectors_table(records))), sep="\n\n")


if __name__ == "__main__":
    main()
