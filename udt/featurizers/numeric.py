"""Numeric columns: soft bins, so that a linear model over them is piecewise linear."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.csr import CSR
from udt.featurizers.cells import per_distinct, rows_from_slots

MIN_KNOTS, MAX_KNOTS, ROWS_PER_KNOT = 8, 32, 256
"""One knot for every 256 rows, within these bounds: more overfit a small table."""

_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))

_CURRENCY = r"US\$|USD|EUR|GBP|JPY|CNY|INR|KRW|CHF|CAD|AUD|BRL|[$€£¥₹₩]"
_DECORATED = re.compile(
    rf"([-+]?)\s*({_CURRENCY})?\s*([-+]?)(?!0\d)"
    r"(\d{1,3}(?:[,'\u2019 \u00a0\u202f]\d{3})+(?:\.\d*)?|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    rf"\s*({_CURRENCY}|[%‰°]|[^\W\d_][^\d\s]{{0,7}})?"
)
_GROUPING = str.maketrans("", "", ",'\u2019 \u00a0\u202f")
_SWAP_COMMA = str.maketrans(",.", ".,")


def split_number(cell: str, decimal: str) -> tuple[float, str] | None:
    """Return a written number and its unit ("" if none); None if the cell is no number.

    Parameters
    ----------
    cell : str
        E.g. ``"-2"``, ``"1e5"``, ``"$1,200"``, ``"12 %"``, ``"3.5 kg"``.
    decimal : str
        ``"."`` or ``","``: the decimal sign; the other one groups thousands.

    Examples
    --------
    >>> split_number("$1,200.50", "."), split_number("3,5 kg", ","), split_number("v2", ".")
    ((1200.5, '$'), (3.5, 'kg'), None)
    """
    if decimal == ",":
        cell = cell.translate(_SWAP_COMMA)
    try:
        return float(cell), ""
    except ValueError:
        match = _DECORATED.fullmatch(cell.strip())
    if match is None:
        return None
    sign, before, inner_sign, digits, after = match.groups()
    if (before and after) or (sign and inner_sign):
        return None
    value = float(digits.translate(_GROUPING))
    return (-value if "-" in (sign, inner_sign) else value), (before or after or "")


def guess_style(cells: Iterable[str]) -> tuple[dict[str, str], float]:
    """Find the decimal sign and the one unit with which most cells are numbers.

    Returns
    -------
    params : dict
        ``{"decimal": "." or ",", "unit": str}``, for `NumericEncoder.fit`.
    share : float
        Fraction of the cells that are numbers with that unit or without one.
    """
    cells = list(cells)
    best: tuple[dict[str, str], float] = ({"decimal": ".", "unit": ""}, 0.0)
    for decimal in (".", ","):
        units: dict[str, int] = {}
        for cell in cells:
            number = split_number(cell, decimal)
            if number is not None:
                units[number[1]] = units.get(number[1], 0) + 1
        bare = units.pop("", 0)
        unit, n = min(units.items(), key=lambda u: (-u[1], u[0]), default=("", 0))
        share = (bare + n) / max(len(cells), 1)
        if share > best[1]:
            best = {"decimal": decimal, "unit": unit}, share
    return best


def is_number(kind: pa.DataType) -> bool:
    """Say whether an Arrow type is one of numbers."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def parse_numbers(column: pa.Array, decimal: str = ".", unit: str = "") -> npt.NDArray[np.float64]:
    """Return a column of any type as numbers; NaN where a cell is missing or is no number.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
    """
    string = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    bare = string and decimal == "." and not unit
    if bare or is_number(column.type) or pa.types.is_boolean(column.type):
        try:
            numbers = column.cast(pa.float64(), safe=False)
            return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)
        except pa.ArrowInvalid:
            pass  # some cell is not a bare number: each distinct one is looked at

    def parse(cell: str) -> float:
        number = split_number(cell, decimal)
        return number[0] if number is not None and number[1] in ("", unit) else math.nan

    return per_distinct(column, parse, math.nan, np.float64)


