"""Dense columns for trees: a few numbers for each column in place of many sparse features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.featurizers.categorical import CategoricalEncoder
from udt.featurizers.cells import as_strings
from udt.featurizers.dates import LAYOUTS, NO_DATE, parse_moments
from udt.featurizers.multivalue import EMPTY, SEPARATORS, split_items
from udt.featurizers.numeric import parse_numbers
from udt.featurizers.schema import ColumnSchema, Schema
from udt.featurizers.text import as_texts
from udt.table import Table

F64 = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]

DENSE_KINDS = ("categorical", "boolean", "numeric", "date", "multi")
"""Kinds of columns that trees can split by; where there are none, trees are not worth a try."""

MAX_CODES = 150
"""Categories of more values are told by what their rows' classes were, not by a code each."""

_MAX_STATISTIC_CLASSES = 10
_PRIOR_ROWS = 10.0  # as many rows of the whole table's classes are added to each value's own
_N_FOLDS = 5
_MISSING = np.nan


class DenseColumn(Protocol):
    """One column's cells to a few numbers."""

    @property
    def categorical(self) -> tuple[bool, ...]:
        """Which of the numbers are codes."""

    def transform(self, column: pa.Array) -> F64:
        """Return numbers, shape (n_rows, n_numbers); NaN = missing."""

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON-able facts and arrays."""

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`'s result."""


@dataclass(frozen=True)
class Numbers:
    """A number as it is; infinities count as missing.

    Attributes
    ----------
    decimal, unit : str
        How numbers are written where the column holds strings.
    """

    decimal: str = "."
    unit: str = ""

    categorical = (False,)

    def transform(self, column: pa.Array) -> F64:
        """Return the numbers."""
        numbers = parse_numbers(column, self.decimal, self.unit)
        return np.where(np.isfinite(numbers), numbers, _MISSING)[:, None]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON-able facts and no arrays."""
        return {"decimal": self.decimal, "unit": self.unit}, {}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Numbers:
        """Rebuild from `state`'s result."""
        return cls(meta["decimal"], meta["unit"])


@dataclass(frozen=True)
class Dates:
    """A date's day since 1970, day of the year, weekday and hour.

    Attributes
    ----------
    layout : str
        How dates are written where the column holds strings.
    """

    layout: str

    categorical = (False, False, False, False)

    def transform(self, column: pa.Array) -> F64:
        """Return the four numbers."""
        days, hours = parse_moments(column, self.layout)
        missing = days == NO_DATE
        dates = np.where(missing, 0, days).astype("datetime64[D]")
        of_year = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
        weekday = (dates.astype(np.int64) + 3) % 7
        numbers = np.stack([days, of_year, weekday, hours], axis=1).astype(np.float64)
        numbers[missing] = _MISSING
        numbers[hours < 0, 3] = _MISSING
        return numbers

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON-able facts and no arrays."""
        return {"layout": self.layout}, {}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Dates:
        """Rebuild from `state`'s result."""
        return cls(meta["layout"])


@dataclass(frozen=True)
class Sizes:
    """How much a cell holds: bytes of a text, items of a list.

    The network scales a row's features to a fixed length, and so does not know.

    Attributes
    ----------
    separator : str
        Between two items; empty = bytes are counted.
    """

    separator: str = ""

    categorical = (False,)

    def transform(self, column: pa.Array) -> F64:
        """Return the sizes; missing where there is nothing."""
        if self.separator:
            offsets, codes, _ = split_items(column, self.separator)
            sizes = np.add.reduceat(codes != EMPTY, offsets[:-1], dtype=np.int64)
        else:
            sizes = np.diff(as_texts(as_strings(column)).offsets)
        return np.where(sizes > 0, sizes, _MISSING).astype(np.float64)[:, None]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON-able facts and no arrays."""
        return {"separator": self.separator}, {}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Sizes:
        """Rebuild from `state`'s result."""
        return cls(meta["separator"])


