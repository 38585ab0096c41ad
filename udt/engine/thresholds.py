"""From which probability on a label is predicted, where a row may have several.

Known ways to set it (Yang 2001; Lewis et al. 2004) differ in what they can get wrong. SCut, a
threshold per label that maximises the label's own F1 on held-out rows, overfits rare labels. PCut,
each label given to as many rows as its share in training says, needs all rows at once. A single
threshold for all labels can do neither, and with calibrated probabilities it is close to the
optimum: F1 is highest where every label above half of that F1 is predicted (Lipton et al. 2014).
So there is one threshold that maximises micro-F1, and a label departs from it as far as its
held-out rows support.

- Y. Yang, "A Study of Thresholding Strategies for Text Categorization", SIGIR 2001.
- D. Lewis, Y. Yang, T. Rose, F. Li, "RCV1: A New Benchmark Collection for Text Categorization
  Research", JMLR 5, 2004.
- Z. Lipton, C. Elkan, B. Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1
  Measure", ECML 2014.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udt.csr import Targets
from udt.metrics import in_targets

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MIN_ROWS = 10  # with the label, for a threshold of its own
_PRIOR_ROWS = 100  # so many speak for the common threshold
_LOWEST, _HIGHEST = 1e-4, 1 - 1e-4


def fit_thresholds(top: npt.NDArray[np.int32], top_p: F32, targets: Targets, n_classes: int) -> F32:
    """Return the probability from which on each label is predicted.

    A row none of whose labels reaches its threshold gets the most probable one: every row of the
    training table has one. The thresholds are fitted with that in mind.

    Parameters
    ----------
    top : ndarray of int32, shape (n_rows, k)
        Most probable labels of held-out rows, descending.
    top_p : ndarray of float32, shape (n_rows, k)
        Their probabilities.
    targets : Targets
        True labels.
    n_classes : int
        Number of labels.

    Returns
    -------
    ndarray of float32, shape (n_classes,)
    """
    is_true = in_targets(top, targets)
    common, f1 = _common_threshold(is_true, top_p, len(targets.ids))
    thresholds = np.full(n_classes, common)
    order = np.lexsort((-top_p.ravel(), top.ravel()))
    labels, p, hits = top.ravel()[order], top_p.ravel()[order], is_true.ravel()[order]
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    n_hits = np.add.reduceat(hits, starts, dtype=np.int64)
    ends = np.append(starts[1:], len(labels))
    for i in np.flatnonzero(n_hits >= _MIN_ROWS):
        part = slice(starts[i], ends[i])
        own = _own_threshold(hits[part], p[part].astype(np.float64), f1)
        weight = n_hits[i] / (n_hits[i] + _PRIOR_ROWS)
        thresholds[labels[starts[i]]] = _between(common, own, weight)
    return thresholds.astype(np.float32)


def _common_threshold(is_true: Flags, top_p: F32, n_true: int) -> tuple[float, float]:
    """Return the threshold of highest micro-F1, and this F1.

    The most probable label of each row is predicted in any case.
    """
    order = np.argsort(-top_p[:, 1:].ravel(), kind="stable")
    p = np.concatenate([[1.0], top_p[:, 1:].ravel()[order], [0.0]])
    others = np.cumsum(is_true[:, 1:].ravel()[order])
    hits = is_true[:, 0].sum() + np.concatenate([[0], others])
    f1: F64 = 2 * hits / (len(is_true) + np.arange(len(hits)) + n_true)
    best = int(f1.argmax())
    return float(p[best] + p[best + 1]) / 2, float(f1[best])


def _own_threshold(hits: Flags, p: F64, f1: float) -> float:
    """Return the threshold of one label that adds most to the micro-F1.

    To predict a label adds ``2 · hits − F1`` per prediction to what the F1 is the ratio of; p
    falls.
    """
    gains = np.cumsum(hits - f1 / 2)
    best = int(gains.argmax())
    if gains[best] <= 0:
        return float(1 + p[0]) / 2
    return float(p[best] + p[min(best + 1, len(p) - 1)]) / 2


def _between(common: float, own: float, weight: float) -> float:
    """Return the weighted mean of two probabilities, of their logarithmic odds."""
    odds = np.clip([common, own], _LOWEST, _HIGHEST)
    common_logit, own_logit = np.log(odds / (1 - odds))
    return float(1 / (1 + np.exp(-(common_logit + weight * (own_logit - common_logit)))))
