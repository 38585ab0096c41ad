"""Columns held against each other and the labels: what says the same, what says too much."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.featurizers.cells import distinct_strings, spell
from udt.featurizers.numeric import parse_numbers
from udt.featurizers.schema import ColumnSchema, Schema
from udt.table import Table

I64 = npt.NDArray[np.int64]

_SAMPLE_ROWS = 10_000
_MAX_COLUMNS = 40
_MAX_BINS = 200
_ROWS_PER_VALUE = 5
_SAME = 0.99
_SAME_ORDER = 0.9999
_TIMES_BETTER = 10  # than saying what most rows have


def codes_of(column: pa.Array, described: ColumnSchema) -> I64:
    """Return a number for each row, the same for cells that say the same; missing cells too.

    Numbers that hardly repeat are put into bins of equally many rows.
    """
    if described.kind == "numeric":
        params: Mapping[str, Any] = described.params
        numbers = parse_numbers(column, params.get("decimal", "."), params.get("unit", ""))
        _, codes = np.unique(numbers, return_inverse=True)
        n_values = int(codes.max(initial=-1)) + 1
        n_bins = max(1, min(_MAX_BINS, len(codes) // (2 * _ROWS_PER_VALUE)))
        if n_values * _ROWS_PER_VALUE <= len(codes) or n_values <= n_bins:
            return codes.astype(np.int64)
        known = np.isfinite(numbers)
        if not known.any():
            return np.zeros(len(numbers), np.int64)
        edges = np.unique(np.quantile(numbers[known], np.arange(1, n_bins) / n_bins))
        return np.where(known, np.searchsorted(edges, numbers), -1).astype(np.int64) + 1
    rows, strings = distinct_strings(column)
    known_as: dict[str | None, int] = {None: 0}
    of_string = [known_as.setdefault(spell(s), len(known_as)) for s in strings]
    return np.array([*of_string, 0], np.int64)[rows]


def purity(values: I64, labels: I64) -> float:
    """Return the share of rows whose label is the most frequent one of their value.

    0 where values hardly repeat, because then each one has its own label by chance.

    Examples
    --------
    >>> purity(np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]), np.array([3, 3, 3, 3, 7, 7, 7, 7, 7, 7]))
    0.9
    """
    n_labels = int(labels.max(initial=0)) + 1
    pairs, counts = np.unique(values * n_labels + labels, return_counts=True)
    starts = np.flatnonzero(np.diff(pairs // n_labels, prepend=-1))
    if len(starts) * _ROWS_PER_VALUE > len(values):
        return 0.0
    return float(np.maximum.reduceat(counts, starts).sum() / len(values))


def tells(values: I64, labels: I64) -> float:
    """Return the purity if a column tells labels nearly for sure, and far better than chance; or 0.

    Far better: a tenth of the errors that saying the most frequent label makes.
    """
    majority = np.bincount(labels).max(initial=0) / max(1, len(labels))
    found = purity(values, labels)
    return found if found >= max(_SAME, 1 - (1 - majority) / _TIMES_BETTER) else 0.0


def same_columns(table: Table, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield pairs of used columns of which each tells the other, the later one second.

    Parameters
    ----------
    table : Table
        Rows; of many a random sample is looked at.
    schema : Schema
        Their columns; of very many the first are looked at.
    """
    used = schema.used()[:_MAX_COLUMNS]
    if table.n_rows > _SAMPLE_ROWS:
        rng = np.random.default_rng(0)
        table = table.take(np.sort(rng.choice(table.n_rows, _SAMPLE_ROWS, replace=False)))
    cells = {column.name: table.column(column.name) for column in used}
    codes = {column.name: codes_of(cells[column.name], column) for column in used}
    repeated: set[str] = set()
    for one, other in itertools.combinations(used, 2):
        if one.name in repeated or other.name in repeated:
            continue
        a, b = codes[one.name], codes[other.name]
        if min(a.max(initial=0), b.max(initial=0)) == 0:
            continue
        if one.kind == other.kind == "numeric":
            is_same = _same_order(cells[one.name], one, cells[other.name], other)
        else:
            is_same = _same_cells(a, b, cells[one.name], cells[other.name])
        if is_same:
            repeated.add(other.name)
            yield one.name, other.name


def _same_order(a: pa.Array, of_a: ColumnSchema, b: pa.Array, of_b: ColumnSchema) -> bool:
    """Say whether two columns of numbers rise and fall together, or against each other."""
    x, y = (
        parse_numbers(c, d.params.get("decimal", "."), d.params.get("unit", ""))
        for c, d in ((a, of_a), (b, of_b))
    )
    both = np.isfinite(x) & np.isfinite(y)
    either = np.isfinite(x) | np.isfinite(y)
    if both.sum() < max(2 * _ROWS_PER_VALUE, _SAME * either.sum()):
        return False
    ranks = np.array([np.unique(v[both], return_inverse=True)[1] for v in (x, y)], np.float64)
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.sqrt((ranks**2).sum(axis=1))
    if lengths.min() == 0:
        return False
    return bool(abs(ranks[0] @ ranks[1]) >= _SAME_ORDER * lengths.prod())  # Spearman's rho


def _same_cells(a: I64, b: I64, cells_a: pa.Array, cells_b: pa.Array) -> bool:
    """Say whether each column tells the other; of cells that hardly repeat, if they are equal."""
    if tells(a, b) and tells(b, a):
        return True
    if len(np.unique(a)) * _ROWS_PER_VALUE <= len(a):
        return False
    (rows_a, strings_a), (rows_b, strings_b) = distinct_strings(cells_a), distinct_strings(cells_b)
    spelled_a = np.array([*map(spell, strings_a), None], object)[rows_a]
    spelled_b = np.array([*map(spell, strings_b), None], object)[rows_b]
    return bool((spelled_a == spelled_b).mean() >= _SAME)