@dataclass(frozen=True)
class Codes:
    """A category's code, the most frequent one first; rare and unknown ones share one.

    Attributes
    ----------
    values : CategoricalEncoder
        The known values.
    """

    values: CategoricalEncoder

    categorical = (True,)

    def transform(self, column: pa.Array) -> F64:
        """Return the codes."""
        codes = self.values.transform(column).indices.astype(np.float64)
        codes[codes == len(self.values.values) + 1] = _MISSING
        return codes[:, None]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON-able facts and no arrays."""
        return self.values.state()

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Codes:
        """Rebuild from `state`'s result."""
        return cls(CategoricalEncoder.from_state(meta, arrays))


@dataclass(frozen=True)
class Statistics:
    """A category told by its rows: their number, and the smoothed shares of their classes.

    Attributes
    ----------
    values : CategoricalEncoder
        The known values.
    table : ndarray of float32, shape (n_values + 2, n_numbers)
        Numbers of each value, of rare or unknown ones, and of missing ones.
    """

    values: CategoricalEncoder
    table: npt.NDArray[np.float32]

    @property
    def categorical(self) -> tuple[bool, ...]:
        """None are codes."""
        return (False,) * int(self.table.shape[1])

    def transform(self, column: pa.Array) -> F64:
        """Return the numbers."""
        return self.table[self.values.transform(column).indices].astype(np.float64)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON-able facts and the table."""
        meta, _ = self.values.state()
        return meta, {"table": self.table}

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> Statistics:
        """Rebuild from `state`'s result."""
        return cls(CategoricalEncoder.from_state(meta, arrays), arrays["table"])


_COLUMNS: dict[str, Any] = {c.__name__: c for c in (Numbers, Dates, Sizes, Codes, Statistics)}


def class_statistics(
    codes: npt.NDArray[np.int32], y: npt.NDArray[np.int32], n_values: int, n_classes: int
) -> npt.NDArray[np.float32]:
    """Return each value's number of rows and the shares of their classes.

    Shares are smoothed towards those of all rows: ``(n_vc + m · p_c) / (n_v + m)``, m = 10
    (the m-estimate of Micci-Barreca, 2001). Of two classes one share says all; of more than ten
    classes none is told.

    Parameters
    ----------
    codes : ndarray of int32, shape (n_rows,)
        Values, below n_values.
    y : ndarray of int32, shape (n_rows,)
        Classes.
    n_values, n_classes : int
        How many there are.

    Returns
    -------
    ndarray of float32, shape (n_values, 1 + n_shares)

    Examples
    --------
    >>> counts = class_statistics(np.array([0, 0, 1]), np.array([1, 1, 0]), 2, 2)[:, 0]
    >>> counts.tolist()
    [2.0, 1.0]
    """
    counts = np.bincount(codes, minlength=n_values).astype(np.float64)
    if n_classes > _MAX_STATISTIC_CLASSES:
        return counts.astype(np.float32)[:, None]
    pairs = np.bincount(codes * n_classes + y, minlength=n_values * n_classes)
    prior = np.bincount(y, minlength=n_classes) / max(1, len(y))
    shares = pairs.reshape(n_values, n_classes) + _PRIOR_ROWS * prior
    shares = (shares / (counts[:, None] + _PRIOR_ROWS))[:, int(n_classes == 2) :]
    return np.concatenate([counts[:, None], shares], axis=1).astype(np.float32)


