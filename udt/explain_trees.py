"""What each column adds to what the trees say: Shapley values over columns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from udt.engine.logits import Trees
from udt.engine.trees import log_odds
from udt.featurizers.cells import as_strings
from udt.featurizers.dense import Sizes
from udt.featurizers.rows import cells_of
from udt.stack import Stack
from udt.table import Table

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
ColumnParts = tuple[str, str | None, F64]

_ALL_ORDERS = 5  # columns up to which every order is walked: 120
_N_ORDERS = 16


class TreeParts(NamedTuple):
    """What the trees' columns add.

    Attributes
    ----------
    names, cells : list
        Columns, and what they hold; the length of a text.
    before : ndarray of float64, shape (n_classes,)
        Logits of an empty row.
    adds : ndarray of float64, shape (n_columns, n_classes)
        What each column adds to them.
    """

    names: list[str]
    cells: list[str | None]
    before: F64
    adds: F64

    def pool(self, stack: Stack) -> Trees:
        """Return what the network is pooled with."""
        after = self.before + self.adds.sum(axis=0)
        return Trees(stack.share, stack.temperature, self.before, after)

    def add_to(self, columns: Sequence[ColumnParts], slopes: F64) -> list[ColumnParts]:
        """Return what columns add to logits, with what the trees add.

        Parameters
        ----------
        columns : sequence of ColumnParts
            What they add in the network.
        slopes : ndarray of float64, shape (n_asked, n_classes)
            What a unit in the trees' logits adds to each logit.
        """
        adds = dict(zip(self.names, self.adds @ slopes.T, strict=True))
        cells = dict(zip(self.names, self.cells, strict=True))
        found = [(name, cell, own + adds.pop(name, 0.0)) for name, cell, own in columns]
        return found + [(name, cells[name], own) for name, own in adds.items()]


def of_trees(stack: Stack, table: Table) -> TreeParts:
    """Return what each column of one row adds to the trees' logits.

    The row's columns are put into an empty row one after another; what each changes, in the mean
    over orders, is its Shapley value. Every order is walked where columns are few, else
    `_N_ORDERS` of them, each also backwards (Štrumbelj and Kononenko, 2014). Whatever the orders,
    the values sum to the difference between the row and an empty one.
    """
    names = [name for name, _ in stack.encoder.columns]
    whole = stack.encoder.transform(table)
    nothing = stack.encoder.transform(table.drop(*names))
    owner = np.repeat(np.arange(len(names)), [len(c.categorical) for _, c in stack.encoder.columns])
    orders = _orders(len(names))
    ranks = np.argsort(orders, axis=1)
    there = ranks[:, None, :] < np.arange(len(names) + 1)[None, :, None]
    flat = there.reshape(-1, len(names))
    masks, which = np.unique(flat, axis=0, return_inverse=True)
    z = log_odds(stack.trees, np.where(masks[:, owner], whole, nothing), stack.n_classes)
    walked = z.astype(np.float64)[which.reshape(there.shape[:2])]
    adds = np.zeros((len(names), stack.n_classes))
    np.add.at(adds, orders, np.diff(walked, axis=1))
    cells = [_cell(table, name, stack) for name in names]
    return TreeParts(names, cells, walked[0, 0], adds / len(orders))


def _orders(n: int) -> I64:
    """Return orders of n columns, shape (n_orders, n)."""
    if n <= _ALL_ORDERS:
        return np.array(list(itertools.permutations(range(n))), np.int64)
    rng = np.random.default_rng(0)
    forward = np.array([rng.permutation(n) for _ in range(_N_ORDERS)])
    return np.concatenate([forward, forward[:, ::-1]])


def _cell(table: Table, name: str, stack: Stack) -> str | None:
    """Return a cell as it is written; of a text, whose words the trees do not see, its length."""
    cell: str | None = as_strings(cells_of(table, name)).to_pylist()[0]
    if cell is None or not any(of == name and _is_text(c) for of, c in stack.encoder.columns):
        return cell
    return f"{len(cell.encode()):,} bytes"


def _is_text(column: object) -> bool:
    return isinstance(column, Sizes) and not column.separator
