"""How good predictions are: a few exact lines of NumPy.

scikit-learn computes the same (the tests compare), but importing it takes longer than a small
training run. Nothing here needs a probability for every row and class: `Predicted` holds the few
that the metrics look at. True labels are class indices in [0, n_classes); **-1 is a label that the
model has never seen**: it counts as missed everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import Targets
from udt.errors import EmptyTable

Labels = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

ECE_BINS = 15
N_TOP = 10
"""Most probable classes of a row that the metrics look at."""

SMALLEST = float(np.finfo(np.float32).eps)
"""Probabilities below count as this in a loss: scikit-learn's clip for float32."""

_Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


class Predicted(NamedTuple):
    """What is kept of predictions for rows whose labels are known.

    Attributes
    ----------
    top : ndarray of int32, shape (n_rows, k)
        The most probable classes, descending; k = `N_TOP`, or the number of classes if smaller.
    top_p : ndarray of float32, shape (n_rows, k)
        Their probabilities.
    true_p : ndarray of float32, shape (len(targets.ids),)
        Probability of each true class; 0 of a label that the model has never seen.
    row_loss : ndarray of float32, shape (n_rows,)
        Negative log-likelihood of each row, nats.
    chosen : Targets
        Predicted classes of each row, descending; the most probable one where a row has one.
    """

    top: Labels
    top_p: F32
    true_p: F32
    row_loss: F32
    chosen: Targets


def evaluate(
    targets: Targets, predicted: Predicted, n_classes: int, *, is_multi_label: bool = False
) -> dict[str, Any]:
    """Return the metrics of a run.

    Parameters
    ----------
    targets : Targets
        True classes, at least one a row; -1 = a label unknown to the model.
    predicted : Predicted
        What the model says of the same rows.
    n_classes : int
        Number of classes that the model knows.
    is_multi_label : bool
        Whether a row may have several labels.

    Returns
    -------
    dict
        ``n_rows``; ``accuracy`` (share of rows whose labels are all right, and no other is
        predicted); ``macro_f1``; ``log_loss`` (nats a row); ``ece`` (`calibration_error` of the
        most probable label); ``accuracy_ci95`` ([low, high], Wilson); ``majority`` (share of
        these rows with the most frequent label, or set of labels, among the known: what a
        constant answer would reach). With several labels a row also ``micro_f1``;
        ``precision_at_1``, ``precision_at_3`` (right ones among so many most probable ones);
        ``recall_at_10`` (share of a row's labels among its ten most probable ones).

    Raises
    ------
    EmptyTable
        There is no row.
    """
    n = targets.n_rows
    if n == 0:
        raise EmptyTable("There is no row to evaluate on. Give a table with at least one row.")
    n_correct = int(exact_matches(targets, predicted.chosen).sum())
    counts = _class_counts(targets, predicted.chosen, n_classes)
    is_true = in_targets(predicted.top, targets)
    loss = mean_loss(predicted.row_loss) if is_multi_label else log_loss(predicted.true_p)
    scores = {
        "n_rows": n,
        "accuracy": n_correct / n,
        "macro_f1": _macro_f1(*counts),
        "log_loss": loss,
        "ece": calibration_error(is_true[:, 0], predicted.top_p[:, 0]),
        "accuracy_ci95": list(wilson_interval(n_correct, n)),
        "majority": _majority(targets) / n,
    }
    if is_multi_label:
        n_rows, n_predicted, n_hits = (int(count.sum()) for count in counts)
        scores |= {"micro_f1": 2 * n_hits / (n_rows + n_predicted), **_at_top(is_true, targets)}
    return scores


def _at_top(is_true: Flags, targets: Targets) -> dict[str, float]:
    """Return precisions and the recall among the most probable labels."""
    hits = is_true.cumsum(axis=1)
    last = is_true.shape[1] - 1
    return {
        "precision_at_1": float(hits[:, 0].mean()),
        "precision_at_3": float(hits[:, min(2, last)].mean() / 3),
        "recall_at_10": float((hits[:, min(9, last)] / targets.counts).mean()),
    }


def in_targets(classes: Labels, targets: Targets) -> Flags:
    """Return whether each class that is named for a row is one of the row's.

    Parameters
    ----------
    classes : ndarray of int32, shape (n_rows, k)
        Class indices.
    targets : Targets
        True classes.

    Returns
    -------
    ndarray of bool, shape (n_rows, k)

    Examples
    --------
    >>> targets = Targets(np.array([0, 2, 3]), np.array([4, 1, 2], np.int32))
    >>> in_targets(np.array([[1, 2], [1, 2]], np.int32), targets).tolist()
    [[True, False], [False, True]]
    """
    n_classes = int(classes.max(initial=0)) + 1
    asked = np.arange(len(classes))[:, None] * n_classes + classes
    known = np.append(_pairs(targets, n_classes), -1)  # something to be found in any case
    at = np.searchsorted(known[:-1], asked)
    return np.asarray(known[at] == asked)


def _pairs(targets: Targets, n_classes: int) -> Counts:
    """Number the pairs (row, class) of classes below n_classes, ascending."""
    known = (targets.ids >= 0) & (targets.ids < n_classes)
    return np.sort(targets.rows[known] * n_classes + targets.ids[known])


