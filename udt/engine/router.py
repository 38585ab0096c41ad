"""A learned router: a linear gate that says which blocks of neurons are of use to a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from udt._jit import jit
from udt.csr import CSR
from udt.engine.network import Network

F32 = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]
Order = npt.NDArray[np.int64]
Active = npt.NDArray[np.uint16]

FLAGS = {"reassoc", "contract", "arcp", "nsz", "afn"}
ZERO, ONE = np.float32(0), np.float32(1)
_GATE_RATE, _BALANCE_RATE = np.float32(0.5), np.float32(0.02)


class Router:
    """A linear gate over the blocks, learned from how useful they turn out to be.

    The score of block b is ``balance[b] + Σ_f v_f · gate[f, b]``. It follows, by least squares,
    the block's gain divided by the mean gain of the row's blocks, less 1. A block's balance falls
    while more rows choose it than its share and rises while fewer do, so that no block starves
    (Wang et al., 2024, "Auxiliary-loss-free load balancing strategy for mixture-of-experts").
    """

    wants_feedback = True

    def __init__(self, n_features: int, n_choices: int, seed: int) -> None:
        self._seed = seed
        self.gate = np.zeros((n_features, n_choices), np.float32)
        self.balance = np.zeros(n_choices, np.float32)

    def on_epoch(self, network: Network, first: int, epoch: int) -> None:
        """Forget everything before a new training."""
        if epoch == 0:
            rng = np.random.default_rng(self._seed)
            self.gate[...] = rng.standard_normal(self.gate.shape, np.float32)
            self.balance[...] = 0

    def score(self, rows: CSR, order: Order, start: int, stop: int, scores: F32) -> None:
        """Fill scores from the gate."""
        sum_gates(rows, order, start, stop, self.gate, self.balance, scores)

    def learn(self, rows: CSR, active: Active, gain: F32, n_shared: int) -> None:
        """Move the gate, then the balance."""
        move_gates(rows, active, gain, n_shared, self.gate)
        n_choices = len(self.balance)
        chosen = active[:, n_shared:].ravel() - n_shared
        load = np.bincount(chosen, minlength=n_choices) * (n_choices / len(chosen))
        self.balance += _BALANCE_RATE * (1 - load).astype(np.float32)

    def arrays(self) -> Arrays:
        """Return the gate and the balance."""
        return {"gate": self.gate, "balance": self.balance}

    def restore(self, arrays: Arrays) -> None:
        """Take over what `arrays` has returned."""
        self.gate[...] = arrays["gate"]
        self.balance[...] = arrays["balance"]


@jit(fastmath=FLAGS)
def sum_gates(rows, order, start, stop, gate, balance, scores):
    """Score blocks by the gate. Modified in place: scores.

    Parameters
    ----------
    rows : CSR
        Features.
    order : ndarray of int64
        Row numbers.
    start, stop : int
        Rows order[start] … order[stop − 1].
    gate : ndarray of float32, shape (n_features, n_choices)
        What each feature says of each block.
    balance : ndarray of float32, shape (n_choices,)
        What every row says of them.
    scores : ndarray of float32, shape (stop − start, n_choices)
        The sums.
    """
    for i in range(stop - start):
        row, sums = order[start + i], scores[i]
        sums[:] = balance
        for k in range(rows.indptr[row], rows.indptr[row + 1]):
            v, says = rows.values[k], gate[np.uint32(rows.indices[k])]
            for b in range(len(sums)):
                sums[b] += v * says[b]


@jit(fastmath=FLAGS)
def move_gates(rows, active, gain, n_shared, gate):
    """Take a step of normalised least mean squares for each chosen block. Modified in place: gate.

    Parameters
    ----------
    rows : CSR
        What scores saw of the rows.
    active : ndarray of uint16, shape (n_rows, n_active)
        The rows' blocks, of which the first n_shared were not chosen.
    gain : ndarray of float32, shape (n_rows, n_active)
        How useful each was; rows of zeros teach nothing.
    n_shared : int
        Number of shared blocks.
    gate : ndarray of float32, shape (n_features, n_choices)
        As in `sum_gates`.
    """
    n_active = active.shape[1]
    for i in range(len(active)):
        first, last = rows.indptr[i], rows.indptr[i + 1]
        total, square = ZERO, ZERO
        for j in range(n_active):
            total += gain[i, j]
        for k in range(first, last):
            square += rows.values[k] * rows.values[k]
        if not (total > ZERO and square > ZERO):
            continue
        for j in range(n_shared, n_active):
            b = np.int64(active[i, j]) - n_shared
            error = gain[i, j] * np.float32(n_active) / total - ONE
            for k in range(first, last):
                error -= rows.values[k] * gate[rows.indices[k], b]
            step = _GATE_RATE * error / square
            for k in range(first, last):
                gate[rows.indices[k], b] += step * rows.values[k]
