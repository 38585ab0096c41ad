"""CSR and Targets: the waist between featurizers and engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

EQUAL = np.zeros(0, np.float32)
"""Weights of rows that all count the same."""


class CSR(NamedTuple):
    """Sparse rows in compressed form; one dtype contract, so each kernel compiles once.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Row r's features are ``indices[indptr[r]:indptr[r + 1]]``.
    indices : ndarray of int32, shape (nnz,)
        Feature ids in [0, n_features).
    values : ndarray of float32, shape (nnz,)
        Feature values.
    n_features : int
        Number of columns.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    n_features: int

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    def take(self, which: npt.NDArray[np.int64]) -> CSR:
        """Return some rows."""
        indptr, at = _gather(self.indptr, which)
        return CSR(indptr, self.indices[at], self.values[at], self.n_features)


class Targets(NamedTuple):
    """Classes of each row: one, several, or none where a row does not count.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Row r's classes are ``ids[indptr[r]:indptr[r + 1]]``.
    ids : ndarray of int32
        Class indices in [0, n_classes), each at most once a row.
    weights : ndarray of float32, shape (n_rows,) or (0,)
        What each row counts, above 0, where others count 1; empty = all rows count the same.
    """

    indptr: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32] = EQUAL

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of classes of each row."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The row of each entry of ids."""
        return np.repeat(np.arange(self.n_rows), self.counts)

    def take(self, which: npt.NDArray[np.int64]) -> Targets:
        """Return the classes of some rows."""
        indptr, at = _gather(self.indptr, which)
        weights = self.weights[which] if len(self.weights) else EQUAL
        return Targets(indptr, self.ids[at], weights)

    def weighted(self, of_rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return a number of each row times what the row counts; weights are 1 in the mean.

        Examples
        --------
        >>> targets = one_class(np.array([0, 1]))._replace(weights=np.array([3, 1], np.float32))
        >>> targets.weighted(np.ones(2, np.float32)).tolist()
        [1.5, 0.5]
        """
        if not len(self.weights):
            return of_rows
        return np.asarray(of_rows * (self.weights / self.weights.mean()), np.float32)

    def only(self, which: npt.NDArray[np.int64]) -> Targets:
        """Return targets of as many rows, of which none but these count."""
        counts = np.zeros(self.n_rows, np.int64)
        counts[which] = self.counts[which]
        ids = self.ids[np.repeat(counts > 0, self.counts)]
        return Targets(_starts(counts), ids, self.weights)

    def contain(self, classes: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Whether each row has the class that is named for it, shape (n_rows,)."""
        hits = self.ids == np.repeat(classes, self.counts)
        found = np.zeros(self.n_rows, bool)
        found[self.rows[hits]] = True
        return found


def _gather(
    indptr: npt.NDArray[np.int64], which: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indptr of some rows, and where their entries are."""
    counts = np.diff(indptr)[which]
    starts = _starts(counts)
    return starts, np.repeat(indptr[which] - starts[:-1], counts) + np.arange(starts[-1])


def _starts(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def one_class(y: npt.NDArray[np.integer]) -> Targets:
    """Return targets of one class per row; −1 = a row that does not count.

    Examples
    --------
    >>> one_class(np.array([2, -1, 0])).counts.tolist()
    [1, 0, 1]
    """
    counted = y >= 0
    return Targets(_starts(counted.astype(np.int64)), y[counted].astype(np.int32))
