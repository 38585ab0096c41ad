"""Which class is predicted where macro-F1 counts: the one of highest ``factor_c · p_c``.

The most probable class gives the highest accuracy, but not the highest macro-F1, which counts a
rare class as much as a frequent one. For two classes the factors ``(t, 1 − t)`` are a threshold t
on the second one's probability; for more they shift each class's logarithmic odds. Found on
held-out rows by coordinate ascent: for one class after the other the factor of highest macro-F1,
all others fixed (as Fan & Lin, "A Study on Threshold Selection for Multi-label Classification",
2007, do for the thresholds of several labels).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udt.csr import Targets

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

AS_PROBABLE = np.zeros(0, np.float32)
"""No factors: the most probable class is predicted."""

_MOST_CLASSES = 40  # the ascent looks at every class for every row
_MIN_ROWS = 10  # with the class, for a factor of its own
_PRIOR_ROWS = 30  # so many speak for the factor 1
_SWEEPS = 3
_N_FOLDS = 5
_TINY = 1e-9


def choose(probas: F32, factors: F32) -> npt.NDArray[np.int32]:
    """Return the predicted class of each row, int32, shape (n_rows,).

    Examples
    --------
    >>> choose(np.array([[0.7, 0.3]], np.float32), np.array([0.2, 0.8], np.float32)).tolist()
    [1]
    """
    scores = probas * factors if len(factors) else probas
    return np.asarray(scores.argmax(axis=1), np.int32)


def fit_factors(probas: F32, targets: Targets) -> F32:
    """Return the factors of highest macro-F1, or none where they do not pay.

    They pay if the macro-F1 rises where each fifth of the rows is decided by factors of the
    others.

    Parameters
    ----------
    probas : ndarray of float32, shape (n_rows, n_classes)
        Probabilities of held-out rows.
    targets : Targets
        The one class of each, and what the rows count.

    Returns
    -------
    ndarray of float32, shape (n_classes,) or (0,)
        They sum to 1.
    """
    n_rows, n_classes = probas.shape
    if n_classes > _MOST_CLASSES or n_rows < 2 * _MIN_ROWS:
        return AS_PROBABLE
    y = targets.ids.astype(np.int64)
    weights = targets.weights if len(targets.weights) else np.ones(n_rows, np.float32)
    p, w = probas.astype(np.float64), weights.astype(np.float64)
    fold = np.arange(n_rows) % _N_FOLDS
    scores = p.copy()
    for i in range(_N_FOLDS):
        others = fold != i
        scores[~others] *= _ascend(p[others], y[others], w[others])
    gain = _macro_f1(scores, y, w) - _macro_f1(p, y, w)
    return _ascend(p, y, w).astype(np.float32) if gain > 0 else AS_PROBABLE


def _ascend(p: F64, y: I64, w: F64) -> F64:
    """Return factors found by coordinate ascent, each drawn to 1 where few rows have its class."""
    n_classes = p.shape[1]
    counts = np.bincount(y, minlength=n_classes)
    logs = np.zeros(n_classes)
    free = np.flatnonzero(counts >= _MIN_ROWS)
    for _ in range(_SWEEPS if n_classes > 2 else 1):
        before = logs.copy()
        for c in free[-1:] if n_classes == 2 else free:
            logs[c] = _best_log_factor(p, y, w, logs, int(c))
        if np.array_equal(before, logs):
            break
    if n_classes == 2:
        logs *= counts.min() / (counts.min() + _PRIOR_ROWS)
    else:
        logs *= counts / (counts + _PRIOR_ROWS)
    factors = np.exp(logs)
    return np.asarray(factors / factors.sum())


def _best_log_factor(p: F64, y: I64, w: F64, logs: F64, c: int) -> float:
    """Return the logarithm of class c's factor that gives the highest macro-F1.

    As the factor grows, rows go over to class c one after the other.
    """
    n_classes = p.shape[1]
    scores = np.log(p + _TINY) + logs
    scores[:, c] = -np.inf
    rival = scores.argmax(axis=1)
    needed = scores[np.arange(len(y)), rival] - np.log(p[:, c] + _TINY)
    order = np.argsort(needed, kind="stable")
    needed, rival, truth, weight = needed[order], rival[order], y[order], w[order]

    sizes = np.bincount(y, w, n_classes)
    n_predicted = np.bincount(rival, weight, n_classes)
    n_hits = np.bincount(rival, weight * (rival == truth), n_classes)
    present = sizes > 0
    f1 = np.where(present, 2 * n_hits / np.maximum(sizes + n_predicted, _TINY), 0.0)
    total = np.full(len(y) + 1, f1.sum() - f1[c])
    for k in np.flatnonzero(present):
        if k == c:
            continue
        leaves = np.cumsum(weight * (rival == k))
        lost = np.cumsum(weight * ((rival == k) & (truth == k)))
        own = 2 * (n_hits[k] - lost) / np.maximum(sizes[k] + n_predicted[k] - leaves, _TINY)
        total[1:] += own - f1[k]
    taken, right = np.cumsum(weight), np.cumsum(weight * (truth == c))
    total[1:] += 2 * right / (sizes[c] + taken)
    is_cut = np.append(np.diff(needed) > 0, True)  # rows that need the same go together
    total[1:][~is_cut] = -np.inf
    best = int(total.argmax())
    if best == 0:
        return float(needed[0]) - 1
    if best == len(needed):
        return float(needed[-1]) + 1
    return float(needed[best - 1] + needed[best]) / 2


def _macro_f1(scores: F64, y: I64, w: F64) -> float:
    """Return the macro-F1 of the classes that occur."""
    n_classes = scores.shape[1]
    chosen = scores.argmax(axis=1)
    sizes = np.bincount(y, w, n_classes)
    n_predicted = np.bincount(chosen, w, n_classes)
    hits = np.bincount(chosen, w * (chosen == y), n_classes)
    present = sizes > 0
    f1 = 2 * hits[present] / (sizes + n_predicted)[present]
    return float(f1.mean())
