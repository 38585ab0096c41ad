"""Shortlists: each feature's few likely classes, found by counting.

With many classes a weight per feature and class is out of the question, and not needed: a feature
says something about the few classes that it was seen with. A row's classes worth looking at are
then those on its features' lists: an inverted index from features to classes.

A list starts from the nearest-centroid classifier: the weight of class c on the list of feature f
is ``S_fc / ‖S_c‖``, where ``S_c`` is the sum of the rows of class c, so that a row's weights add
up to its cosine with each class's centroid (Rocchio, 1971). Of a frequent feature's classes only
those of largest weight are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt._jit import jit
from udt.csr import CSR, Targets

F32 = npt.NDArray[np.float32]

_ENTRIES_AT_ONCE = 1 << 23
_SPARE = 4  # so many times the list's length are kept until the norms are known


class Shortlists(NamedTuple):
    """Classes of each feature, with their weights.

    Attributes
    ----------
    starts : ndarray of int64, shape (n_features + 1,)
        Feature f's list is ``classes[starts[f]:starts[f + 1]]``.
    classes : ndarray of uint32
        Class indices, each at most once a list.
    weights : ndarray of float32
        Weight of each.
    """

    starts: npt.NDArray[np.int64]
    classes: npt.NDArray[np.uint32]
    weights: F32


def fit_shortlists(
    rows: CSR, targets: Targets, n_classes: int, longest: int, n_threads: int = 1
) -> tuple[Shortlists, F32]:
    """Return each feature's classes of largest weight, and all classes' norms.

    Memory grows with n_features × longest, not with n_features × n_classes.

    Parameters
    ----------
    rows : CSR
        Features.
    targets : Targets
        Classes of each row; one without does not count.
    n_classes, longest : int
        Number of classes; of those on a list at most.
    n_threads : int
        Threads; the result does not depend on it.

    Returns
    -------
    lists : Shortlists
        Weights ``S_fc / ‖S_c‖``.
    norms : ndarray of float32, shape (n_classes,)
        ``‖S_c‖``; 1 for a class without rows.
    """

    def part(features: tuple[int, int]) -> tuple[npt.NDArray[Any], ...]:
        found: tuple[npt.NDArray[Any], ...] = sum_pairs(
            rows, targets, *features, n_classes, _SPARE * longest
        )
        return found

    with ThreadPoolExecutor(n_threads) as pool:
        parts = list(pool.map(part, _feature_ranges(rows, targets)))
    squares = np.sum([p[3] for p in parts], axis=0)
    norms = np.sqrt(np.where(squares > 0, squares, 1)).astype(np.float32)
    lengths = np.concatenate([p[0] for p in parts])
    classes = np.concatenate([p[1] for p in parts])
    weights = np.concatenate([p[2] for p in parts]) / norms[classes]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    kept = np.empty(len(classes), bool)
    new_starts = keep_largest(starts, weights, longest, kept)
    return Shortlists(new_starts, classes[kept], weights[kept]), norms


def _feature_ranges(rows: CSR, targets: Targets) -> Iterator[tuple[int, int]]:
    """Yield ranges of features that occur with about so many classes together."""
    entries = count_entries(rows, targets)
    ends = np.cumsum(entries)
    first = 0
    if rows.n_features == 0:
        yield 0, 0
    while first < rows.n_features:
        done = ends[first - 1] if first else 0
        last = int(np.searchsorted(ends, done + _ENTRIES_AT_ONCE, side="right"))
        last = max(last, first + 1)
        yield first, last
        first = last


@jit()
def count_entries(rows, targets):
    """Return for each feature how many classes its rows have together, int64."""
    entries = np.zeros(rows.n_features, np.int64)
    for row in range(len(targets.indptr) - 1):
        n = targets.indptr[row + 1] - targets.indptr[row]
        if n > 0:
            for k in range(rows.indptr[row], rows.indptr[row + 1]):
                entries[rows.indices[k]] += n
    return entries


@jit()
def sum_pairs(rows, targets, first, last, n_classes, longest):
    """Sum the values of each feature's rows by class, for features first … last − 1.

    Parameters
    ----------
    rows, targets
        As in `fit_shortlists`.
    first, last : int
        Features.
    n_classes, longest : int
        Number of classes; of those that are kept of a feature at most, by their sums.

    Returns
    -------
    lengths : ndarray of int64, shape (last − first,)
        Classes kept of each feature.
    classes : ndarray of uint32
        They.
    sums : ndarray of float32
        Their sums.
    squares : ndarray of float64, shape (n_classes,)
        Sum of the squares of all sums, kept or not.
    """
    n_features = last - first
    starts = np.zeros(n_features + 1, np.int64)
    for row in range(len(targets.indptr) - 1):
        n = targets.indptr[row + 1] - targets.indptr[row]
        if n > 0:
            for k in range(rows.indptr[row], rows.indptr[row + 1]):
                f = rows.indices[k] - first
                if 0 <= f < n_features:
                    starts[f + 1] += n
    for f in range(n_features):
        starts[f + 1] += starts[f]
    classes = np.empty(starts[n_features], np.uint32)
    values = np.empty(starts[n_features], np.float32)
    at = starts[:-1].copy()
    for row in range(len(targets.indptr) - 1):
        if targets.indptr[row + 1] > targets.indptr[row]:
            for k in range(rows.indptr[row], rows.indptr[row + 1]):
                f = rows.indices[k] - first
                if 0 <= f < n_features:
                    for j in range(targets.indptr[row], targets.indptr[row + 1]):
                        classes[at[f]] = targets.ids[j]
                        values[at[f]] = rows.values[k]
                        at[f] += 1
    lengths = np.zeros(n_features, np.int64)
    squares = np.zeros(n_classes, np.float64)
    n_kept = _merge_lists(starts, classes, values, longest, lengths, squares)
    return lengths, classes[:n_kept].copy(), values[:n_kept].copy(), squares


@jit()
def _merge_lists(starts, classes, values, longest, lengths, squares):
    """Merge a list's entries of one class and keep the largest. Modified in place: all arrays.

    The merged lists lie one after the other at the start of classes and values. Returns their
    length together.
    """
    sums = np.zeros(len(squares), np.float32)
    seen = np.full(len(squares), -1, np.int64)
    end = 0
    for f in range(len(lengths)):
        first = end
        for k in range(starts[f], starts[f + 1]):
            c = classes[k]
            if seen[c] != f:
                seen[c] = f
                sums[c] = 0
                classes[end] = c  # never ahead of k
                end += 1
            sums[c] += values[k]
        for k in range(first, end):
            values[k] = sums[classes[k]]
            squares[classes[k]] += np.float64(values[k]) * values[k]
        if end - first > longest:
            order = np.argsort(-values[first:end])[:longest]
            some_classes, some_values = classes[first:end][order], values[first:end][order]
            end = first + longest
            classes[first:end] = some_classes
            values[first:end] = some_values
        lengths[f] = end - first
    return end


@jit()
def keep_largest(starts, weights, longest, kept):
    """Mark the largest weights of each list. Modified in place: kept. Returns the new starts."""
    new_starts = np.zeros(len(starts), np.int64)
    for f in range(len(starts) - 1):
        first, last = starts[f], starts[f + 1]
        n = last - first
        kept[first:last] = n <= longest
        if n > longest:
            for k in np.argsort(-weights[first:last])[:longest]:
                kept[first + k] = True
            n = longest
        new_starts[f + 1] = new_starts[f] + n
    return new_starts
