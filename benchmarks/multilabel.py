"""Measure udt and one-vs-rest linear SVMs where a row may have several labels, on the same splits.

::

    UDT_DATA=folder python benchmarks/multilabel.py [--sets a,b] [--only udt|svm] [--seeds 1]
        [--out benchmarks/results/multilabel.json]

The peer is TF-IDF of words 1–2 (sublinear) with a linear SVM for each label. Its cost, the one
threshold on its decision values, and whether a row without any label gets the nearest one are
chosen by micro-F1 in three-fold cross-validation. udt gets no flag but the target. Each result
replaces the one of the same (set, method, seed) in the file; then the whole file's table is
printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import _data
import numpy as np
from _process import timed
from _train import store, udt

# The columns that the peer reads, joined with a newline, and what separates the labels.
SETS = {
    "goemotions": (("text",), ";"),
    "reuters21578_modapte": (("title", "body"), ";"),
}
COSTS = (0.1, 1.0, 10.0)
METHODS = {"udt": "udt", "svm": "TF-IDF + linear SVMs"}
MEASURES = {"micro_f1": "micro-F1", "macro_f1": "macro-F1", "accuracy": "all labels right"}
_N_FOLDS = 3

Record = dict[str, Any]


class Part(NamedTuple):
    """The train or the test half of a set."""

    texts: list[str]
    labels: list[set[str]]


def load(name: str, part: str) -> Part:
    """Read one part; a missing text is an empty one."""
    import pyarrow.parquet as pq

    columns, separator = SETS[name]
    table = pq.read_table(_data.folder(name) / f"{part}.parquet")
    rows = zip(*(table[column].to_pylist() for column in columns), strict=True)
    cells = table[_data.target(name)].to_pylist()
    return Part(
        ["\n".join(value or "" for value in row) for row in rows],
        [{label.strip() for label in cell.split(separator)} for cell in cells],
    )


# ── the peer ────────────────────────────────────────────────────────────────────────────────────


def _features(texts: list[str], others: list[str]) -> tuple[Any, Any]:
    """Return the features of training texts, and of others."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    tfidf = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    return tfidf.fit_transform(texts), tfidf.transform(others)


def _decide(rows: Any, others: Any, truth: np.ndarray, cost: float, seed: int) -> np.ndarray:
    """Return the decision values of other rows, shape (n_others, n_labels).

    A label that no row has is never near; scikit-learn says 0 of it, above most thresholds.
    """
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    model = OneVsRestClassifier(LinearSVC(C=cost, random_state=seed)).fit(rows, truth)
    values = model.decision_function(others)
    values[:, ~truth.any(axis=0)] = -np.inf
    return values


def _at_least_one(values: np.ndarray) -> np.ndarray:
    """Return decision values in which the highest of each row is above every threshold."""
    values = values.copy()
    values[np.arange(len(values)), values.argmax(axis=1)] = np.inf
    return values


