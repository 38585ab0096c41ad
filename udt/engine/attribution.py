"""What each feature of a row adds to a class's logit, exactly.

The logit of a class is the log-odds of its probability, ``ln(p / (1 − p))``, whatever p is made of:
a softmax, a mix of two, a sigmoid. It is followed along the straight line from the empty row to
this one, ``x(t) = t · x``. There the wide path's scores are linear in t and the hidden neurons
piecewise linear, so that the share of feature f,

``v_f · ∫ ∂logit(t)/∂x_f dt = v_f · (w_wide[f] · A + w_in[f] · B)``

(integrated gradients: Sundararajan et al., 2017), needs integrals over t alone: A, of the gradient
with respect to the wide path's scores, and B, with respect to the deep one's, through w_out and the
neurons that are on at t. These are found by Gauss-Legendre quadrature between the points where a
neuron goes on or off, with more of them until the shares sum to ``logit(1) − logit(0)`` within
`TOLERANCE`. What is left, ``logit(0)``, is the bias: the model's answer to an empty row.

Which neurons and classes were selected for the row, and whether it left after the wide path, is
taken as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import CSR
from udt.engine.logits import Slope, Trees, above_least, log_sum, mixed, pooled, ranked
from udt.engine.many import ManyNetwork, Ranked, Ranking, make_many_scratch
from udt.engine.many_kernels import rank_rows
from udt.engine.many_train import no_targets
from udt.engine.mix import WIDE_ONLY, Mix, confidence
from udt.engine.network import BLOCK, Network
from udt.engine.selection import Selector
from udt.engine.train import longest_row, predict

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

TOLERANCE = 1e-5
"""Difference between the sum of all shares and the logit that is accepted."""

_GAUSS = [np.polynomial.legendre.leggauss(n) for n in (6, 4, 2)]
"""Points of a piece and their weights: the fewer, the more pieces there are."""
_MANY_PIECES = 32
_N_GRID, _N_HALVINGS = 65, 40
_FIRST_PARTS, _MOST_PARTS = 4, 1024


class Attribution(NamedTuple):
    """A row's logits, in parts.

    Attributes
    ----------
    logits : ndarray of float64, shape (n_asked,)
        ``ln(p / (1 − p))`` of each class that was asked for.
    bias : ndarray of float64, shape (n_asked,)
        Of an empty row.
    features : ndarray of float64, shape (n_asked, n)
        What each of the row's features adds.
    trees : ndarray of float64, shape (n_asked, n_classes) or (n_asked, 0)
        What a unit more in the trees' logits adds, where trees answer beside the network: all of
        it together, ``bias + Σ features + trees · (after − before)``, is the logit.
    """

    logits: F64
    bias: F64
    features: F64
    trees: F64


class _Line(NamedTuple):
    """What both networks are along the line.

    Attributes
    ----------
    rise : ndarray of float64, shape (n_classes,)
        The wide path's scores of the row, bias apart.
    b_hidden, rise_hidden : ndarray of float64, shape (width,)
        Hidden neurons at 0, and what the row adds to them.
    w_out : ndarray of float64, shape (width, n_classes)
        From hidden neurons to scores.
    rise_trees : ndarray of float64, shape (n_classes,) or (0,)
        What the row adds to the trees' logits, if there are any.
    scores : callable
        From points and hidden activations there to the scores that classes share.
    slope : callable
        From these, the points and a class to a `Slope`.
    """

    rise: F64
    b_hidden: F64
    rise_hidden: F64
    w_out: F64
    rise_trees: F64
    scores: Callable[[F64, F64], tuple[F64, ...]]
    slope: Callable[[tuple[F64, ...], F64, int], Slope]

    def hidden(self, t: F64) -> F64:
        """Return the neurons before they are rectified, shape (n_points, width)."""
        return np.asarray(self.b_hidden + t[:, None] * self.rise_hidden)

    def kinks(self) -> F64:
        """Return where neurons go on or off, within (0, 1)."""
        moving = self.rise_hidden != 0
        at = -self.b_hidden[moving] / self.rise_hidden[moving]
        return np.asarray(at[(at > 0) & (at < 1)])


def attribute(
    network: Network,
    mix: Mix,
    row: CSR,
    classes: I32,
    selector: Selector | None = None,
    trees: Trees | None = None,
) -> Attribution:
    """Return what the features of one row add to the logits of some classes.

    Parameters
    ----------
    network : Network
        For prediction.
    mix : Mix
        Of its paths.
    row : CSR
        One row.
    classes : ndarray of int32, shape (n_asked,)
        The classes.
    selector : Selector or None
        Finds the hidden neurons that the row computes; None = all.
    trees : Trees or None
        What trees say of the row.
    """
    mix, neurons = _taken(network, mix, row), _active_neurons(network, row, selector)
    ids = row.indices
    n_classes, v = network.n_classes, row.values.astype(np.float64)
    width = network.width if mix.deep_share > 0 else 0
    w_wide, w_in = np.zeros((len(ids), n_classes)), np.zeros((len(ids), width))
    if mix.deep_share < 1:
        w_wide[:] = network.w_wide[ids, :n_classes]
    if width:
        w_in[:] = network.w_in[ids, :width] * neurons
    w_out = network.w_out[:width, :n_classes].astype(np.float64)
    rise = v @ w_wide
    of_trees = np.zeros(0) if trees is None else trees.after - trees.before
    b_hidden = np.where(neurons[:width], network.b_hidden[:width], 0.0)

    def scores(t: F64, hidden: F64) -> tuple[F64, F64]:
        z_wide = (network.b_wide + t[:, None] * rise) / float(mix.t_wide)
        return z_wide, (network.b_out + hidden @ w_out) / float(mix.t_deep)

    def slope(z: tuple[F64, ...], t: F64, c: int) -> Slope:
        if trees is None:
            return mixed(z[0], z[1], c, mix)
        return pooled(z[0], z[1], t, c, mix, trees)

    line = _Line(rise, b_hidden, v @ w_in, w_out, of_trees, scores, slope)
    kinks = np.zeros(0)
    if trees is not None:

        def clamped(t: F64) -> F64:
            z_wide, z_deep = scores(t, np.maximum(line.hidden(t), 0))
            return above_least(z_wide, z_deep, t, mix, trees)

        kinks = _crossings(clamped, np.union1d(np.linspace(0, 1, _N_GRID), line.kinks()))
    return _integrate(line, classes, v, w_wide, w_in, kinks)


def attribute_many(
    network: ManyNetwork, how: Ranking, n_labels: float, row: CSR, classes: I32
) -> Attribution:
    """Return what the features of one row add to the logits of some classes.

    A class on none of the row's shortlists has the probability of its bias.

    Parameters
    ----------
    network : ManyNetwork
        For prediction.
    how : Ranking
        From logits to probabilities.
    n_labels : float
        Labels a row: one or more of so many is the class with ``1 − (1 − p)^n``.
    row, classes
        As in `attribute`.
    """
    ids, v = row.indices, row.values.astype(np.float64)
    deep = _deep_classes(network, row, how)
    listed, w_wide = _shortlisted(network, ids, np.union1d(classes, deep))
    rise = v @ w_wide
    b = network.b[listed].astype(np.float64)
    w_in = network.w_in[ids, : network.width].astype(np.float64)
    b_hidden = network.b_hidden.astype(np.float64)
    w_out = (network.w_out[listed].astype(np.float64) * np.isin(listed, deep)[:, None]).T
    cooling = float(how.cooling)
    others = np.delete(network.b.astype(np.float64), listed) * cooling
    rest = log_sum(others[None])[0] if len(others) else -np.inf

    def scores(t: F64, hidden: F64) -> tuple[F64, ...]:
        return ((b + t[:, None] * rise + hidden @ w_out) * cooling,)

    def slope(z: tuple[F64, ...], _: F64, c: int) -> Slope:
        return ranked(z[0], rest, c, cooling, n_labels)

    line = _Line(rise, b_hidden, v @ w_in, w_out, np.zeros(0), scores, slope)
    at = np.searchsorted(listed, classes)
    return _integrate(line, at, v, w_wide, w_in, np.zeros(0))


# -- what the row computes ---------------------------------------------------------------------


def _taken(network: Network, mix: Mix, row: CSR) -> Mix:
    """Return the mix; without the deep path, if the row leaves before it."""
    if mix.exit_above > 1 or not len(network.w_wide):
        return mix
    alone = WIDE_ONLY._replace(t_wide=mix.t_wide, sigmoid=mix.sigmoid)
    sure = confidence(predict(network, row, alone), is_sigmoid=mix.sigmoid)[0]
    return mix._replace(deep_share=np.float32(0)) if sure >= mix.exit_above else mix


def _active_neurons(network: Network, row: CSR, selector: Selector | None) -> Flags:
    """Return which hidden neurons the row computes, shape (width,)."""
    if selector is None or network.width == 0:
        return np.ones(network.width, bool)
    active = np.zeros((1, selector.n_active), np.uint16)
    selector.query(row, np.arange(1), 0, 1, active)
    return np.isin(np.arange(network.width) // BLOCK, active)


def _deep_classes(network: ManyNetwork, row: CSR, how: Ranking) -> I32:
    """Return the classes that take the deep path, as the row's prediction finds them."""
    if network.width == 0:
        return np.zeros(0, np.int32)
    scratch = make_many_scratch(network, longest_row(row), network.n_classes, 0)
    out = Ranked(np.zeros((1, 1), np.int32), *np.zeros((2, 1, 1), np.float32))
    rank_rows(network, scratch, row, no_targets(1), 0, 1, how, out._replace(true_p=out.true_p[0]))
    return np.flatnonzero(scratch.active_at == scratch.clock[0]).astype(np.int32)


