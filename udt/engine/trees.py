"""Gradient-boosted trees as plain arrays: grown by scikit-learn, evaluated by a kernel.

Trees split dense columns where interactions decide, which a network over single features does not
see. scikit-learn's histogram booster grows them; what is kept of it are arrays, which a model file
can hold without pickle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt._jit import jit

F64 = npt.NDArray[np.float64]

MAX_VALUES = 200
"""Codes of a categorical column are below it; the booster itself takes up to 255."""

MISSING = np.uint8(255)
"""Bin of a missing number, and of a code that was not seen."""

_LEAF = np.int16(-1)
_BITSET_WORDS = 8  # of 32 bits, one bit per bin
_LIMIT = 8e307  # twice as much is still finite: the booster takes means of neighbours
_BLOCK_ROWS = 16_384


class Trees(NamedTuple):
    """Additive trees, `n_outputs` of them an iteration; children lie behind their parent.

    Attributes
    ----------
    edges : ndarray of float64
        Upper edges of the columns' bins, rising; of a categorical column its codes.
    starts : ndarray of int64, shape (n_columns + 1,)
        Column c's edges are ``edges[starts[c]:starts[c + 1]]``.
    categorical : ndarray of bool, shape (n_columns,)
        Whether a column holds codes.
    roots : ndarray of int64, shape (n_trees,)
        Root node of each tree.
    column : ndarray of int16, shape (n_nodes,)
        What a node splits by; −1 = a leaf.
    split : ndarray of int32, shape (n_nodes,)
        Last bin that goes left; at a categorical node the row of `bitsets`.
    right : ndarray of int32, shape (n_nodes,)
        Steps to the right child; the left one is the next node.
    missing_left : ndarray of bool, shape (n_nodes,)
        Where missing values go.
    value : ndarray of float32, shape (n_nodes,)
        What a leaf adds to its output, log-odds.
    bitsets : ndarray of uint32, shape (n_bitsets, 8)
        Bins that go left.
    baseline : ndarray of float64, shape (n_outputs,)
        Outputs before the first tree.
    classes : ndarray of int32, shape (n_seen,)
        Classes that the rows had, rising; one output each, or one for two of them.
    """

    edges: F64
    starts: npt.NDArray[np.int64]
    categorical: npt.NDArray[np.bool_]
    roots: npt.NDArray[np.int64]
    column: npt.NDArray[np.int16]
    split: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    missing_left: npt.NDArray[np.bool_]
    value: npt.NDArray[np.float32]
    bitsets: npt.NDArray[np.uint32]
    baseline: F64
    classes: npt.NDArray[np.int32]

    @property
    def n_outputs(self) -> int:
        """Trees of an iteration."""
        return len(self.baseline)

    @property
    def n_iterations(self) -> int:
        """Rounds of boosting."""
        return len(self.roots) // self.n_outputs

    def first(self, n_iterations: int) -> Trees:
        """Return the trees of the first rounds alone."""
        roots = self.roots[: n_iterations * self.n_outputs]
        if len(roots) == len(self.roots):
            return self
        stop = int(self.roots[len(roots)])
        parts = ("column", "split", "right", "missing_left", "value")
        return self._replace(roots=roots, **{name: getattr(self, name)[:stop] for name in parts})


def grow(
    x: F64,
    y: npt.NDArray[np.int32],
    categorical: npt.NDArray[np.bool_],
    *,
    n_iterations: int,
    learning_rate: float,
    max_leaves: int,
    min_leaf_rows: int,
    l2: float,
    weights: F64 | None = None,
    n_threads: int = 1,
    seed: int = 0,
) -> Trees | None:
    """Grow trees; None where the rows have one class only.

    Parameters
    ----------
    x : ndarray of float64, shape (n_rows, n_columns)
        Numbers; NaN = missing.
    y : ndarray of int32, shape (n_rows,)
        Classes.
    categorical : ndarray of bool, shape (n_columns,)
        Columns that hold codes from 0 to below `MAX_VALUES`, not numbers.
    n_iterations, learning_rate, max_leaves, min_leaf_rows, l2
        Rounds of boosting, what share of each is added, leaves of a tree at most, rows of a leaf
        at least, penalty on leaf values.
    weights : ndarray of float64, shape (n_rows,), optional
        What each row counts.
    n_threads : int
        Threads of this call.
    seed : int
        Of the rows that bins are made from, in a large table.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    if len(y) == 0 or y.min() == y.max():
        return None
    order = np.concatenate([np.flatnonzero(categorical), np.flatnonzero(~categorical)])
    n_codes = int(categorical.sum())
    arranged = np.ascontiguousarray(np.clip(x[:, order], -_LIMIT, _LIMIT))
    arranged[:, np.isnan(arranged).all(axis=0)] = 0  # the booster wants a number in each column
    codes = [_recode(arranged[:, k]) for k in range(n_codes)]
    booster = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=n_iterations,
        max_leaf_nodes=max_leaves,
        min_samples_leaf=min_leaf_rows,
        l2_regularization=l2,
        categorical_features=np.arange(len(order)) < n_codes if n_codes else None,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(n_threads, user_api="openmp"):
        booster.fit(arranged, y, sample_weight=weights)
    return _keep(booster, order, codes)


