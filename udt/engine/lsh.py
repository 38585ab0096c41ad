"""Locality-sensitive hashing of output rows: classes whose weights point where a row points.

As SLIDE (Chen et al., 2020) finds active neurons: tables of SimHash (Charikar, 2002) buckets over
the output layer's rows, built anew as the rows move. A plane separates two vectors at an angle θ
with probability θ / π, so that they share a bucket of K planes with (1 − θ / π)^K, and one of L
tables with 1 − (1 − (1 − θ / π)^K)^L.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_N_TABLES = 16


class Tables(NamedTuple):
    """Buckets of classes.

    Attributes
    ----------
    planes : ndarray of float32, shape (n_tables, hashes_per_table, width)
        Normals of the planes; shape (0, 0, 0) = there are no tables.
    starts : ndarray of int64, shape (n_tables, n_buckets + 1)
        Bucket b of table t holds ``classes[t, starts[t, b]:starts[t, b + 1]]``.
    classes : ndarray of uint32, shape (n_tables, n_classes)
        Class indices.
    """

    planes: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    classes: npt.NDArray[np.uint32]


NO_TABLES = Tables(
    np.zeros((0, 0, 0), np.float32), np.zeros((0, 0), np.int64), np.zeros((0, 0), np.uint32)
)


def draw_planes(n_classes: int, width: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the planes of tables whose buckets hold a few classes each."""
    n_bits = max(1, int(np.log2(max(2, n_classes / 4))))
    return rng.standard_normal((_N_TABLES, n_bits, width)).astype(np.float32)


def hash_classes(
    w_out: npt.NDArray[np.float32], planes: npt.NDArray[np.float32], rng: np.random.Generator
) -> Tables:
    """Return tables of all classes; the order within a bucket is random.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> tables = hash_classes(np.eye(4, dtype=np.float32), draw_planes(4, 4, rng), rng)
    >>> sorted(tables.classes[0].tolist())
    [0, 1, 2, 3]
    """
    n_tables, n_bits, _ = planes.shape
    n_classes, n_buckets = len(w_out), 1 << n_bits
    starts = np.zeros((n_tables, n_buckets + 1), np.int64)
    classes = np.empty((n_tables, n_classes), np.uint32)
    places = 1 << np.arange(n_bits)[::-1]
    for t in range(n_tables):
        shuffled = rng.permutation(n_classes)
        buckets = (w_out[shuffled] @ planes[t].T > 0) @ places
        classes[t] = shuffled[np.argsort(buckets, kind="stable")]
        starts[t, 1:] = np.cumsum(np.bincount(buckets, minlength=n_buckets))
    return Tables(planes, starts, classes)