def _best_threshold(values: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the threshold of highest micro-F1, and this F1."""
    order = np.argsort(-values, axis=None)
    hits = np.cumsum(truth.ravel()[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + truth.sum())
    f1[np.isposinf(values.ravel()[order])] = 0  # these are predicted in any case
    best = int(f1.argmax())
    return float(values.ravel()[order[best]]), float(f1[best])


def svm(train: Part, test: Part, seed: int) -> Record:
    """Choose cost, threshold and rule by cross-validation, train on all rows and test.

    Returns
    -------
    dict
        The `MEASURES`; ``chosen``; ``holdout`` (micro-F1 of each choice); ``seconds``.
    """
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import MultiLabelBinarizer

    binarizer = MultiLabelBinarizer()
    truth = binarizer.fit_transform(train.labels)
    texts = np.array(train.texts, dtype=object)
    seconds: dict[str, float] = {}
    values = {cost: np.zeros(truth.shape) for cost in COSTS}
    with timed(seconds, "cross-validation"):
        for fit, held in KFold(_N_FOLDS, shuffle=True, random_state=seed).split(texts):
            rows, others = _features(texts[fit].tolist(), texts[held].tolist())
            for cost in COSTS:
                values[cost][held] = _decide(rows, others, truth[fit], cost, seed)
    rules = {"any number": np.asarray, "at least one": _at_least_one}
    found = {
        (cost, rule): _best_threshold(apply(values[cost]), truth)
        for cost in COSTS
        for rule, apply in rules.items()
    }
    cost, rule = max(found, key=lambda choice: found[choice][1])
    with timed(seconds, "refit"):
        decided = _decide(*_features(train.texts, test.texts), truth, cost, seed)
    guess = rules[rule](decided) >= found[cost, rule][0]
    return {
        **_scores(guess, test.labels, binarizer),
        "chosen": f"C={cost:g}, {rule}, threshold {found[cost, rule][0]:.3g}",
        "holdout": {f"C={c:g}, {r}": f1 for (c, r), (_, f1) in found.items()},
        "seconds": seconds,
    }


def _scores(guess: np.ndarray, labels: list[set[str]], binarizer: Any) -> dict[str, float]:
    """Return the `MEASURES`, defined as udt's: a label that is not in training is missed."""
    from sklearn.metrics import f1_score

    known = [row & set(binarizer.classes_) for row in labels]
    truth = binarizer.transform(known).astype(bool)
    n_unknown = np.array([len(row) - len(found) for row, found in zip(labels, known, strict=True)])
    n_pairs = int(guess.sum() + truth.sum() + n_unknown.sum())
    occurs = np.flatnonzero((guess | truth).any(axis=0))
    macro = f1_score(truth, guess, labels=occurs, average="macro", zero_division=0)
    return {
        "micro_f1": 2 * int((guess & truth).sum()) / n_pairs,
        "macro_f1": float(macro) * len(occurs) / (len(occurs) + bool(n_unknown.any())),
        "accuracy": float(((guess == truth).all(axis=1) & (n_unknown == 0)).mean()),
    }


# ── the table ───────────────────────────────────────────────────────────────────────────────────


def measure(name: str, method: str, seed: int) -> Record:
    """Run one method on one set."""
    if method == "udt":
        result = udt(name)
        return {**{key: result["report"]["metrics"][key] for key in MEASURES}, **result}
    train, test = load(name, "train"), load(name, "test")
    return svm(train, test, seed) | {"n_train": len(train.texts), "n_test": len(test.texts)}


def table(records: list[Record]) -> str:
    """Lay out the mean of each measure in %, and the seconds."""
    head = ["set", "test rows", "method", *MEASURES.values(), "seconds"]
    lines = [head, ["---", "--:", "---", *["--:"] * (len(MEASURES) + 1)]]
    for name, method in [(name, method) for name in SETS for method in METHODS]:
        runs = [r for r in records if (r["set"], r["method"]) == (name, method)]
        if runs:
            means = [100 * np.mean([r[key] for r in runs]) for key in MEASURES]
            whole = np.mean([r["seconds"].get("wall_s", sum(r["seconds"].values())) for r in runs])
            shown = [*(f"{mean:.1f}" for mean in means), f"{whole:.0f}"]
            lines.append([name, f"{runs[0]['n_test']:,}", METHODS[method], *shown])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--only", choices=tuple(METHODS))
    parser.add_argument("--seeds", type=int, default=1, help="number of runs of each")
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "multilabel.json")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    if unknown := set(arguments.sets) - set(SETS):
        parser.error(f"unknown sets {sorted(unknown)}; there are {', '.join(SETS)}")
    return arguments


def main() -> None:
    arguments = _arguments()
    for name in arguments.sets:
        for method in [arguments.only] if arguments.only else METHODS:
            for seed in range(arguments.seeds):
                # udt takes all cores and no seed: there, the number only tells runs apart.
                around = _data.circumstances({"udt": None, "svm": 1}[method])
                result = measure(name, method, seed)
                record = {"set": name, "method": method, "seed": seed, **result, **around}
                store(arguments.out, record)
                print(f"{name:24}{method:6}{100 * result['micro_f1']:6.2f}", file=sys.stderr)
    print(table(json.loads(arguments.out.read_text("utf-8"))))


if __name__ == "__main__":
    main()
