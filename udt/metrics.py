"""How good predictions are: a few exact lines of NumPy.

scikit-learn computes the same (the tests compare), but importing it takes longer than a small
training run. True labels are class indices in [0, n_classes); **-1 is a label that the model has
never seen**: such a row counts as wrong everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.errors import EmptyTable

Labels = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

ECE_BINS = 15
_SMALLEST = float(np.finfo(np.float32).eps)  # scikit-learn's clip for float32 probabilities
_Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


def evaluate(y_true: Labels, proba: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Return the metrics of a run.

    Parameters
    ----------
    y_true : ndarray of int32, shape (n_rows,)
        Class indices; -1 = a label unknown to the model.
    proba : ndarray of float32, shape (n_rows, n_classes)
        Probabilities; each row sums to 1.

    Returns
    -------
    dict
        ``n_rows``; ``accuracy``; ``macro_f1``; ``log_loss`` (nats a row); ``ece`` (see
        `calibration_error`); ``accuracy_ci95`` ([low, high], Wilson); ``majority`` (share of
        these rows with the most frequent known label: what a constant answer would reach).

    Raises
    ------
    EmptyTable
        There is no row.
    """
    n = len(y_true)
    if n == 0:
        raise EmptyTable("There is no row to evaluate on. Give a table with at least one row.")
    y_pred = proba.argmax(axis=1).astype(np.int32)
    correct = y_pred == y_true
    n_correct = int(correct.sum())
    n_rows, n_predicted, n_hits = _class_counts(y_true, y_pred, proba.shape[1])
    return {
        "n_rows": n,
        "accuracy": n_correct / n,
        "macro_f1": _macro_f1(n_rows, n_predicted, n_hits),
        "log_loss": log_loss(y_true, proba),
        "ece": calibration_error(correct, proba[np.arange(n), y_pred]),
        "accuracy_ci95": list(wilson_interval(n_correct, n)),
        "majority": int(n_rows[:-1].max()) / n,
    }


def log_loss(y_true: Labels, proba: npt.NDArray[np.float32]) -> float:
    """Return the mean negative log-likelihood in nats a row.

    A probability below float32's epsilon (1.2e-7), and that of an unknown label, counts as this
    epsilon: one such row costs 15.9 nats, not infinity.

    Parameters
    ----------
    y_true : ndarray of int32, shape (n_rows,)
        Class indices; -1 = unknown.
    proba : ndarray of float32, shape (n_rows, n_classes)
        Probabilities.
    """
    likelihood = proba[np.arange(len(y_true)), y_true].astype(np.float64)  # -1 reads the last
    likelihood[y_true < 0] = 0.0
    # + 0.0: a perfect score prints as 0, not -0
    return float(-np.log(likelihood.clip(_SMALLEST, 1.0)).mean()) + 0.0


