"""Log-odds of one class and their derivatives, for every way in which scores become probabilities.

All of it is done in logarithms, so that neither p nor 1 − p is ever rounded away.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from udt.engine.mix import Mix

F64 = npt.NDArray[np.float64]

_SMALL = -15.0  # ln p under which two terms of 1 − (1 − p)^n are exact
_NOTHING = np.zeros((0, 0))


class Slope(NamedTuple):
    """A class's logit at some points of a line, and its gradient there.

    Attributes
    ----------
    logit : ndarray of float64, shape (n_points,)
        ``ln(p / (1 − p))``.
    wide, deep : ndarray of float64, shape (n_points, n_classes)
        Derivatives with respect to the scores of both paths.
    trees : ndarray of float64, shape (n_points, n_classes) or (0, 0)
        And of the trees, where there are any.
    """

    logit: F64
    wide: F64
    deep: F64
    trees: F64 = _NOTHING


class Trees(NamedTuple):
    """What trees say beside the network, along the line.

    ``p ∝ exp(((1 − share) · ln p_network + share · ln p_trees) / temperature)``, both no less than
    `LEAST`.

    Attributes
    ----------
    share, temperature : float
        Of the pool.
    before, after : ndarray of float64, shape (n_classes,)
        Their logits of an empty row, and of the row; between these they change evenly.
    """

    share: float
    temperature: float
    before: F64
    after: F64


LEAST = float(np.log(np.float32(1e-7)))
"""Logarithm of the least probability that is pooled."""


def log_sum(z: F64) -> F64:
    """Return ln Σ exp(z) of each row."""
    top = z.max(axis=1)
    return np.asarray(top + np.log(np.exp(z - top[:, None]).sum(axis=1)))


def _log_odds(z: F64, c: int, *, is_sigmoid: bool) -> tuple[F64, F64, F64]:
    """Return ln p of class c, ln(1 − p), and ln p of every class, from scores.

    Of sigmoids, the others are −∞ in the last one: no other class has a part in the odds of c.
    """
    if is_sigmoid:
        log_p, log_q = -np.logaddexp(0, -z[:, c]), -np.logaddexp(0, z[:, c])
        everything = np.full(z.shape, -np.inf)
        everything[:, c] = log_p
        return log_p, log_q, everything
    total = log_sum(z)
    everything = z - total[:, None]
    return everything[:, c], log_sum(np.delete(z, c, axis=1)) - total, everything


def _gradient(
    log_share: float, c: int, log_pq: tuple[F64, F64, F64], log_scale: F64, temperature: float
) -> F64:
    """Return the derivatives of a path's part of p with respect to its scores, × exp(log_scale)."""
    log_p, log_q, everything = log_pq
    at = (log_share + log_p + log_scale)[:, None] + everything
    slopes = -np.exp(at)
    slopes[:, c] = np.exp(log_share + log_p + log_q + log_scale)
    return slopes / temperature


def mixed(z_wide: F64, z_deep: F64, c: int, mix: Mix) -> Slope:
    """Return the logit of class c under the mix, and its gradient."""
    share = float(mix.deep_share)
    wide = _log_odds(z_wide, c, is_sigmoid=mix.sigmoid)
    deep = _log_odds(z_deep, c, is_sigmoid=mix.sigmoid)
    none = np.zeros(z_wide.shape)
    with np.errstate(divide="ignore"):  # a path without a share
        log_wide, log_deep = np.log([1 - share, share]).tolist()
    log_p = np.logaddexp(log_wide + wide[0], log_deep + deep[0])
    log_q = np.logaddexp(log_wide + wide[1], log_deep + deep[1])
    scale = -log_p - log_q
    return Slope(
        log_p - log_q,
        _gradient(log_wide, c, wide, scale, float(mix.t_wide)) if share < 1 else none,
        _gradient(log_deep, c, deep, scale, float(mix.t_deep)) if share > 0 else none,
    )


