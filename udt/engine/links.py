"""Calibration where a row may have several labels: each label's probability, and its rivals'.

A temperature cannot make independent sigmoids calibrated: they do not know that labels compete for
a row. Where several of them are probable, each is less so than it says: on goemotions the most
probable label was right in 60 % of the rows and said 67 %. So each probability is linked to the
sum of all of the row's:

``p'_c = σ(slope · logit(p_c) − rivalry · log(Σ_k p_k) + offset_c)``

A logistic regression on held-out rows, its offsets drawn to a common one (Platt, "Probabilistic
Outputs for Support Vector Machines", 1999, has slope and offset of one question).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udt.csr import Targets

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

AS_IT_IS = np.zeros(0, np.float32)
"""No links: probabilities stay what they are."""

_MIN_ROWS = 200
_RIDGE = 10.0  # positive rows that speak for the common offset
_STEPS = 12
_EPS = 1e-6
_FARTHEST = 30.0


def _logit(p: F32) -> F64:
    clipped = np.clip(p.astype(np.float64), _EPS, 1 - _EPS)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _sigmoid(z: F64) -> F64:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -_FARTHEST, _FARTHEST))))


def _log_sum(p: F32) -> F64:
    return np.asarray(np.log(np.maximum(p.sum(axis=1, dtype=np.float64), _EPS)))


def link(p: F32, links: F32) -> F32:
    """Return calibrated probabilities.

    Parameters
    ----------
    p : ndarray of float32, shape (n_rows, n_classes)
        Probabilities of labels of which a row may have several.
    links : ndarray of float32, shape (n_classes + 2,) or (0,)
        Of `fit_links`.
    """
    if not len(links):
        return p
    z = links[0] * _logit(p) - links[1] * _log_sum(p)[:, None] + links[2:]
    return _sigmoid(z).astype(np.float32)


def fit_links(p: F32, targets: Targets) -> F32:
    """Return slope, rivalry and offsets of least held-out loss; nothing where rows are few.

    Newton's method, for the common numbers and for the offsets in turn.

    Parameters
    ----------
    p : ndarray of float32, shape (n_rows, n_classes)
        Probabilities of held-out rows.
    targets : Targets
        Their labels.

    Returns
    -------
    ndarray of float32, shape (n_classes + 2,) or (0,)
    """
    n_rows, n_classes = p.shape
    if n_rows < _MIN_ROWS:
        return AS_IT_IS
    y = np.zeros(p.shape)
    y[targets.rows, targets.ids] = 1
    weights = np.ones((n_rows, 1))
    if len(targets.weights):
        weights[:, 0] = targets.weighted(np.ones(n_rows, np.float32))
    z, rivals = _logit(p), _log_sum(p)[:, None]
    common, offsets = np.array([1.0, 0.0, 0.0]), np.zeros(n_classes)
    for _ in range(_STEPS):
        q = _sigmoid(common[0] * z - common[1] * rivals + common[2] + offsets)
        error, curve = weights * (q - y), weights * q * (1 - q)
        slopes = (z, np.broadcast_to(-rivals, z.shape), np.ones_like(z))
        gradient = np.array([(error * s).sum() for s in slopes])
        hessian = np.array([[(curve * s * t).sum() for t in slopes] for s in slopes])
        common = common - np.linalg.solve(hessian + _EPS * np.eye(3), gradient)

        q = _sigmoid(common[0] * z - common[1] * rivals + common[2] + offsets)
        error, curve = weights * (q - y), weights * q * (1 - q)
        ridge = _RIDGE / 4  # of as many rows at even odds
        step = (error.sum(axis=0) + ridge * offsets) / (curve.sum(axis=0) + ridge)
        offsets = offsets - step
    links = np.concatenate([common[:2], common[2] + offsets]).astype(np.float32)
    return links if np.isfinite(links).all() and links[0] > 0 else AS_IT_IS