def choose_knots(numbers: npt.NDArray[np.float64], n_knots: int) -> npt.NDArray[np.float64]:
    """Return at most n_knots values that describe a distribution, rising.

    A value that fills a knot's share of the rows on its own gets one; the others are the
    quantiles of the rest. So the tail of a column that is mostly zero is still resolved.
    """
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) <= n_knots:
        return values
    heavy = counts * n_knots > len(numbers)
    rest = np.repeat(values[~heavy], counts[~heavy])
    n_rest = n_knots - int(heavy.sum())
    quantiles = rest[((np.arange(n_rest) + 0.5) / n_rest * len(rest)).astype(np.int64)]
    return np.union1d(values[heavy], quantiles)


def _short(number: float) -> str:
    return f"{number:.6g}"


@dataclass(frozen=True)
class NumericEncoder:
    """Turns numbers into weights of neighbouring knots.

    A number between two knots has both as features, by linear interpolation, so the weights sum
    to 1; beyond the ends it is the end. The last feature stands for a missing number.

    Attributes
    ----------
    knots : ndarray of float64, shape (n_features - 1,)
        Rising, at least one.
    exact : bool
        Whether the knots are all the values that were seen.
    decimal, unit : str
        How numbers are written where the column holds strings.
    """

    knots: npt.NDArray[np.float64]
    exact: bool
    decimal: str = "."
    unit: str = ""

    @classmethod
    def fit(cls, column: pa.Array, params: Mapping[str, Any]) -> NumericEncoder:
        """Choose the knots; params: ``decimal`` and ``unit``, both optional."""
        decimal, unit = params.get("decimal", "."), params.get("unit", "")
        return cls.of_numbers(parse_numbers(column, decimal, unit), decimal, unit)

    @classmethod
    def of_numbers(
        cls, numbers: npt.NDArray[np.float64], decimal: str = ".", unit: str = ""
    ) -> NumericEncoder:
        """Choose the knots for numbers that are already parsed."""
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers) == 0:
            return cls(np.zeros(1), False, decimal, unit)
        n_knots = min(max(len(numbers) // ROWS_PER_KNOT, MIN_KNOTS), MAX_KNOTS)
        knots = choose_knots(numbers, n_knots)
        return cls(knots, bool(np.isin(numbers, knots).all()), decimal, unit)

    @property
    def n_features(self) -> int:
        """Number of knots, and one for missing."""
        return len(self.knots) + 1

    def transform(self, column: pa.Array) -> CSR:
        """Return each row's one or two features."""
        return self.encode(parse_numbers(column, self.decimal, self.unit))

    def encode(self, numbers: npt.NDArray[np.float64]) -> CSR:
        """Return the features of numbers that are already parsed; NaN = missing."""
        left, weight = self.neighbours(numbers)
        ids = np.stack([left, np.where(weight > 0, left + 1, -1)], axis=1)
        values = np.stack([1 - weight, weight], axis=1)
        return rows_from_slots(ids, values, self.n_features)

    def neighbours(
        self, numbers: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return (lower knot's feature, weight in [0, 1) of the next one) for each number."""
        position = np.interp(numbers, self.knots, self._ranks)
        # numpy gives a lone knot to NaN as well, and NaN between knots 1e308 apart
        position[np.isnan(numbers) | np.isnan(position)] = len(self.knots)
        left = position.astype(np.int32)
        return left, np.minimum((position - left).astype(np.float32), _BELOW_ONE)

    @functools.cached_property
    def _ranks(self) -> npt.NDArray[np.float64]:
        return np.arange(len(self.knots), dtype=np.float64)

    def feature_names(self) -> list[str]:
        """Return ``"= 3"`` for a value, ``"17.5 … 21"`` for the range around a knot."""
        if self.exact:
            names = [f"= {_short(k)}" for k in self.knots]
        else:
            edges = [_short(e) for e in self.knots[1:] / 2 + self.knots[:-1] / 2]
            inner = [f"{lo} … {hi}" for lo, hi in itertools.pairwise(edges)]
            names = [f"≤ {edges[0]}", *inner, f"≥ {edges[-1]}"] if edges else ["any number"]
        return [*names, "missing"]

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON-able facts and arrays, for `from_state`."""
        meta = {"exact": self.exact, "decimal": self.decimal, "unit": self.unit}
        return meta, {"knots": self.knots}

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> NumericEncoder:
        """Rebuild from `state`'s result."""
        return cls(arrays["knots"], meta["exact"], meta["decimal"], meta["unit"])
