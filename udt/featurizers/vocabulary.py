"""An exact vocabulary: every n-gram counted once, the useful ones given dense ids.

Hashing into a fixed number of slots lets rare n-grams of training collide with useful ones; an
exact count in an open-addressing table costs about as much as one pass over memory and needs no
slot for what occurs in a single row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from udt._jit import jit

_MAX_LOAD = 0.6
_PART_BIT = np.uint64(3)  # below it a key holds its kind
_ONE = np.uint64(1)
_EMPTY = np.uint64(0)
_MIN_SLOTS = 1 << 12


class Counts(NamedTuple):
    """An open-addressing table from key to document frequency.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n_slots,)
        0 = empty slot.
    df : ndarray of int32, shape (n_slots,)
        Number of rows that hold the key.
    last_row : ndarray of int32, shape (n_slots,)
        The row that counted last, so that a row counts once.
    """

    keys: npt.NDArray[np.uint64]
    df: npt.NDArray[np.int32]
    last_row: npt.NDArray[np.int32]


class Lookup(NamedTuple):
    """An open-addressing table from key to feature id.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n_slots,)
        0 = empty slot.
    ids : ndarray of int32, shape (n_slots,)
        Feature id of the key.
    """

    keys: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.int32]


def _slots_for(n: int) -> int:
    slots = _MIN_SLOTS
    while n > _MAX_LOAD * slots:
        slots *= 2
    return slots


def empty_counts(n: int = 0) -> Counts:
    """Return a table with room for n keys."""
    slots = _slots_for(n)
    return Counts(
        np.zeros(slots, np.uint64), np.zeros(slots, np.int32), np.full(slots, -1, np.int32)
    )


@jit()
def _slot(key, keys):
    """Return the slot that holds the key, or the empty one where it belongs."""
    mask = len(keys) - 1
    slot = np.int64(key >> np.uint64(20)) & mask
    while keys[slot] != _EMPTY and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@jit()
def _count(row_keys, indptr, first_row, part, n_parts, counts):
    """Count one part of some rows' keys. Modified in place: counts. Returns how many were new."""
    n_new = 0
    for r in range(len(indptr) - 1):
        row = np.int32(first_row + r)
        for k in range(indptr[r], indptr[r + 1]):
            key = row_keys[k]
            if ((key >> _PART_BIT) & np.uint64(n_parts - 1)) != np.uint64(part):
                continue
            slot = _slot(key, counts.keys)
            if counts.keys[slot] == _EMPTY:
                counts.keys[slot] = key
                n_new += 1
            if counts.last_row[slot] != row:
                counts.last_row[slot] = row
                counts.df[slot] += np.int32(1)
    return n_new


@jit()
def _move(old, new):
    """Insert old's keys into new. Modified in place: new."""
    for i in range(len(old.keys)):
        if old.keys[i] != _EMPTY:
            slot = _slot(old.keys[i], new.keys)
            new.keys[slot] = old.keys[i]
            new.df[slot] = old.df[i]
            new.last_row[slot] = old.last_row[i]


class Counter:
    """Counts document frequencies of one part of the keys, growing as it goes.

    Parameters
    ----------
    part, n_parts : int
        Only keys whose part bits equal part are counted, so that n_parts (a power of two)
        counters can work at once without a lock.
    """

    def __init__(self, part: int = 0, n_parts: int = 1) -> None:
        self.part, self.n_parts = part, n_parts
        self.n_keys = 0
        self.counts = empty_counts()

    def add(
        self, row_keys: npt.NDArray[np.uint64], indptr: npt.NDArray[np.int64], first_row: int
    ) -> None:
        """Count the keys of rows first_row, first_row + 1, ….

        Parameters
        ----------
        row_keys : ndarray of uint64
            Keys of all rows, repeats allowed.
        indptr : ndarray of int64, shape (n + 1,)
            Where each row's keys start.
        first_row : int
            Number of the first row; rows must not be added twice.
        """
        # The worst case, all of them new, bounds the load before the kernel starts.
        incoming = int(indptr[-1] - indptr[0]) // self.n_parts + 64
        incoming += incoming // 8 if self.n_parts > 1 else 0
        needed = _slots_for(self.n_keys + incoming)
        if needed > len(self.counts.keys):
            grown = empty_counts(self.n_keys + incoming)
            _move(self.counts, grown)
            self.counts = grown
        self.n_keys += _count(row_keys, indptr, first_row, self.part, self.n_parts, self.counts)

    def frequent(self, min_df: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
        """Return (keys, df) of the keys in at least min_df rows, in slot order."""
        kept = np.flatnonzero(self.counts.df >= min_df)
        return self.counts.keys[kept], self.counts.df[kept]


@jit()
def _fill(keys, lookup):
    """Give key i the id i. Modified in place: lookup."""
    for i in range(len(keys)):
        slot = _slot(keys[i], lookup.keys)
        lookup.keys[slot] = keys[i]
        lookup.ids[slot] = i


def make_lookup(keys: npt.NDArray[np.uint64]) -> Lookup:
    """Return the table in which key i has id i.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_features,)
        Distinct keys.
    """
    slots = 2 * _slots_for(len(keys))  # looked up far more often than made: keep chains short
    lookup = Lookup(np.zeros(slots, np.uint64), np.zeros(slots, np.int32))
    _fill(keys, lookup)
    return lookup


@jit()
def find_rows(row_keys, indptr, lookup, out, out_indptr):
    """Write the distinct known features of some rows. Modified in place: out, out_indptr.

    Parameters
    ----------
    row_keys : ndarray of uint64
        Keys of all rows, repeats allowed.
    indptr : ndarray of int64, shape (n + 1,)
        Where each row's keys start.
    lookup : Lookup
        From key to id; unknown keys are dropped.
    out : ndarray of int32
        At least as long as row_keys.
    out_indptr : ndarray of int64, shape (n + 1,)
        Where each row's ids start in out.

    Returns
    -------
    int
        Number of ids written.
    """
    longest = 1
    for r in range(len(indptr) - 1):
        longest = max(longest, indptr[r + 1] - indptr[r])
    size = 16
    while size < 2 * longest:
        size *= 2
    # A small set per row, emptied by its stamp: it stays in the nearest cache.
    member = np.empty(size, np.int32)
    stamp = np.full(size, -1, np.int64)
    n = 0
    out_indptr[0] = 0
    for r in range(len(indptr) - 1):
        for k in range(indptr[r], indptr[r + 1]):
            slot = _slot(row_keys[k], lookup.keys)
            if lookup.keys[slot] == _EMPTY:
                continue
            feature = lookup.ids[slot]
            at = feature & (size - 1)
            while stamp[at] == r and member[at] != feature:
                at = (at + 1) & (size - 1)
            if stamp[at] != r:
                stamp[at] = r
                member[at] = feature
                out[n] = feature
                n += 1
        out_indptr[r + 1] = n
    return n