def _recode(column: F64) -> F64:
    """Return the codes that occur, and number them 0, 1, … Modified in place: column."""
    known = ~np.isnan(column)
    seen, numbers = np.unique(column[known], return_inverse=True)
    column[known] = numbers  # so that the booster's own numbering changes nothing
    return seen


def _keep(booster: Any, order: npt.NDArray[np.int64], codes: list[F64]) -> Trees:
    """Take over a fitted booster's trees, columns back in the caller's order."""
    edges: list[F64] = [np.empty(0)] * len(order)
    categorical = np.zeros(len(order), bool)
    for k, own in enumerate(booster._bin_mapper.bin_thresholds_):
        edges[order[k]] = codes[k] if k < len(codes) else np.asarray(own, np.float64)
        categorical[order[k]] = k < len(codes)
    nodes, roots, bitsets, n_nodes, n_bitsets = [], [], [], 0, 0
    for predictor in (tree for trees in booster._predictors for tree in trees):
        own = predictor.nodes.copy()
        own["bitset_idx"] += n_bitsets
        nodes.append(own)
        roots.append(n_nodes)
        bitsets.append(predictor.binned_left_cat_bitsets)
        n_nodes += len(own)
        n_bitsets += len(predictor.binned_left_cat_bitsets)
    node = np.concatenate(nodes)
    sizes = np.diff([*roots, n_nodes])
    at = np.arange(n_nodes) - np.repeat(roots, sizes)
    leaf = node["is_leaf"] != 0
    if (node["left"][~leaf] != at[~leaf] + 1).any():
        raise RuntimeError("scikit-learn's trees are not laid out as expected: left child first.")
    column = np.where(leaf, _LEAF, order[np.where(leaf, 0, node["feature_idx"])])
    is_code = (node["is_categorical"] != 0) & ~leaf
    return Trees(
        edges=np.concatenate(edges),
        starts=np.concatenate([[0], np.cumsum([len(e) for e in edges])]).astype(np.int64),
        categorical=categorical,
        roots=np.array(roots, np.int64),
        column=column.astype(np.int16),
        split=np.where(is_code, node["bitset_idx"], node["bin_threshold"]).astype(np.int32),
        right=np.where(leaf, 0, node["right"].astype(np.int64) - at).astype(np.int32),
        missing_left=node["missing_go_to_left"] != 0,
        value=np.where(leaf, node["value"], 0).astype(np.float32),
        bitsets=np.concatenate(bitsets).astype(np.uint32).reshape(-1, _BITSET_WORDS),
        baseline=np.asarray(booster._baseline_prediction, np.float64).reshape(-1),
        classes=booster.classes_.astype(np.int32),
    )


def to_bins(trees: Trees, x: F64) -> npt.NDArray[np.uint8]:
    """Return the bin of each number, shape (n_rows, n_columns)."""
    bins = np.full(x.shape, MISSING, np.uint8)
    for c in range(x.shape[1]):
        edges, column = trees.edges[trees.starts[c] : trees.starts[c + 1]], x[:, c]
        at = np.searchsorted(edges, column, side="left")
        known = ~np.isnan(column)
        if trees.categorical[c]:
            at = np.minimum(at, max(0, len(edges) - 1))
            known &= edges[at] == column if len(edges) else False
        bins[known, c] = at[known]
    return bins


@jit()
def add_trees(bins, trees, out):
    """Add what the trees say of some rows. Modified in place: out.

    Parameters
    ----------
    bins : ndarray of uint8, shape (n_rows, n_columns)
        `to_bins`'.
    trees : Trees
        The trees.
    out : ndarray of float64, shape (n_rows, n_outputs)
        Log-odds.
    """
    n_outputs = out.shape[1]
    for row in range(len(bins)):
        for tree in range(len(trees.roots)):
            node = trees.roots[tree]
            while trees.column[node] >= 0:
                c = trees.column[node]
                b = np.int64(bins[row, c])
                split = trees.split[node]
                if b == 255:
                    left = trees.missing_left[node]
                elif trees.categorical[c]:
                    left = (trees.bitsets[split, b >> 5] >> np.uint32(b & 31)) & np.uint32(1) != 0
                else:
                    left = b <= split
                node += 1 if left else trees.right[node]
            out[row, tree % n_outputs] += trees.value[node]


def raw_scores(trees: Trees, x: F64) -> F64:
    """Return the trees' outputs, log-odds, shape (n_rows, n_outputs)."""
    out = np.tile(trees.baseline, (len(x), 1))
    for start in range(0, len(x), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        add_trees(to_bins(trees, x[rows]), trees, out[rows])
    return out


def log_odds(trees: Trees, x: F64, n_classes: int) -> npt.NDArray[np.float32]:
    """Return logits of all classes, shape (n_rows, n_classes); their softmax is the answer.

    A class that the trees have not seen is less likely than any other by the factor e.
    """
    scores = raw_scores(trees, x)
    if trees.n_outputs == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    return _widen(scores, trees.classes, n_classes)


def _widen(scores: F64, classes: npt.NDArray[np.int32], n_classes: int) -> npt.NDArray[np.float32]:
    """Give each score to its class; the other classes get less than any."""
    if len(classes) == n_classes:
        return scores.astype(np.float32)
    wide = np.repeat(scores.min(axis=1, keepdims=True) - 1, n_classes, axis=1)
    wide[:, classes] = scores
    return wide.astype(np.float32)
