"""A trained model at work: tables to probabilities, a block of rows per thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.engine.mix import Mix
from udt.engine.network import Network, pack, unpack
from udt.engine.train import predict
from udt.featurizers.rows import RowEncoder
from udt.table import Table

F32 = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

_BLOCK_ROWS = 8_192  # large enough to keep Python out of the way, small enough for the caches
_BLOCK_CELLS = 1 << 23  # probabilities of a block
_FEW_ROWS = 256  # not worth a second thread


@dataclass(frozen=True, eq=False)
class Predictor:
    """What a model needs to predict.

    Attributes
    ----------
    encoder : RowEncoder
        From tables to features.
    network : Network
        From features to the logits of both paths.
    mix : Mix
        From logits to probabilities.
    """

    encoder: RowEncoder
    network: Network
    mix: Mix

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
            return self._block(table)
        out = np.empty((table.n_rows, self.network.n_classes), np.float32)
        self._fill(table, out, lambda probas: probas, n_threads)
        return out

    def classes(self, table: Table, n_threads: int = 1) -> npt.NDArray[np.int64]:
        """Return the most probable class of each row, int64, shape (n_rows,).

        Probabilities are kept of a block of rows per thread, not of all rows: with many classes
        they would take more memory than the model.
        """
        if table.n_rows <= _FEW_ROWS:
            return np.asarray(self._block(table).argmax(axis=1))
        out = np.empty(table.n_rows, np.int64)
        self._fill(table, out, lambda probas: probas.argmax(axis=1), n_threads)
        return out

    def _fill(
        self,
        table: Table,
        out: npt.NDArray[Any],
        reduce: Callable[[F32], npt.NDArray[Any]],
        n_threads: int,
    ) -> None:
        """Write what is kept of each block's probabilities. Modified in place: out."""
        size = min(_BLOCK_ROWS, max(1, _BLOCK_CELLS // self.network.n_classes))

        def block(start: int) -> None:
            out[start : start + size] = reduce(self._block(table.slice(start, start + size)))

        with ThreadPoolExecutor(n_threads) as pool:
            for _ in pool.map(block, range(0, table.n_rows, size)):
                pass  # a block's exception is raised here

    def _block(self, table: Table) -> F32:
        return predict(self.network, self.encoder.transform(table), self.mix)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file keeps: JSON-able facts and named arrays."""
        columns, arrays = self.encoder.state()
        stored = {f"rows.{name}": array for name, array in arrays.items()}
        stored |= {f"network.{name}": array for name, array in pack(self.network).items()}
        return {"columns": columns, "mix": self.mix.to_dict()}, stored

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Arrays) -> Predictor:
        """Rebuild from `state`'s result."""
        parts: dict[str, Arrays] = {"rows": {}, "network": {}}
        for name, array in arrays.items():
            part, key = name.split(".", 1)
            parts[part][key] = array
        return cls(
            RowEncoder.from_state(meta["columns"], parts["rows"]),
            unpack(parts["network"]),
            Mix.from_dict(meta["mix"]),
        )
