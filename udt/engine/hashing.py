"""Scores of blocks that come from hashes: of features, of rows, and of neurons' weights.

Mixing is the finaliser of SplitMix64 (Steele, Lea & Flood, 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from udt._jit import jit
from udt.csr import CSR
from udt.engine.network import BLOCK, Network

F32 = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]
Order = npt.NDArray[np.int64]
Active = npt.NDArray[np.uint16]
Digits = npt.NDArray[np.uint8]

FLAGS = {"reassoc", "contract", "arcp", "nsz", "afn"}
ZERO, ONE = np.float32(0), np.float32(1)
_LEAST = np.float32(-np.inf)
_TO_UNIT = np.float32(1.0 / 16777216.0)
_SHIFT_3, _SHIFT_13, _SHIFT_16, _SHIFT_27 = map(np.uint64, (3, 13, 16, 27))
_SHIFT_30, _SHIFT_31, _SHIFT_40 = map(np.uint64, (30, 31, 40))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ONE, _LOW_16 = np.uint64(1), np.uint64(0xFFFF)
_DRAWS = 4  # numbers of 16 bits in a hash

_N_TABLES = 16
_N_SLOTS = 8  # of a bin, hence 3 bits of code
_MAX_PROBES = 64


class _Fixed:
    """A scorer that learns nothing: its seed says it all."""

    wants_feedback = False

    def __init__(self, n_features: int, n_choices: int, seed: int) -> None:
        self._salt = np.uint64(seed)

    def on_epoch(self, network: Network, first: int, epoch: int) -> None:
        """Change nothing."""

    def learn(self, rows: CSR, active: Active, gain: F32, n_shared: int) -> None:
        """Learn nothing."""

    def arrays(self) -> Arrays:
        """Return what a model file keeps."""
        return {}

    def restore(self, arrays: Arrays) -> None:
        """Take over what `arrays` has returned."""


class Votes(_Fixed):
    """Each feature votes for four blocks, found by its hash, with its value.

    Rows that share features share blocks, whatever their classes.
    """

    def score(self, rows: CSR, order: Order, start: int, stop: int, scores: F32) -> None:
        """Fill scores with the sums of votes."""
        count_votes(rows, order, start, stop, self._salt, scores)


class Random(_Fixed):
    """The control: blocks by a hash of all of a row's features together.

    The same row has the same blocks; rows that differ in one feature have nothing in common.
    """

    def score(self, rows: CSR, order: Order, start: int, stop: int, scores: F32) -> None:
        """Fill scores with draws that depend on the set of features alone."""
        draw_scores(rows, order, start, stop, self._salt, scores)


class SimHash(_Fixed):
    """Tables of neurons whose weights lie on the same sides of random planes as the row.

    A table has K = log2(n_choices) planes, so that its 2^K buckets hold the neurons of one block
    each on average, and there are L = 16 tables. A plane separates two vectors at an angle θ with
    probability θ / π (Charikar, 2002); they share a bucket with p^K, p = 1 − θ / π, and one of L
    tables with 1 − (1 − p^K)^L. With 64 blocks, K = 6: 0.96 at 45°, 0.77 at 60°, 0.22 at 90°.
    Planes are sparse, eight of them for each feature: random signs on a fraction of the
    coordinates keep angles (Li, Hastie & Church, 2006).

    A block's score is the number of its neurons in the row's buckets. Tables are built anew
    before epochs 0, 1, 2, 4, 8, …: weights move ever less, as in SLIDE (Chen et al., 2020),
    whose tables hold single neurons.
    """

    base = 2

    def __init__(self, n_features: int, n_choices: int, seed: int) -> None:
        super().__init__(n_features, n_choices, seed)
        n_digits = max(1, round(np.log(n_choices) / np.log(self.base)))
        self.n_hashes = _N_TABLES * n_digits
        self.counts = np.zeros((_N_TABLES, self.base**n_digits, n_choices), np.uint8)

    def on_epoch(self, network: Network, first: int, epoch: int) -> None:
        """Build the tables, if it is time to."""
        if epoch & (epoch - 1) == 0:
            digits = np.empty((network.width - first, self.n_hashes), np.uint8)
            self._hash_neurons(network.w_in, first, digits)
            self.counts[...] = 0
            fill_tables(digits, self.base, BLOCK, self.counts)

    def score(self, rows: CSR, order: Order, start: int, stop: int, scores: F32) -> None:
        """Fill scores with the numbers of neurons found."""
        digits = np.empty((stop - start, self.n_hashes), np.uint8)
        self._hash_rows(rows, order, start, stop, digits)
        look_up(digits, self.base, self.counts, scores)

    def _hash_neurons(self, w_in: F32, first: int, digits: Digits) -> None:
        project_neurons(w_in, first, self._salt, digits)

    def _hash_rows(self, rows: CSR, order: Order, start: int, stop: int, digits: Digits) -> None:
        project_rows(rows, order, start, stop, self._salt, digits)

    def arrays(self) -> Arrays:
        """Return how many of each block's neurons each bucket holds."""
        return {"counts": self.counts}

    def restore(self, arrays: Arrays) -> None:
        """Take over what `arrays` has returned."""
        self.counts[...] = arrays["counts"]


