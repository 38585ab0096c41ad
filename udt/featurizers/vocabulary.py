"""An exact vocabulary: n-grams that repeat are given dense ids of their own.

Hashing into a fixed number of slots lets rare n-grams of training collide with useful ones. Most
distinct n-grams of a text occur once and are worth nothing; a bit per n-gram remembers those, and
only what is met again enters the open-addressing table. Where two n-grams share a bit, one that
occurs once may enter too; selection counts rows exactly and drops it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udt._jit import jit
from udt._prefetch import prefetch

_MAX_LOAD = 0.6
_MIN_SLOTS = 1 << 12
_MIN_BITS, _MAX_BITS = 1 << 20, 1 << 31
_AHEAD = 12  # keys between asking for a cache line and using it
_PART_BIT = np.uint64(3)  # below it a key holds its kind
_HOME_SHIFT = np.uint64(20)
_BIT_SHIFT = np.uint64(4)
_WORD_SHIFT = np.uint64(6)
_WORD_MASK = np.uint64(63)
_ONE = np.uint64(1)
_EMPTY = np.uint64(0)

Slots = npt.NDArray[np.uint64]
"""Shape (n_slots, 2): key (0 = empty) and id; both in one cache line."""


def _n_slots_for(n_keys: int) -> int:
    slots = _MIN_SLOTS
    while n_keys > _MAX_LOAD * slots:
        slots *= 2
    return slots


@jit()
def _slot(key, slots):
    """Return the slot that holds the key, or the empty one where it belongs."""
    mask = len(slots) - 1
    slot = np.int64(key >> _HOME_SHIFT) & mask
    while slots[slot, 0] != _EMPTY and slots[slot, 0] != key:
        slot = (slot + 1) & mask
    return slot


@jit()
def _note(row_keys, part, n_parts, once, seen, slots):
    """Enter the keys that are met again. Modified in place: seen, slots. Returns how many are new.

    seen holds a bit per key, in 64-bit words; once: whether to be met once is enough.
    """
    n_new = 0
    parts = np.uint64(n_parts - 1)
    bits = np.uint64(len(seen) * 64 - 1)
    for k in range(len(row_keys)):
        if k + _AHEAD < len(row_keys):
            coming = ((row_keys[k + _AHEAD] >> _BIT_SHIFT) & bits) >> _WORD_SHIFT
            prefetch(seen, np.int64(coming))
        key = row_keys[k]
        if ((key >> _PART_BIT) & parts) != np.uint64(part):
            continue
        bit = (key >> _BIT_SHIFT) & bits
        word, flag = np.int64(bit >> _WORD_SHIFT), _ONE << (bit & _WORD_MASK)
        if seen[word] & flag == _EMPTY and not once:
            seen[word] |= flag
            continue
        slot = _slot(key, slots)
        if slots[slot, 0] == _EMPTY:
            slots[slot, 0] = key
            n_new += 1
    return n_new


@jit()
def _fill(keys, slots):
    """Give key i the id i. Modified in place: slots."""
    for i in range(len(keys)):
        slot = _slot(keys[i], slots)
        slots[slot, 0] = keys[i]
        slots[slot, 1] = np.uint64(i)


def make_lookup(keys: npt.NDArray[np.uint64], n_slots: int = 0) -> Slots:
    """Return the table in which key i has id i.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_features,)
        Distinct keys.
    n_slots : int
        At least so many slots, a power of two.

    Returns
    -------
    ndarray of uint64, shape (n_slots, 2)
        Key (0 = empty) and id of each slot.
    """
    needed = 2 * _n_slots_for(len(keys))  # looked up often: keep probes short
    slots = np.zeros((max(needed, n_slots), 2), np.uint64)
    _fill(keys, slots)
    return slots


class RepeatedKeys:
    """Collects the keys that are met at least twice, or at least once.

    Parameters
    ----------
    n_expected : int
        About how many distinct keys there will be.
    part, n_parts : int
        Only keys whose part bits equal part are collected, so that n_parts (a power of two)
        collectors can work at once without a lock.
    once : bool
        Whether to be met once is enough.
    """

    def __init__(
        self, n_expected: int, part: int = 0, n_parts: int = 1, *, once: bool = False
    ) -> None:
        self.part, self.n_parts, self.once = part, n_parts, once
        n_bits = _MIN_BITS
        while n_bits < min(_MAX_BITS, 16 * n_expected // n_parts):
            n_bits *= 2
        self._seen = np.zeros(n_bits // 64, np.uint64)
        self._slots = make_lookup(np.zeros(0, np.uint64))
        self._n_keys = 0

    def add(self, row_keys: npt.NDArray[np.uint64]) -> None:
        """Note some keys.

        Parameters
        ----------
        row_keys : ndarray of uint64
            Keys of some rows, repeats allowed.
        """
        # The worst case, all of them new, bounds the load before the kernel starts.
        n_slots = _n_slots_for(self._n_keys + len(row_keys))
        if n_slots > len(self._slots):
            self._slots = make_lookup(self.keys(), 2 * n_slots)
        self._n_keys += _note(row_keys, self.part, self.n_parts, self.once, self._seen, self._slots)

    def keys(self) -> npt.NDArray[np.uint64]:
        """Return the keys met often enough (and a few more), in no particular order."""
        keys: npt.NDArray[np.uint64] = self._slots[:, 0]
        return np.compress(keys != _EMPTY, keys)


@jit()
def find_rows(row_keys, indptr, lookup, out, out_indptr):
    """Write the distinct known features of some rows. Modified in place: out, out_indptr.

    Parameters
    ----------
    row_keys : ndarray of uint64
        Keys of all rows, repeats allowed.
    indptr : ndarray of int64, shape (n + 1,)
        Where each row's keys start.
    lookup : ndarray of uint64, shape (n_slots, 2)
        `make_lookup`'s; unknown keys are dropped.
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
    stamp = np.zeros(size, np.int64)  # of row r: r + 1
    n = 0
    mask, n_keys = len(lookup) - 1, indptr[len(indptr) - 1]
    out_indptr[0] = 0
    for r in range(len(indptr) - 1):
        for k in range(indptr[r], indptr[r + 1]):
            if k + _AHEAD < n_keys:
                home = np.int64(row_keys[k + _AHEAD] >> _HOME_SHIFT) & mask
                prefetch(lookup, 2 * home)
            slot = _slot(row_keys[k], lookup)
            if lookup[slot, 0] == _EMPTY:
                continue
            feature = np.int32(lookup[slot, 1])
            at = feature & (size - 1)
            while stamp[at] == r + 1 and member[at] != feature:
                at = (at + 1) & (size - 1)
            if stamp[at] != r + 1:
                stamp[at] = r + 1
                member[at] = feature
                out[n] = feature
                n += 1
        out_indptr[r + 1] = n
    return n
