"""A trained model at work: tables to classes, a block of rows per thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets
from udt.featurizers.rows import RowEncoder
from udt.heads import DenseHead, Head, ManyHead
from udt.metrics import Predicted
from udt.stack import Stack, StackedHead
from udt.table import Table

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
Arrays = dict[str, npt.NDArray[Any]]
T = TypeVar("T")
Answering = Head | StackedHead

_BLOCK_ROWS = 8_192  # large enough to keep Python out of the way, small enough for the caches
_BLOCK_CELLS = 1 << 23  # probabilities of a block
_FEW_ROWS = 256  # not worth a second thread
_HEADS: dict[str, type[DenseHead] | type[ManyHead]] = {"dense": DenseHead, "many": ManyHead}


def _part(targets: Targets, rows: slice) -> Targets:
    """Return the classes of a range of rows."""
    indptr = targets.indptr[rows.start : rows.stop + 1]
    return Targets(indptr - indptr[0], targets.ids[indptr[0] : indptr[-1]])


def _stack(parts: Sequence[Targets]) -> Targets:
    """Put the classes of rows below each other."""
    if len(parts) == 1:
        return parts[0]
    counts = np.concatenate([np.zeros(1, np.int64), *(part.counts for part in parts)])
    return Targets(np.cumsum(counts), np.concatenate([part.ids for part in parts]))


@dataclass(frozen=True, eq=False)
class Predictor:
    """What a model needs to predict.

    Attributes
    ----------
    encoder : RowEncoder
        From tables to features.
    head : Head
        From features to classes.
    stack : Stack or None
        Trees that answer beside the network.
    """

    encoder: RowEncoder
    head: Head
    stack: Stack | None = None

    def _head(self, table: Table) -> Answering:
        """Return what answers for the rows of a table: the network, alone or with the trees."""
        return self.head if self.stack is None else self.stack.beside(self.head, table)

    def probas(self, table: Table, n_threads: int = 1) -> F32:
        """Return class probabilities, float32, shape (n_rows, n_classes).

        Parameters
        ----------
        table : Table
            Rows; columns that it lacks count as missing.
        n_threads : int
            Threads; the result does not depend on it.
        """
        if table.n_rows <= _FEW_ROWS:
            return self._head(table).probas(self.encoder.transform(table))
        out = np.empty((table.n_rows, self.head.n_classes), np.float32)

        def put(head: Answering, rows: CSR, where: slice) -> None:
            out[where] = head.probas(rows)

        self._blocks(table, put, n_threads)
        return out

    def top_k(self, table: Table, k: int, n_threads: int = 1) -> tuple[I32, F32]:
        """Return the k most probable classes of each row and their probabilities, descending.

        Returns
        -------
        ids : ndarray of int32, shape (n_rows, k)
            Classes.
        p : ndarray of float32, shape (n_rows, k)
            Their probabilities.
        """
        parts = self._blocks(table, lambda head, rows, _: head.top_k(rows, k), n_threads)
        ids, p = zip(*parts, strict=True)
        return np.concatenate(ids), np.concatenate(p)

    def label_sets(self, table: Table, n_threads: int = 1) -> Targets:
        """Return the predicted classes of each row, most probable first; at least one."""
        return _stack(self._blocks(table, lambda head, rows, _: head.label_sets(rows), n_threads))

    def sure_label_sets(self, table: Table, n_threads: int = 1) -> tuple[Targets, F32]:
        """Return the predicted classes of each row, and the probability of the first of them."""

        def sure(head: Answering, rows: CSR, _: slice) -> tuple[Targets, F32]:
            chosen = head.label_sets(rows)
            first = Targets(np.arange(rows.n_rows + 1), chosen.ids[chosen.indptr[:-1]])
            return chosen, head.predicted(rows, first).true_p

        sets, p = zip(*self._blocks(table, sure, n_threads), strict=True)
        return _stack(sets), np.concatenate(p)

    def predicted(self, table: Table, targets: Targets, n_threads: int = 1) -> Predicted:
        """Return what evaluation needs of the predictions.

        Parameters
        ----------
        table : Table
            Rows.
        targets : Targets
            Their true classes; −1 = unknown to the model.
        n_threads : int
            Threads.
        """
        parts = self._blocks(
            table,
            lambda head, rows, where: head.predicted(rows, _part(targets, where)),
            n_threads,
        )
        top, top_p, true_p, row_loss, chosen = zip(*parts, strict=True)
        return Predicted(
            np.concatenate(top),
            np.concatenate(top_p),
            np.concatenate(true_p),
            np.concatenate(row_loss),
            _stack(chosen),
        )

    def _blocks(
        self, table: Table, keep: Callable[[Answering, CSR, slice], T], n_threads: int
    ) -> list[T]:
        """Return what is made of each block of encoded rows and what answers for it, in order."""
        if table.n_rows <= _FEW_ROWS:
            whole = slice(0, table.n_rows)
            return [keep(self._head(table), self.encoder.transform(table), whole)]
        size = min(_BLOCK_ROWS, max(1, _BLOCK_CELLS // self.head.row_cells))
        parts = [
            slice(start, min(start + size, table.n_rows)) for start in range(0, table.n_rows, size)
        ]

        def block(rows: slice) -> T:
            part = table.slice(rows.start, rows.stop)
            return keep(self._head(part), self.encoder.transform(part), rows)

        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(block, parts))

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file keeps: JSON-able facts and named arrays."""
        columns, arrays = self.encoder.state()
        head, weights = self.head.state()
        stored = {f"rows.{name}": array for name, array in arrays.items()}
        stored |= {f"network.{name}": array for name, array in weights.items()}
        kind = next(name for name, head_type in _HEADS.items() if isinstance(self.head, head_type))
        meta: dict[str, Any] = {"columns": columns, "head": {"kind": kind, **head}}
        if self.stack is not None:
            meta["stack"], own = self.stack.state()
            stored |= {f"stack.{name}": array for name, array in own.items()}
        return meta, stored

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Arrays) -> Predictor:
        """Rebuild from `state`'s result."""
        parts: dict[str, Arrays] = {"rows": {}, "network": {}, "stack": {}}
        for name, array in arrays.items():
            part, key = name.split(".", 1)
            parts[part][key] = array
        head = _HEADS[meta["head"]["kind"]].from_state(meta["head"], parts["network"])
        stack = Stack.from_state(meta["stack"], parts["stack"]) if "stack" in meta else None
        return cls(RowEncoder.from_state(meta["columns"], parts["rows"]), head, stack)
