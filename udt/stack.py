"""Trees beside the network: what a model keeps of them, and how both answers become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets
from udt.engine.mix import softmax
from udt.engine.trees import Trees, log_odds
from udt.featurizers.dense import DenseEncoder
from udt.heads import Head, label_sets, summarise, top_k
from udt.metrics import Predicted
from udt.table import Table

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
Arrays = dict[str, npt.NDArray[Any]]

_SMALLEST = np.float32(1e-7)


def pool(probas: F32, z_trees: F32, share: float, temperature: float) -> F32:
    """Return the probabilities of both: a logarithmic opinion pool (Genest and Zidek, 1986).

    ``p ∝ exp(((1 − share) · log p_network + share · log p_trees) / temperature)``

    Parameters
    ----------
    probas : ndarray of float32, shape (n_rows, n_classes)
        The network's.
    z_trees : ndarray of float32, shape (n_rows, n_classes)
        Logits of the trees.
    share : float
        Of the trees, 0 to 1.
    temperature : float
        Above 1 = less sure.

    Examples
    --------
    >>> p = np.array([[0.2, 0.8]], np.float32)
    >>> pool(p, np.zeros((1, 2), np.float32), 0.0, 1.0).round(3).tolist()
    [[0.20000000298023224, 0.800000011920929]]
    """
    z = np.log(np.maximum(probas, _SMALLEST)) * np.float32(1 - share)
    z += np.log(np.maximum(softmax(z_trees), _SMALLEST)) * np.float32(share)
    return softmax(z, temperature)


@dataclass(frozen=True, eq=False)
class Stack:
    """Trees and their say.

    Attributes
    ----------
    encoder : DenseEncoder
        From tables to numbers.
    trees : Trees
        From numbers to log-odds.
    n_classes : int
        Number of classes.
    share, temperature : float
        See `pool`.
    """

    encoder: DenseEncoder
    trees: Trees
    n_classes: int
    share: float
    temperature: float

    def beside(self, head: Head, table: Table) -> StackedHead:
        """Return a head for the rows of a table."""
        z = log_odds(self.trees, self.encoder.transform(table), self.n_classes)
        return StackedHead(head, self, z)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file keeps: JSON-able facts and named arrays."""
        columns, arrays = self.encoder.state()
        arrays |= {f"trees.{name}": array for name, array in self.trees._asdict().items()}
        numbers = ("n_classes", "share", "temperature")
        return {"columns": columns, **{name: getattr(self, name) for name in numbers}}, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Arrays) -> Stack:
        """Rebuild from `state`'s result."""
        trees = Trees(**{name: arrays[f"trees.{name}"] for name in Trees._fields})
        encoder = DenseEncoder.from_state(meta["columns"], arrays)
        return cls(encoder, trees, meta["n_classes"], meta["share"], meta["temperature"])


@dataclass(frozen=True, eq=False)
class StackedHead:
    """A network and what the trees say of the rows that it is about to predict.

    Attributes
    ----------
    head : Head
        The network, scoring every class; one class a row.
    stack : Stack
        The trees.
    z : ndarray of float32, shape (n_rows, n_classes)
        Their logits of these rows.
    """

    head: Head
    stack: Stack
    z: F32

    def probas(self, rows: CSR) -> F32:
        """Return all probabilities, shape (n_rows, n_classes)."""
        return pool(self.head.probas(rows), self.z, self.stack.share, self.stack.temperature)

    def top_k(self, rows: CSR, k: int) -> tuple[I32, F32]:
        """Return the k most probable classes of each row and their probabilities, descending."""
        return top_k(self.probas(rows), k)

    def label_sets(self, rows: CSR) -> Targets:
        """Return the predicted class of each row."""
        return label_sets(self.probas(rows), self.head.thresholds, self.head.factors)

    def predicted(self, rows: CSR, targets: Targets) -> Predicted:
        """Return what evaluation needs; targets may hold −1 = unknown to the model."""
        return summarise(self.probas(rows), targets, self.head.thresholds, self.head.factors)
