"""Which blocks of hidden neurons a row computes: a part of a wide layer in place of all of it.

Three quarters of a row's blocks are *shared*: every row computes them. The others are *chosen*, by
scores:

- votes: each of the row's features votes for a few blocks (`udt.engine.hashing`);
- lsh, dwta: hash tables find neurons whose weights are like the row (the same);
- router: a gate learns which blocks are of use to which features (`udt.engine.router`);
- random: a hash of the row as a whole, the control.

While training, scores see a random fifth of a row's features, another one each epoch, so that a
row meets other blocks each time. Otherwise blocks learn their few rows by heart. What shared blocks
are worth, and what choosing is, docs/design/0013 says in numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from udt._jit import jit
from udt._prefetch import prefetch
from udt.csr import CSR
from udt.engine.hashing import DWTA, Random, SimHash, Votes
from udt.engine.network import BLOCK, Network
from udt.engine.router import Router
from udt.errors import SettingsError
from udt.settings import NetworkSettings

F32 = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]
Order = npt.NDArray[np.int64]
Active = npt.NDArray[np.uint16]

SHARED = 0.75
"""Share of a row's blocks that all rows compute."""

FLAGS = {"reassoc", "contract", "arcp", "nsz", "afn"}
_LEAST = np.float32(-np.inf)
_LINE = 16  # numbers of a cache line
_SHIFT_12, _SHIFT_25, _SHIFT_27 = map(np.uint64, (12, 25, 27))
_SHIFT_30, _SHIFT_31, _SHIFT_61 = map(np.uint64, (30, 31, 61))
_STAR = np.uint64(0x2545F4914F6CDD1D)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Selector(Protocol):
    """Chooses the blocks that rows compute; threads may call it side by side."""

    @property
    def n_active(self) -> int:
        """Blocks that a row computes."""

    @property
    def wants_feedback(self) -> bool:
        """Whether `learn` is to be called."""

    def on_epoch(self, network: Network, epoch: int) -> None:
        """Prepare for training epoch 0, 1, …; 0 begins a new training."""

    def query(self, rows: CSR, order: Order, start: int, stop: int, out: Active) -> None:
        """Choose the blocks of rows order[start] … order[stop − 1].

        Parameters
        ----------
        rows : CSR
            Features.
        order : ndarray of int64
            Row numbers.
        start, stop : int
            Part of the order.
        out : ndarray of uint16, shape (at least stop − start, n_active)
            Is filled with distinct block numbers, ascending.
        """

    def draw(self, rows: CSR, order: Order, start: int, stop: int, out: Active) -> None:
        """Choose as `query` does, but for training: with some chance, and anew each epoch."""

    def learn(
        self, rows: CSR, order: Order, start: int, stop: int, active: Active, gain: F32
    ) -> None:
        """Take notice of how useful the blocks were that `draw` chose.

        Parameters
        ----------
        rows, order, start, stop
            As they were given to `draw`.
        active : ndarray of uint16, shape (stop − start, n_active)
            What it chose.
        gain : ndarray of float32, shape (stop − start, n_active)
            ``|Σ hidden · gradient|`` of each block; 0 where a row took no backward pass.
        """

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file keeps: JSON-able facts and named arrays."""


class Scorer(Protocol):
    """Says how much rows want each of the blocks that can be chosen.

    Parameters
    ----------
    n_features, n_choices : int
        Numbers of features, and of blocks that can be chosen.
    seed : int
        Decides what is left to chance.
    """

    wants_feedback: bool

    def __init__(self, n_features: int, n_choices: int, seed: int) -> None: ...

    def on_epoch(self, network: Network, first: int, epoch: int) -> None:
        """Prepare for an epoch; the neurons from `first` on can be chosen."""

    def score(self, rows: CSR, order: Order, start: int, stop: int, scores: F32) -> None:
        """Fill scores, shape (stop − start, n_choices); the largest will be chosen."""

    def learn(self, rows: CSR, active: Active, gain: F32, n_shared: int) -> None:
        """Take notice of how useful the blocks were to each row; the first few are shared."""

    def arrays(self) -> Arrays:
        """Return what was learned."""

    def restore(self, arrays: Arrays) -> None:
        """Take over what `arrays` has returned."""


_SCORERS: dict[str, type[Scorer]] = {
    "votes": Votes,
    "lsh": SimHash,
    "dwta": DWTA,
    "router": Router,
    "random": Random,
}


class BlockSelector:
    """The selector: some blocks for all rows, and those of best score.

    Parameters
    ----------
    kind : str
        votes, lsh, dwta, router or random.
    n_features, n_blocks : int
        Numbers of features and of blocks.
    n_active, n_shared : int
        Blocks that a row computes; the first so many of all blocks are among them.
    seed : int
        Decides everything that is left to chance.

    Examples
    --------
    >>> rows = CSR(np.array([0, 1, 3]), np.array([4, 0, 2], np.int32), np.ones(3, np.float32), 5)
    >>> selector = BlockSelector("votes", 5, n_blocks=8, n_active=3, n_shared=1, seed=0)
    >>> active = np.zeros((2, 3), np.uint16)
    >>> selector.query(rows, np.arange(2), 0, 2, active)
    >>> active[:, 0].tolist()
    [0, 0]
    """

    def __init__(
        self, kind: str, n_features: int, *, n_blocks: int, n_active: int, n_shared: int, seed: int
    ) -> None:
        self._facts = {
            "kind": kind, "n_features": n_features, "n_blocks": n_blocks,
            "n_active": n_active, "n_shared": n_shared, "seed": seed,
        }  # fmt: skip
        self._seed = seed
        self.n_active, self.n_shared = n_active, n_shared
        self._n_choices = n_blocks - n_shared
        self._scorer = _SCORERS[kind](n_features, self._n_choices, seed)
        self.wants_feedback = self._scorer.wants_feedback and n_active > n_shared
        self._salt = np.uint64(seed)

    def on_epoch(self, network: Network, epoch: int) -> None:
        """Prepare for training epoch 0, 1, …; 0 begins a new training."""
        self._salt = np.uint64(self._seed << 16 | epoch)
        self._scorer.on_epoch(network, self.n_shared * BLOCK, epoch)

    def query(self, rows: CSR, order: Order, start: int, stop: int, out: Active) -> None:
        """Choose the blocks of rows order[start] … order[stop − 1], by all of their features."""
        scores = np.empty((stop - start, self._n_choices), np.float32)
        if self.n_active > self.n_shared:
            self._scorer.score(rows, order, start, stop, scores)
        choose_blocks(scores, self.n_shared, out[: stop - start])

    def draw(self, rows: CSR, order: Order, start: int, stop: int, out: Active) -> None:
        """Choose for training, by a fifth of each row's features."""
        n = stop - start
        self.query(self._thin(rows, order, start, stop), np.arange(n), 0, n, out)

    def learn(
        self, rows: CSR, order: Order, start: int, stop: int, active: Active, gain: F32
    ) -> None:
        """Pass on the rows, as `draw` saw them, and what they say of its choice."""
        thinned = self._thin(rows, order, start, stop)
        self._scorer.learn(thinned, active, gain, self.n_shared)

    def _thin(self, rows: CSR, order: Order, start: int, stop: int) -> CSR:
        indptr, indices, values = thin_rows(rows, order, start, stop, self._salt)
        return CSR(indptr, indices, values, rows.n_features)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file keeps: JSON-able facts and named arrays."""
        return dict(self._facts), self._scorer.arrays()

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Arrays) -> BlockSelector:
        """Rebuild from `state`'s result."""
        selector = cls(**meta)
        selector._scorer.restore(arrays)
        return selector