@dataclass(frozen=True)
class DenseEncoder:
    """Turns a table's rows into numbers for trees.

    Attributes
    ----------
    columns : tuple of (str, DenseColumn)
        The table's columns by name, and what is made of each.
    """

    columns: tuple[tuple[str, Any], ...]

    @property
    def categorical(self) -> npt.NDArray[np.bool_]:
        """Which of the numbers are codes, shape (n_numbers,)."""
        return np.array([c for _, column in self.columns for c in column.categorical], bool)

    def transform(self, table: Table) -> F64:
        """Return the numbers, shape (n_rows, n_numbers); columns that lack count as missing."""
        return np.concatenate(
            [column.transform(_cells(table, name)) for name, column in self.columns], axis=1
        )

    def state(self) -> tuple[list[dict[str, Any]], Arrays]:
        """Return what a model file keeps: JSON-able facts per column and named arrays."""
        metas, arrays = [], Arrays()
        for i, (name, column) in enumerate(self.columns):
            meta, own = column.state()
            metas.append({"name": name, "type": type(column).__name__, **meta})
            arrays |= {f"column_{i}.{key}": array for key, array in own.items()}
        return metas, arrays

    @classmethod
    def from_state(cls, metas: Sequence[Mapping[str, Any]], arrays: Arrays) -> DenseEncoder:
        """Rebuild from `state`'s result."""
        columns = []
        for i, meta in enumerate(metas):
            prefix = f"column_{i}."
            own = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
            columns.append((meta["name"], _COLUMNS[meta["type"]].from_state(meta, own)))
        return cls(tuple(columns))


def _cells(table: Table, name: str) -> pa.Array:
    return table.column(name) if name in table else pa.nulls(table.n_rows, pa.large_string())


def has_dense(schema: Schema) -> bool:
    """Say whether trees have anything to split by."""
    return any(column.kind in DENSE_KINDS for column in schema.used())


def fit_dense(
    table: Table,
    schema: Schema,
    y: npt.NDArray[np.int32],
    n_classes: int,
    which: npt.NDArray[np.int64],
    seed: int = 0,
) -> tuple[DenseEncoder, F64]:
    """Return the encoder learned from some rows, and the numbers of all.

    Parameters
    ----------
    table : Table
        Rows.
    schema : Schema
        Their columns.
    y : ndarray of int32, shape (n_rows,)
        Classes; only those of `which` are looked at.
    n_classes : int
        How many there are.
    which : ndarray of int64
        Rows to learn from.
    seed : int
        Of the folds: class statistics of a row that is learned from are made without it, or
        trees would take them for the class itself.

    Returns
    -------
    encoder : DenseEncoder
        For other rows.
    x : ndarray of float64, shape (n_rows, n_numbers)
        The rows of `which` as they are to be learned from, all others as the encoder sees them.
    """
    fold = np.random.default_rng(seed).permutation(len(which)) % _N_FOLDS
    columns, blocks = [], []
    for described in schema.used():
        cells = _cells(table, described.name)
        column = _fit_column(described, cells.take(pa.array(which)))
        if isinstance(column, CategoricalEncoder):
            codes = column.transform(cells).indices
            n_values = column.n_features
            numbers = class_statistics(codes[which], y[which], n_values, n_classes)
            block = numbers[codes]
            for k in range(_N_FOLDS):
                own, others = which[fold == k], which[fold != k]
                block[own] = class_statistics(codes[others], y[others], n_values, n_classes)[
                    codes[own]
                ]
            blocks.append(block.astype(np.float64))
            columns.append((described.name, Statistics(column, numbers)))
        else:
            blocks.append(column.transform(cells))
            columns.append((described.name, column))
    return DenseEncoder(tuple(columns)), np.concatenate(blocks, axis=1)


def _fit_column(column: ColumnSchema, cells: pa.Array) -> Any:
    """Return what to make of a column; of many categories the encoder of their values."""
    params = column.params
    if column.kind == "numeric":
        return Numbers(params.get("decimal", "."), params.get("unit", ""))
    if column.kind == "date":
        return Dates(params.get("layout", LAYOUTS[0]))
    if column.kind == "multi":
        return Sizes(params.get("separator", SEPARATORS[0]))
    if column.kind == "text":
        return Sizes()
    values = CategoricalEncoder.fit(cells, params)
    return values if len(values.values) > MAX_CODES else Codes(values)