def ranked(z: F64, rest: float, c: int, cooling: float, n_labels: float) -> Slope:
    """Return the logit of class c among listed ones and the rest, and its gradient."""
    whole = np.column_stack([z, np.full(len(z), rest)])
    log_p, log_q, everything = _log_odds(whole, c, is_sigmoid=False)
    log_none = n_labels * log_q  # none of the n labels is c
    small = np.log(n_labels) + log_p - (n_labels - 1) / 2 * np.exp(log_p)
    with np.errstate(divide="ignore"):  # 1 − p is rounded to 1 long before p is to 0
        log_any = np.where(log_p < _SMALL, small, np.log(-np.expm1(log_none)))
    lift = np.log(n_labels) - log_any - log_q
    slopes = _gradient(0.0, c, (log_p, log_q, everything), lift, 1 / cooling)[:, :-1]
    return Slope(log_any - log_none, slopes, slopes)


class _Pool(NamedTuple):
    """Logarithms of probabilities, each of shape (n_points, n_classes)."""

    wide: F64
    deep: F64
    network: F64
    trees: F64


def _log_probas(z_wide: F64, z_deep: F64, t: F64, mix: Mix, trees: Trees) -> _Pool:
    """Return what the paths, both together and the trees say at some points."""
    share = float(mix.deep_share)
    with np.errstate(divide="ignore"):  # a path without a share
        log_wide, log_deep = np.log([1 - share, share]).tolist()
    wide, deep = (z - log_sum(z)[:, None] for z in (z_wide, z_deep))
    z_trees = trees.before + t[:, None] * (trees.after - trees.before)
    of_trees = z_trees - log_sum(z_trees)[:, None]
    wide, deep = log_wide + wide, log_deep + deep
    return _Pool(wide, deep, np.logaddexp(wide, deep), of_trees)


def above_least(z_wide: F64, z_deep: F64, t: F64, mix: Mix, trees: Trees) -> F64:
    """Return what changes its sign where a probability reaches the least that is pooled.

    Parameters and their meaning are those of `pooled`; shape (n_points, 2 · n_classes).
    """
    log_p = _log_probas(z_wide, z_deep, t, mix, trees)
    return np.hstack([log_p.network, log_p.trees]) - LEAST


def pooled(z_wide: F64, z_deep: F64, t: F64, c: int, mix: Mix, trees: Trees) -> Slope:
    """Return the logit of class c under the pool of a mix and of trees, and its gradient.

    Parameters
    ----------
    z_wide, z_deep : ndarray of float64, shape (n_points, n_classes)
        Scores of both paths, ÷ their temperatures.
    t : ndarray of float64, shape (n_points,)
        Where on the line.
    c : int
        The class.
    mix : Mix
        Of the paths; softmax.
    trees : Trees
        The trees.
    """
    wide, deep, network, of_trees = _log_probas(z_wide, z_deep, t, mix, trees)
    scores = (1 - trees.share) * np.maximum(network, LEAST)
    scores = (scores + trees.share * np.maximum(of_trees, LEAST)) / trees.temperature
    log_p, log_q, everything = _log_odds(scores, c, is_sigmoid=False)
    slopes = -np.exp(everything - log_q[:, None])
    slopes[:, c] = 1
    of_network = slopes * ((1 - trees.share) / trees.temperature) * (network > LEAST)
    of_wide = of_network * np.exp(wide - network)
    of_deep = of_network * np.exp(deep - network)
    rest = slopes * (trees.share / trees.temperature) * (of_trees > LEAST)
    return Slope(
        log_p - log_q,
        _through_softmax(of_wide, z_wide) / float(mix.t_wide),
        _through_softmax(of_deep, z_deep) / float(mix.t_deep),
        _through_softmax(rest, of_trees),
    )


def _through_softmax(slopes: F64, z: F64) -> F64:
    """Return derivatives with respect to scores from those with respect to their log-softmax."""
    p = np.exp(z - log_sum(z)[:, None])
    return np.asarray(slopes - p * slopes.sum(axis=1, keepdims=True))