class DWTA(SimHash):
    """Tables of neurons whose largest weights are where the row's largest values are.

    Densified winner-take-all hashing (Chen & Shrivastava, 2018): a feature has a slot in four of
    the bins, and a bin's code is the slot of its largest value (3 bits). A bin of which the row
    has no feature borrows the code of another one, found by hashing. K codes make up a bucket,
    with 8^K near the number of blocks; two vectors share a code with a probability p that grows
    with how alike they rank their features, and tables are as in `SimHash`.
    """

    base = _N_SLOTS

    def _hash_neurons(self, w_in: F32, first: int, digits: Digits) -> None:
        rank_neurons(w_in, first, self._salt, digits)

    def _hash_rows(self, rows: CSR, order: Order, start: int, stop: int, digits: Digits) -> None:
        rank_rows(rows, order, start, stop, self._salt, digits)


@jit(fastmath=FLAGS)
def _mix(x):
    """Return a hash of 64 bits."""
    x ^= x >> _SHIFT_30
    x *= _MIX_1
    x ^= x >> _SHIFT_27
    x *= _MIX_2
    return x ^ (x >> _SHIFT_31)


@jit(fastmath=FLAGS)
def _hash(x, salt):
    """Return a hash of a uint64; another salt, another hash."""
    return _mix((x + _ONE) * _GOLDEN + salt)


@jit(fastmath=FLAGS)
def _below(bits, n):
    """Return a number below n from the low 16 bits."""
    return np.int64(((bits & _LOW_16) * np.uint64(n)) >> _SHIFT_16)


@jit(fastmath=FLAGS)
def count_votes(rows, order, start, stop, salt, scores):
    """Sum the votes of each row's features. Modified in place: scores.

    Parameters
    ----------
    rows : CSR
        Features.
    order : ndarray of int64
        Row numbers.
    start, stop : int
        Rows order[start] … order[stop − 1].
    salt : uint64
        Decides who votes for whom.
    scores : ndarray of float32, shape (stop − start, n_choices)
        The sums.
    """
    n = scores.shape[1]
    for i in range(stop - start):
        row, sums = order[start + i], scores[i]
        sums[:] = ZERO
        for k in range(rows.indptr[row], rows.indptr[row + 1]):
            bits = _hash(np.uint64(rows.indices[k]), salt)
            for _ in range(_DRAWS):
                sums[_below(bits, n)] += rows.values[k]
                bits >>= _SHIFT_16


@jit(fastmath=FLAGS)
def draw_scores(rows, order, start, stop, salt, scores):
    """Draw scores in [0, 1) from each row's set of features. Modified in place: scores.

    Parameters are those of `count_votes`.
    """
    for i in range(stop - start):
        row, draws = order[start + i], scores[i]
        bits = salt
        for k in range(rows.indptr[row], rows.indptr[row + 1]):
            bits += _hash(np.uint64(rows.indices[k]), salt)  # in any order the same
        for b in range(len(draws)):
            draws[b] = np.float32(_hash(np.uint64(b), bits) >> _SHIFT_40) * _TO_UNIT


# -- Tables of neurons -----------------------------------------------------------------------------


@jit(fastmath=FLAGS)
def _bucket(digits, t, n_digits, base):
    """Return the bucket that a table's part of the digits spells."""
    bucket = 0
    for d in range(t * n_digits, (t + 1) * n_digits):
        bucket = bucket * base + digits[d]
    return bucket


