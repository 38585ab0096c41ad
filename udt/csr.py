"""CSR: the waist between featurizers and engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


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
