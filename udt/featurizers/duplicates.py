"""Rows that say the same: they must not be trained on and held out at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udt._jit import jit
from udt.featurizers.schema import Schema
from udt.featurizers.text import as_texts
from udt.table import Table

_COMMON_SHARE = 0.02
_PRIME = np.uint64(0x100000001B3)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@jit()
def hash_cells(data, offsets, hashes):
    """Go on hashing each row by a cell: FNV-1a (Fowler, Noll & Vo, 1991).

    Modified in place: hashes.

    Parameters
    ----------
    data : ndarray of uint8
        Bytes of all cells.
    offsets : ndarray of int64, shape (n_rows + 1,)
        Row r has ``data[offsets[r]:offsets[r + 1]]``.
    hashes : ndarray of uint64, shape (n_rows,)
        Of the cells so far.
    """
    for row in range(len(hashes)):
        x = hashes[row]
        for i in range(offsets[row], offsets[row + 1]):
            x = (x ^ np.uint64(data[i])) * _PRIME
        x = (x + _GOLDEN) * _PRIME  # where a cell ends
        hashes[row] = x ^ (x >> _SHIFT)


def duplicate_groups(table: Table, schema: Schema) -> npt.NDArray[np.int64]:
    """Return a number for each row; rows with the same cells in all used columns share it.

    Rows of which the table holds very many alike, such as those without a text, are no duplicates
    to beware of: they are groups of their own.

    Parameters
    ----------
    table : Table
        Rows; columns that it lacks do not count.
    schema : Schema
        The columns' kinds.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        0 … n_groups − 1.
    """
    hashes = np.zeros(table.n_rows, np.uint64)
    for column in schema.used():
        if column.name in table:
            hash_cells(*as_texts(table.column(column.name)), hashes)
    _, groups, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    common = sizes[groups] > max(2, _COMMON_SHARE * table.n_rows)
    groups[common] = len(sizes) + np.arange(np.count_nonzero(common))
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)