def exact_matches(targets: Targets, chosen: Targets) -> Flags:
    """Return whether the predicted classes of each row are the true ones, all and no other."""
    n_classes = int(max(targets.ids.max(initial=0), chosen.ids.max(initial=0))) + 1
    hits = np.intersect1d(_pairs(targets, n_classes), _pairs(chosen, n_classes), assume_unique=True)
    n_hits = np.bincount(hits // n_classes, minlength=targets.n_rows)
    return np.asarray((n_hits == targets.counts) & (n_hits == chosen.counts))


def have_unknown(targets: Targets) -> Flags:
    """Return whether each row has a label that the model has never seen."""
    return np.bincount(targets.rows[targets.ids < 0], minlength=targets.n_rows) > 0


def _majority(targets: Targets) -> int:
    """Return how many rows have the most frequent set of classes; sets of unknown ones are none.

    Sets are told apart by sums of random 64-bit numbers, one for each class (Zobrist, 1970).
    """
    numbers = np.random.default_rng(0).integers(
        2**64, size=int(targets.ids.max(initial=0)) + 1, dtype=np.uint64
    )
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(numbers[targets.ids])])
    keys = sums[targets.indptr[1:]] - sums[targets.indptr[:-1]]
    known = keys[~have_unknown(targets)]
    return int(np.unique(known, return_counts=True)[1].max(initial=0))


def mean_loss(row_loss: F32) -> float:
    """Return the mean of the rows' losses; a perfect one prints as 0, not -0."""
    return float(row_loss.astype(np.float64).mean()) + 0.0


def log_loss(true_p: F32) -> float:
    """Return the mean negative log-likelihood in nats a row, where a row has one label.

    A probability below float32's epsilon (1.2e-7), such as that of an unknown label, counts as
    this epsilon: one such row costs 15.9 nats, not infinity.

    Parameters
    ----------
    true_p : ndarray of float32, shape (n_rows,)
        Probabilities of the true classes.
    """
    return float(-np.log(true_p.astype(np.float64).clip(SMALLEST, 1.0)).mean()) + 0.0


def calibration_error(correct: Flags, confidence: npt.NDArray[np.floating[Any]]) -> float:
    """Return the expected calibration error of the most probable class.

    15 bins of equal width over the confidence, (0, 1/15], ..., (14/15, 1]; mean of
    |accuracy - confidence| over the bins, weighted by rows (Guo et al., "On Calibration of Modern
    Neural Networks", ICML 2017).

    Parameters
    ----------
    correct : ndarray of bool, shape (n_rows,)
        Whether the class is right.
    confidence : ndarray of float, shape (n_rows,)
        Its probability.
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


def per_class(targets: Targets, chosen: Targets, labels: Sequence[Any]) -> list[dict[str, Any]]:
    """Return one record per class, in the labels' order.

    Parameters
    ----------
    targets : Targets
        True classes; -1 = unknown (counts against the precision of what was predicted).
    chosen : Targets
        Predicted classes.
    labels : sequence
        The user's label of each class.

    Returns
    -------
    list of dict
        ``label, n_rows, n_predicted, precision, recall, f1``; a ratio of nothing is 0.
    """
    counts = _class_counts(targets, chosen, len(labels))
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
    pairs = _mistakes(y_true, y_pred, n_classes)
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
    pairs = _mistakes(y_true[wrong], y_pred[wrong], len(labels))
    pairs, counts = np.unique(pairs, return_counts=True)
    first = np.argsort(-counts, kind="stable")[:top]
    return [
        {"true": labels[pair // len(labels)], "predicted": labels[pair % len(labels)], "n_rows": n}
        for pair, n in zip(pairs[first].tolist(), counts[first].tolist(), strict=True)
    ]


def _mistakes(y_true: Labels, y_pred: Labels, n_classes: int) -> Counts:
    """Number the pairs (true, predicted) of rows with a known label."""
    known = y_true >= 0
    return y_true[known].astype(np.int64) * n_classes + y_pred[known]


def _class_counts(
    targets: Targets, chosen: Targets, n_classes: int
) -> tuple[Counts, Counts, Counts]:
    """Count per class: rows, predictions, hits. One place more, the last, for unknown labels."""
    hits = np.intersect1d(_pairs(targets, n_classes), _pairs(chosen, n_classes), assume_unique=True)
    return (
        np.bincount(np.where(targets.ids < 0, n_classes, targets.ids), minlength=n_classes + 1),
        np.bincount(chosen.ids, minlength=n_classes + 1),
        np.bincount(hits % n_classes, minlength=n_classes + 1),
    )


def _macro_f1(n_rows: Counts, n_predicted: Counts, n_hits: Counts) -> float:
    """Return the mean F1 over the classes that occur, in truth or among predictions.

    As in scikit-learn, where -1 is one more class: never predicted, so its F1 is 0.
    """
    occurs = n_rows + n_predicted > 0
    return float(_ratio(2 * n_hits, n_rows + n_predicted)[occurs].mean())


def _ratio(numerator: Counts, denominator: Counts) -> F64:
    return numerator / np.maximum(denominator, 1)
