"""What a model file keeps of its measurement, for the report's page: bounded, whatever the table.

It holds short pieces of some rows: the worst mistakes and the most telling words.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from udt import __version__, metrics
from udt.csr import Targets
from udt.explain import RowParts, ngrams_of, share_out, take_apart
from udt.featurizers.cells import as_strings
from udt.metrics import Predicted
from udt.predictor import Predictor
from udt.table import Table

Rows = npt.NDArray[np.int64]

MOST_MATRIX_CLASSES = 40
"""With more classes, the most frequent mistakes stand in place of the confusion matrix."""

_MOST_CLASSES = 200
_N_BINS = 15
_N_MISTAKES, _MOST_COLUMNS, _MOST_CHARACTERS = 20, 6, 240
_MOST_EXPLAINED, _MOST_SECONDS = 120, 0.6
_SEVERAL = 8  # explained rows of a class from which on a word must have been in two
_N_TELLING_CLASSES, _N_WORDS, _N_PHRASES, _N_NGRAMS = 12, 14, 8, 20


def gather(
    predictor: Predictor,
    table: Table,
    rows: Rows,
    targets: Targets,
    predicted: Predicted,
    names: Sequence[str],
    *,
    is_multi_label: bool,
) -> dict[str, Any]:
    """Return what is kept of the rows that the model was measured on.

    Parameters
    ----------
    predictor : Predictor
        The model.
    table : Table
        Where the rows are.
    rows : ndarray of int64, shape (n_rows,)
        Which they are.
    targets, predicted
        Their classes, −1 = unknown to the model, and what was said of them.
    names : sequence of str
        The classes.
    is_multi_label : bool
        Whether a row may have several.

    Returns
    -------
    dict
        ``per_class`` (those of lowest F1, if they are very many), ``n_rows``; ``confusion`` with
        ``labels``, or ``confused``; ``reliability`` (``confidence, accuracy, n_rows`` of each
        bin); ``mistakes`` (``row`` counted from 1, ``true, predicted, confidence, cells``);
        ``telling`` (a class's words and phrases with their mean weights) and ``importance``
        (of columns), both in nats.
    """
    per_class = metrics.per_class(targets, predicted.chosen, names)
    kept: dict[str, Any] = {
        "n_rows": len(rows),
        "made_with": {
            "udt": __version__,
            "python": platform.python_version(),
            "on": platform.platform(terse=True),
        },
        "per_class": sorted(per_class, key=lambda c: c["f1"])[:_MOST_CLASSES]
        if len(names) > _MOST_CLASSES
        else per_class,
        "reliability": _reliability(targets, predicted),
        "mistakes": list(_mistakes(table, rows, targets, predicted, names)),
    }
    if not is_multi_label:
        truth, guess = targets.ids, predicted.chosen.ids
        if len(names) <= MOST_MATRIX_CLASSES:
            kept["labels"] = list(names)
            kept["confusion"] = metrics.confusion(truth, guess, len(names)).tolist()
        else:
            kept["confused"] = metrics.most_confused(truth, guess, names)
    return kept | _explained(predictor, table, rows, predicted, names)


def _reliability(targets: Targets, predicted: Predicted) -> list[dict[str, Any]]:
    """Return how often the most probable label is right, by how probable it was said to be."""
    confidence = predicted.top_p[:, 0].astype(np.float64)
    right = metrics.in_targets(predicted.top, targets)[:, 0]
    bins = (np.ceil(confidence * _N_BINS).astype(np.int64) - 1).clip(0, _N_BINS - 1)
    n = np.bincount(bins, minlength=_N_BINS)
    sums = (np.bincount(bins, of, _N_BINS) for of in (confidence, right))
    means = [(total / np.maximum(n, 1)).tolist() for total in sums]
    return [
        {"confidence": p, "accuracy": a, "n_rows": k}
        for p, a, k in zip(*means, n.tolist(), strict=True)
        if k
    ]


def _mistakes(
    table: Table, rows: Rows, targets: Targets, predicted: Predicted, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the wrong rows that the model was surest of."""
    wrong = np.flatnonzero(
        ~metrics.exact_matches(targets, predicted.chosen) & ~metrics.have_unknown(targets)
    )
    worst = wrong[np.argsort(-predicted.row_loss[wrong], kind="stable")][:_N_MISTAKES]
    cells = table.take(rows[worst])
    columns = {
        name: as_strings(cells.column(name)).to_pylist() for name in cells.names[:_MOST_COLUMNS]
    }
    for i, row in enumerate(worst.tolist()):
        true, said = (
            [names[c] for c in of.ids[of.indptr[row] : of.indptr[row + 1]].tolist()]
            for of in (targets, predicted.chosen)
        )
        yield {
            "row": int(rows[row]) + 1,
            "true": true,
            "predicted": said,
            "confidence": float(predicted.top_p[row, 0]),
            "cells": {name: _short(of[i]) for name, of in columns.items() if of[i]},
        }


def _short(cell: str) -> str:
    """Return the beginning of a cell on one line."""
    words = " ".join(cell[: 2 * _MOST_CHARACTERS].split())
    return words if len(words) <= _MOST_CHARACTERS else f"{words[: _MOST_CHARACTERS - 1]}…"


# -- explanations, added up --------------------------------------------------------------------


class _Sums:
    """Weights by what they belong to: their sum, and how often."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])

    def add(self, name: str, weight: float) -> None:
        entry = self._sums[name]
        entry[0] += weight
        entry[1] += 1

    def largest(self, n: int, at_least: int = 1) -> list[dict[str, Any]]:
        """Return the names of most weight; each with its mean and how often it was.

        They are ordered by mean · √n: neither what is everywhere nor what is once goes first.
        """
        often = [item for item in self._sums.items() if item[1][1] >= at_least]
        first = sorted(often, key=lambda item: (-item[1][0] / item[1][1] ** 0.5, item[0]))[:n]
        return [
            {"text": name[:60], "weight": total / k, "n_rows": k}
            for name, (total, k) in first
            if total > 0
        ]


def _explained(
    predictor: Predictor, table: Table, rows: Rows, predicted: Predicted, names: Sequence[str]
) -> dict[str, Any]:
    """Return what words and columns did for the predictions of some rows, added up."""
    guess = predicted.chosen.ids[predicted.chosen.indptr[:-1]]
    frequent = np.argsort(-np.bincount(guess, minlength=len(names)), kind="stable")
    shown = frequent[:_N_TELLING_CLASSES].tolist()
    words, phrases = ({c: _Sums() for c in shown} for _ in range(2))
    columns, n_rows, started = _Sums(), 0, time.perf_counter()
    counts = dict.fromkeys(shown, 0)
    for row in _spread_over(guess, shown):
        if n_rows and time.perf_counter() - started > _MOST_SECONDS:
            break
        one, c = table.take(rows[row : row + 1]), int(guess[row])
        asked = np.array([c], np.int32)
        parts = take_apart(predictor, one, predictor.encoder.transform(one), asked)
        _add_columns(columns, parts)
        _add_texts(words[c], phrases[c], parts)
        counts[c] += 1
        n_rows += 1
    return {
        "n_explained": n_rows,
        "importance": [
            {"column": e["text"], "weight": e["weight"] * e["n_rows"] / n_rows}
            for e in columns.largest(_MOST_CLASSES)
        ],
        "telling": [
            {
                "label": names[c],
                "n_rows": counts[c],
                "words": words[c].largest(_N_WORDS, 2 if counts[c] >= _SEVERAL else 1),
                "phrases": phrases[c].largest(_N_PHRASES, 2 if counts[c] >= _SEVERAL else 1),
            }
            for c in shown
            if counts[c]
        ],
    }


def _spread_over(guess: npt.NDArray[np.int32], shown: Sequence[int]) -> list[int]:
    """Return rows to explain, a class's in turn with the others', evenly over the table."""
    each = -(-_MOST_EXPLAINED // max(1, len(shown)))
    chosen = []
    for c in shown:
        own = np.flatnonzero(guess == c)
        chosen.append(own[np.linspace(0, len(own) - 1, min(each, len(own))).astype(int)].tolist())
    turns = max(map(len, chosen), default=0)
    return [own[i] for i in range(turns) for own in chosen if i < len(own)]


def _add_columns(sums: _Sums, parts: RowParts) -> None:
    """Add how much each column moved the logit, whichever way."""
    adds = {text.column: float(text.adds[0].sum()) for text in parts.texts}
    for name, _, own in parts.columns:
        adds[name] = adds.get(name, 0.0) + float(own[0])
    for name, weight in adds.items():
        sums.add(name, abs(weight))


def _add_texts(words: _Sums, phrases: _Sums, parts: RowParts) -> None:
    """Add what each word and phrase of a row added, once a row."""
    for text in parts.texts:
        weights, known = share_out(text)
        own: dict[str, float] = defaultdict(float)
        spans = text.spans.words[known].tolist()
        for (start, end), weight in zip(spans, weights[0, known].tolist(), strict=True):
            own[text.cell[start:end].lower()] += weight
        for word, weight in own.items():
            words.add(word, weight)
        for ngram in ngrams_of(text, 0, _N_NGRAMS):
            if ngram.kind == "phrase" and not ngram.text.startswith("["):
                phrases.add(" ".join(ngram.text.lower().split()), ngram.weight)