@jit(fastmath=FLAGS)
def fill_tables(digits, base, block, counts):
    """Count each block's neurons in the buckets that their hashes name. Modified in place: counts.

    Parameters
    ----------
    digits : ndarray of uint8, shape (n_neurons, n_hashes)
        Hashes below the base, as many of them for each table.
    base, block : int
        Number of values that a hash can have; neurons of a block.
    counts : ndarray of uint8, shape (n_tables, n_buckets, n_blocks)
        Zeros.
    """
    n_tables = len(counts)
    n_digits = digits.shape[1] // n_tables
    for h in range(len(digits)):
        for t in range(n_tables):
            counts[t, _bucket(digits[h], t, n_digits, base), h // block] += 1


@jit(fastmath=FLAGS)
def look_up(digits, base, counts, scores):
    """Sum up how many of each block's neurons are in a row's buckets. Modified in place: scores.

    Parameters
    ----------
    digits : ndarray of uint8, shape (n_rows, n_hashes)
        The rows' hashes.
    base, counts
        As in `fill_tables`.
    scores : ndarray of float32, shape (n_rows, n_blocks)
        The sums.
    """
    n_tables = len(counts)
    n_digits = digits.shape[1] // n_tables
    for i in range(len(digits)):
        sums = scores[i]
        sums[:] = ZERO
        for t in range(n_tables):
            found = counts[t, _bucket(digits[i], t, n_digits, base)]
            for b in range(len(sums)):
                sums[b] += np.float32(found[b])


@jit(fastmath=FLAGS)
def project_neurons(w_in, first, salt, digits):
    """Say on which side of each plane neurons' weights are. Modified in place: digits.

    Parameters
    ----------
    w_in : ndarray of float32, shape (n_features, at least first + n_neurons)
        Weights of each feature.
    first : int
        First neuron.
    salt : uint64
        Decides the planes.
    digits : ndarray of uint8, shape (n_neurons, n_planes)
        0 or 1.
    """
    n_neurons, n_planes = digits.shape
    sums = np.zeros((n_planes, n_neurons), np.float32)
    for f in range(len(w_in)):
        w = w_in[f, first : first + n_neurons]
        for half in range(2):
            bits = _hash(np.uint64(2 * f + half), salt)
            for _ in range(_DRAWS):
                side = sums[_below(bits, n_planes)]
                sign = ONE if bits & _ONE == _ONE else -ONE
                for h in range(n_neurons):
                    side[h] += sign * w[h]
                bits >>= _SHIFT_16
    for h in range(n_neurons):
        for p in range(n_planes):
            digits[h, p] = np.uint8(sums[p, h] > ZERO)


@jit(fastmath=FLAGS)
def project_rows(rows, order, start, stop, salt, digits):
    """Say on which side of each plane rows are. Modified in place: digits.

    Parameters
    ----------
    rows, order, start, stop
        As in `count_votes`.
    salt : uint64
        As in `project_neurons`.
    digits : ndarray of uint8, shape (stop − start, n_planes)
        0 or 1.
    """
    n_planes = digits.shape[1]
    sums = np.empty(n_planes, np.float32)
    for i in range(stop - start):
        row = order[start + i]
        sums[:] = ZERO
        for k in range(rows.indptr[row], rows.indptr[row + 1]):
            v = rows.values[k]
            for half in range(2):
                bits = _hash(np.uint64(2 * rows.indices[k] + half), salt)
                for _ in range(_DRAWS):
                    side = _below(bits, n_planes)
                    sums[side] += v if bits & _ONE == _ONE else -v
                    bits >>= _SHIFT_16
        for p in range(n_planes):
            digits[i, p] = np.uint8(sums[p] > ZERO)


@jit(fastmath=FLAGS)
def rank_neurons(w_in, first, salt, digits):
    """Find the slot of each bin's largest weight. Modified in place: digits.

    Parameters
    ----------
    w_in, first
        As in `project_neurons`.
    salt : uint64
        Decides the features' bins and slots.
    digits : ndarray of uint8, shape (n_neurons, n_bins)
        Slots; 0 in a bin without features.
    """
    n_neurons, n_bins = digits.shape
    slots = np.zeros((n_bins, n_neurons), np.uint8)
    largest = np.full((n_bins, n_neurons), _LEAST)
    for f in range(len(w_in)):
        w = w_in[f, first : first + n_neurons]
        bits = _hash(np.uint64(f), salt)
        for _ in range(_DRAWS):
            slot = np.uint8((bits & _LOW_16) >> _SHIFT_13)
            b = _below(bits << _SHIFT_3, n_bins)
            top, at = largest[b], slots[b]
            for h in range(n_neurons):
                if w[h] > top[h]:
                    top[h] = w[h]
                    at[h] = slot
            bits >>= _SHIFT_16
    digits[:] = slots.T


@jit(fastmath=FLAGS)
def rank_rows(rows, order, start, stop, salt, digits):
    """Find the slot of each bin's largest value in rows. Modified in place: digits.

    Parameters
    ----------
    rows, order, start, stop
        As in `count_votes`.
    salt : uint64
        As in `rank_neurons`.
    digits : ndarray of uint8, shape (stop − start, n_bins)
        Slots; a bin without features has another one's, or 0 in a row without any.
    """
    n_bins = digits.shape[1]
    largest = np.empty(n_bins, np.float32)
    for i in range(stop - start):
        row, slots = order[start + i], digits[i]
        largest[:] = _LEAST
        slots[:] = 0
        for k in range(rows.indptr[row], rows.indptr[row + 1]):
            bits = _hash(np.uint64(rows.indices[k]), salt)
            for _ in range(_DRAWS):
                b = _below(bits << _SHIFT_3, n_bins)
                if rows.values[k] > largest[b]:
                    largest[b] = rows.values[k]
                    slots[b] = np.uint8((bits & _LOW_16) >> _SHIFT_13)
                bits >>= _SHIFT_16
        for b in range(n_bins):
            if largest[b] > _LEAST:
                continue
            for probe in range(_MAX_PROBES):
                other = _below(_hash(np.uint64(b * _MAX_PROBES + probe), salt), n_bins)
                if largest[other] > _LEAST:
                    slots[b] = slots[other]
                    break
