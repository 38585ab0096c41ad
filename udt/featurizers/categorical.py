"""Categorical and boolean columns: one feature per value."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.csr import CSR
from udt.featurizers.cells import distinct_strings, per_distinct, spell

MAX_VALUES = 20_000
"""The most frequent so many values have a feature of their own."""

_SMALL_TABLE_ROWS = 200

TRUE_SPELLINGS = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE_SPELLINGS = frozenset({"false", "f", "no", "n", "off", "0"})


def spell_boolean(cell: str) -> str | None:
    """Return ``"yes"`` or ``"no"`` for the usual spellings; others as `spell` does.

    Examples
    --------
    >>> spell_boolean("TRUE"), spell_boolean("0"), spell_boolean("maybe")
    ('yes', 'no', 'maybe')
    """
    spelled = spell(cell)
    if spelled is None:
        return None
    lower = spelled.lower()
    if lower in TRUE_SPELLINGS:
        return "yes"
    return "no" if lower in FALSE_SPELLINGS else spelled


@dataclass(frozen=True)
class CategoricalEncoder:
    """Turns each cell into one feature: its value, "rare or unknown", or "missing".

    Attributes
    ----------
    values : tuple of str
        Known values, frequent first; feature i is value i.
    boolean : bool
        Whether the usual spellings of yes and no are taken together.
    """

    values: tuple[str, ...]
    boolean: bool = False

    @classmethod
    def fit(cls, column: pa.Array, params: Mapping[str, Any]) -> CategoricalEncoder:
        """Keep the values seen at least twice (in a table below 200 rows: all of them).

        Parameters
        ----------
        column : pyarrow.Array
            Of any type.
        params : mapping
            ``boolean``: bool, optional.
        """
        boolean = bool(params.get("boolean", False))
        codes, strings = distinct_strings(column)
        seen = np.bincount(codes[codes >= 0], minlength=len(strings)).tolist()
        counts: dict[str, int] = {}
        for string, n in zip(strings, seen, strict=True):
            value = spell_boolean(string) if boolean else spell(string)
            if value is not None:
                counts[value] = counts.get(value, 0) + n
        min_rows = 2 if len(column) >= _SMALL_TABLE_ROWS else 1
        kept = sorted((-n, value) for value, n in counts.items() if n >= min_rows)
        return cls(tuple(value for _, value in kept[:MAX_VALUES]), boolean)

    @property
    def n_features(self) -> int:
        """Number of values, one for rare or unknown, one for missing."""
        return len(self.values) + 2

    @functools.cached_property
    def _features(self) -> dict[str | None, int]:
        features: dict[str | None, int] = {value: i for i, value in enumerate(self.values)}
        features[None] = len(self.values) + 1
        return features

    def transform(self, column: pa.Array) -> CSR:
        """Return each row's one feature."""
        known, unknown = self._features, len(self.values)
        to_value = spell_boolean if self.boolean else spell
        indices = per_distinct(
            column, lambda cell: known.get(to_value(cell), unknown), known[None], np.int32
        )
        n = len(indices)
        indptr = np.arange(n + 1, dtype=np.int64)
        return CSR(indptr, indices, np.ones(n, np.float32), self.n_features)

    def feature_names(self) -> list[str]:
        """Return ``"= red"`` and so on, in the features' order."""
        return [*(f"= {value}" for value in self.values), "rare or unknown", "missing"]

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON-able facts and arrays, for `from_state`."""
        return {"values": list(self.values), "boolean": self.boolean}, {}

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> CategoricalEncoder:
        """Rebuild from `state`'s result."""
        return cls(tuple(meta["values"]), meta["boolean"])