def _shortlisted(network: ManyNetwork, ids: I32, classes: I32) -> tuple[I32, F64]:
    """Return the classes on the features' shortlists and some others, and the features' weights.

    Returns
    -------
    listed : ndarray of int32, shape (n_listed,)
        Ascending.
    weights : ndarray of float64, shape (n, n_listed)
        0 where a class is not on a feature's list.
    """
    starts = network.lists.starts
    lengths = starts[ids + 1] - starts[ids]
    rows = np.repeat(np.arange(len(ids)), lengths)
    firsts = np.repeat(starts[ids] - np.append(0, np.cumsum(lengths))[:-1], lengths)
    at = firsts + np.arange(len(rows))
    found = network.lists.classes[at].astype(np.int32)
    listed = np.union1d(found, classes).astype(np.int32)
    weights = np.zeros((len(ids), len(listed)))
    weights[rows, np.searchsorted(listed, found)] = network.lists.weights[at]
    return listed, weights


# -- integrals ---------------------------------------------------------------------------------


def _points(kinks: F64, n_parts: int) -> tuple[F64, F64]:
    """Return points in [0, 1] and their weights, for functions that are smooth between kinks."""
    edges = np.union1d(np.linspace(0, 1, n_parts + 1), kinks)
    x, w = _GAUSS[min(2, len(edges) // _MANY_PIECES)]
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (x + 1)).ravel(), (half * w).ravel()


def _crossings(function: Callable[[F64], F64], edges: F64) -> F64:
    """Return where any of some functions changes its sign between two edges, by bisection."""
    positive = function(edges) > 0
    at, which = np.nonzero(positive[1:] != positive[:-1])
    low, high = edges[at], edges[at + 1]
    for _ in range(_N_HALVINGS if len(at) else 0):
        middle = (low + high) / 2
        is_low = (function(middle) > 0)[np.arange(len(at)), which] == positive[at, which]
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return high


def _integrate(
    line: _Line, classes: I32 | I64, v: F64, w_wide: F64, w_in: F64, more_kinks: F64
) -> Attribution:
    """Return the logits of some classes in parts."""
    ends, kinks = np.array([0.0, 1.0]), np.union1d(line.kinks(), more_kinks)
    at_ends = line.scores(ends, np.maximum(line.hidden(ends), 0))
    n = len(classes)
    found = Attribution(
        np.zeros(n), np.zeros(n), *(np.zeros((n, k)) for k in (len(v), len(line.rise_trees)))
    )
    waiting, n_parts = list(enumerate(classes.tolist())), _FIRST_PARTS
    while waiting:
        t, w = _points(kinks, n_parts)
        before, is_last = line.hidden(t), n_parts >= _MOST_PARTS
        z = line.scores(t, np.maximum(before, 0))
        still = []
        for i, c in waiting:
            found.bias[i], found.logits[i] = line.slope(at_ends, ends, c).logit
            slope = line.slope(z, t, c)
            wide, trees = w @ slope.wide, w @ slope.trees if len(line.rise_trees) else np.zeros(0)
            deep = w @ ((slope.deep @ line.w_out.T) * (before > 0))
            total = line.rise @ wide + line.rise_hidden @ deep + line.rise_trees @ trees
            if is_last or abs(found.logits[i] - found.bias[i] - total) <= TOLERANCE:
                found.features[i] = v * (w_wide @ wide + w_in @ deep)
                found.trees[i] = trees
            else:
                still.append((i, c))
        waiting, n_parts = still, 4 * n_parts
    return found