def make_selector(
    settings: NetworkSettings, n_features: int, seed: int, *, shared: float = SHARED
) -> BlockSelector | None:
    """Return the selector for a network, or None where all of its neurons are computed.

    Parameters
    ----------
    settings : NetworkSettings
        Width, selector and the fraction of the neurons that a row computes, which is rounded to
        blocks: at least one.
    n_features, seed : int
        Number of features; seed.
    shared : float
        Share of a row's blocks that all rows compute, rounded down, but to at least one block.

    Raises
    ------
    SettingsError
        If there is no selector of that name.
    """
    kinds = ("dense", *_SCORERS)
    if settings.selector not in kinds:
        raise SettingsError(
            f"There is no selector '{settings.selector}'. Expected one of {', '.join(kinds)}."
        )
    n_blocks = -(-settings.width // BLOCK)
    n_active = max(1, round(settings.active_fraction * n_blocks))
    if settings.selector == "dense" or n_active >= n_blocks:
        return None
    n_shared = max(int(shared * n_active), int(shared > 0))
    return BlockSelector(
        settings.selector, n_features,
        n_blocks=n_blocks, n_active=n_active, n_shared=n_shared, seed=seed,
    )  # fmt: skip


@jit(fastmath=FLAGS)
def _mix(x):
    """Return a hash of 64 bits: SplitMix64's finaliser (Steele, Lea & Flood, 2014)."""
    x ^= x >> _SHIFT_30
    x *= _MIX_1
    x ^= x >> _SHIFT_27
    x *= _MIX_2
    return x ^ (x >> _SHIFT_31)


@jit()
def _ask_for_row(rows, row):
    """Ask for a row's features: their order is random, so nothing foretells them."""
    for k in range(rows.indptr[row], rows.indptr[row + 1], _LINE):
        prefetch(rows.indices, k)
        prefetch(rows.values, k)


@jit(fastmath=FLAGS)
def thin_rows(rows, order, start, stop, salt):
    """Return rows with a fifth or so of their features, as a function of salt and row number.

    Between one that is kept and the next, 0 to 7 are left out, each number as often.

    Parameters
    ----------
    rows : CSR
        Features.
    order : ndarray of int64
        Row numbers.
    start, stop : int
        Rows order[start] … order[stop − 1].
    salt : uint64
        Decides what is kept.

    Returns
    -------
    indptr, indices, values : ndarray
        The rows as CSR arrays; a row of which nothing would be left keeps everything.
    """
    longest = 0
    for i in range(start, stop):
        longest += rows.indptr[order[i] + 1] - rows.indptr[order[i]]
    indptr = np.zeros(stop - start + 1, np.int64)
    indices, values = np.empty(longest, np.int32), np.empty(longest, np.float32)
    n = 0
    for i in range(start, stop):
        row, before = order[i], n
        _ask_for_row(rows, order[min(i + 1, stop - 1)])
        first, last = rows.indptr[row], rows.indptr[row + 1]
        state = _mix(np.uint64(row) * _GOLDEN + salt)
        k = first + np.int64(state >> _SHIFT_61)
        while k < last:
            indices[n], values[n] = rows.indices[k], rows.values[k]
            n += 1
            state ^= state >> _SHIFT_12
            state ^= state << _SHIFT_25
            state ^= state >> _SHIFT_27
            k += 1 + np.int64((state * _STAR) >> _SHIFT_61)
        if n == before:
            for k in range(first, last):
                indices[n], values[n] = rows.indices[k], rows.values[k]
                n += 1
        indptr[i - start + 1] = n
    return indptr, indices[:n], values[:n]


@jit(fastmath=FLAGS)
def choose_blocks(scores, n_shared, out):
    """Write the shared blocks, and after them those of best score. Modified in place: out.

    Parameters
    ----------
    scores : ndarray of float32, shape (n_rows, n_choices)
        Of blocks n_shared, n_shared + 1, …; of equal ones the first are taken.
    n_shared : int
        Blocks 0 … n_shared − 1 are every row's.
    out : ndarray of uint16, shape (n_rows, n_active)
        Block numbers, ascending.
    """
    n_chosen = out.shape[1] - n_shared
    best = np.empty(n_chosen, np.float32)  # ascending
    for i in range(len(out)):
        for b in range(n_shared):
            out[i, b] = b
        if n_chosen == 0:
            continue
        best[:] = _LEAST
        for score in scores[i]:
            if score > best[0]:
                j = 0
                while j + 1 < n_chosen and best[j + 1] < score:
                    best[j] = best[j + 1]
                    j += 1
                best[j] = score
        n_equal = 0
        while n_equal < n_chosen and best[n_equal] == best[0]:
            n_equal += 1
        at = n_shared
        for b in range(scores.shape[1]):
            if scores[i, b] > best[0]:
                out[i, at] = n_shared + b
                at += 1
            elif n_equal > 0 and not scores[i, b] < best[0]:  # so that NaN leaves no gap
                out[i, at] = n_shared + b
                at += 1
                n_equal -= 1