def calibration_error(
    correct: npt.NDArray[np.bool_], confidence: npt.NDArray[np.floating[Any]]
) -> float:
    """Return the expected calibration error of the predicted class.

    15 bins of equal width over the confidence, (0, 1/15], ..., (14/15, 1]; mean of
    |accuracy - confidence| over the bins, weighted by rows (Guo et al., "On Calibration of Modern
    Neural Networks", ICML 2017).

    Parameters
    ----------
    correct : ndarray of bool, shape (n_rows,)
        Whether the prediction is right.
    confidence : ndarray of float, shape (n_rows,)
        Probability of the predicted class.
    """
    bins = (np.ceil(confidence * ECE_BINS).astype(np.int64) - 1).clip(0, ECE_BINS - 1)
    gap: F64 = correct - confidence.astype(np.float64)
    return float(np.abs(np.bincount(bins, gap, ECE_BINS)).sum()) / len(correct)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson, 1927).

    Unlike ``p ± 1.96 s`` it holds for few rows and for proportions near 0 and 1.

    Parameters
    ----------
    successes : int
        Between 0 and n.
    n : int
        At least 1.
    """
    p, z2 = successes / n, _Z95**2 / n
    center = p + z2 / 2
    margin = _Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n))
    return max(0.0, (center - margin) / (1 + z2)), min(1.0, (center + margin) / (1 + z2))


def macro_f1(y_true: Labels, y_pred: Labels, n_classes: int) -> float:
    """Return the mean F1 over the classes that occur, in truth or among predictions.

    As in scikit-learn, where -1 is one more class: never predicted, so its F1 is 0.

    Parameters
    ----------
    y_true : ndarray of int32, shape (n_rows,)
        Class indices; -1 = unknown.
    y_pred : ndarray of int32, shape (n_rows,)
        Class indices.
    n_classes : int
        Number of classes that the model knows.
    """
    return _macro_f1(*_class_counts(y_true, y_pred, n_classes))


def per_class(y_true: Labels, y_pred: Labels, labels: Sequence[Any]) -> list[dict[str, Any]]:
    """Return one record per class, in the labels' order.

    Parameters
    ----------
    y_true : ndarray of int32, shape (n_rows,)
        Class indices; -1 = unknown (counts against the precision of what was predicted).
    y_pred : ndarray of int32, shape (n_rows,)
        Class indices.
    labels : sequence
        The user's label of each class.

    Returns
    -------
    list of dict
        ``label, n_rows, n_predicted, precision, recall, f1``; a ratio of nothing is 0.
    """
    counts = _class_counts(y_true, y_pred, len(labels))
    n_rows, n_predicted, n_hits = (count[: len(labels)] for count in counts)
    columns = (
        n_rows,
        n_predicted,
        _ratio(n_hits, n_predicted),
        _ratio(n_hits, n_rows),
        _ratio(2 * n_hits, n_rows + n_predicted),
    )
    keys = ("label", "n_rows", "n_predicted", "precision", "recall", "f1")
    rows = zip(labels, *(column.tolist() for column in columns), strict=True)
    return [dict(zip(keys, row, strict=True)) for row in rows]


def confusion(y_true: Labels, y_pred: Labels, n_classes: int) -> Counts:
    """Return how often each class was predicted for rows of each class.

    Dense, so for thousands of classes at most; `most_confused` serves any number.

    Parameters
    ----------
    y_true : ndarray of int32, shape (n_rows,)
        Class indices; rows of unknown label (-1) have no place in the matrix and are left out.
    y_pred : ndarray of int32, shape (n_rows,)
        Class indices.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of int64, shape (n_classes, n_classes)
        Row = true class, column = predicted class.
    """
    pairs = _pairs(y_true, y_pred, n_classes)
    counts: Counts = np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
    return counts


def most_confused(
    y_true: Labels, y_pred: Labels, labels: Sequence[Any], top: int = 20
) -> list[dict[str, Any]]:
    """Return the most frequent mistakes, most frequent first.

    Parameters
    ----------
    y_true : ndarray of int32, shape (n_rows,)
        Class indices; rows of unknown label (-1) are left out.
    y_pred : ndarray of int32, shape (n_rows,)
        Class indices.
    labels : sequence
        The user's label of each class.
    top : int
        At most so many records.

    Returns
    -------
    list of dict
        ``true, predicted`` (labels) and ``n_rows``; ties stand in the labels' order.
    """
    wrong = y_true != y_pred
    pairs, counts = np.unique(_pairs(y_true[wrong], y_pred[wrong], len(labels)), return_counts=True)
    first = np.argsort(-counts, kind="stable")[:top]
    return [
        {"true": labels[pair // len(labels)], "predicted": labels[pair % len(labels)], "n_rows": n}
        for pair, n in zip(pairs[first].tolist(), counts[first].tolist(), strict=True)
    ]


def _pairs(y_true: Labels, y_pred: Labels, n_classes: int) -> Counts:
    """Number the pairs (true, predicted) of rows with a known label."""
    known = y_true >= 0
    return y_true[known].astype(np.int64) * n_classes + y_pred[known]


def _class_counts(y_true: Labels, y_pred: Labels, n_classes: int) -> tuple[Counts, Counts, Counts]:
    """Count per class: rows, predictions, hits. One place more, the last, for unknown labels."""
    return (
        np.bincount(np.where(y_true < 0, n_classes, y_true), minlength=n_classes + 1),
        np.bincount(y_pred, minlength=n_classes + 1),
        np.bincount(y_true[y_true == y_pred], minlength=n_classes + 1),
    )


def _macro_f1(n_rows: Counts, n_predicted: Counts, n_hits: Counts) -> float:
    occurs = n_rows + n_predicted > 0
    return float(_ratio(2 * n_hits, n_rows + n_predicted)[occurs].mean())


def _ratio(numerator: Counts, denominator: Counts) -> F64:
    return numerator / np.maximum(denominator, 1)
