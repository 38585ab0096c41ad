"""Multi-value columns, e.g. ``"Action|Comedy"``: one feature per item."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt.csr import CSR
from udt.featurizers.cells import MISSING_SPELLINGS, as_strings, distinct_strings

SEPARATORS = ("|", ";", ",", "/")
"""Tried in this order."""

MAX_ITEMS = 50_000
"""The most frequent so many items have a feature."""

EMPTY, UNKNOWN = -1, -2
"""Codes of a piece without an item, and of an item that training did not keep."""

_DECORATION = " \t\r\n[]{}\"'"
_MIN_ROWS = 2


def split_items(
    column: pa.Array, separator: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], list[str]]:
    """Split every cell; blanks, quotes and brackets around an item do not belong to it.

    Returns
    -------
    offsets : ndarray of int64, shape (n_rows + 1,)
        Row r's items are ``codes[offsets[r]:offsets[r + 1]]``; every row has at least one.
    codes : ndarray of int32
        Positions in items; `EMPTY` where trimming leaves nothing, or a spelling of "missing".
    items : list of str
        Distinct items, trimmed.
    """
    cells = as_strings(column)
    if cells.null_count:
        cells = cells.fill_null("")
    parts = pc.split_pattern(cells, separator)
    offsets = parts.offsets.to_numpy().astype(np.int64)
    codes, pieces = distinct_strings(parts.flatten())
    positions: dict[str, int] = {}
    of_piece = np.empty(len(pieces), np.int32)
    for i, piece in enumerate(pieces):
        item = piece.strip(_DECORATION)
        missing = item.lower() in MISSING_SPELLINGS
        of_piece[i] = EMPTY if missing else positions.setdefault(item, len(positions))
    return offsets, of_piece[codes], list(positions)


@dataclass(frozen=True)
class MultiValueEncoder:
    """Turns a cell into the set of its known items, scaled to length 1.

    An item of k in the row weighs 1/√k; one that stands twice in a cell counts twice. The last
    feature stands for a cell without any item; a cell of unknown items has no feature.

    Attributes
    ----------
    items : tuple of str
        Known items, frequent first; feature i is item i.
    separator : str
        Between two items.
    """

    items: tuple[str, ...]
    separator: str

    @classmethod
    def fit(cls, column: pa.Array, params: Mapping[str, Any]) -> MultiValueEncoder:
        """Keep the items seen at least twice; params: ``separator``."""
        separator = params.get("separator", SEPARATORS[0])
        _, codes, items = split_items(column, separator)
        counts = np.bincount(codes[codes != EMPTY], minlength=len(items)).tolist()
        seen = zip(items, counts, strict=True)
        kept = sorted((-n, item) for item, n in seen if n >= _MIN_ROWS)
        return cls(tuple(item for _, item in kept[:MAX_ITEMS]), separator)

    @property
    def n_features(self) -> int:
        """Number of items, and one for missing."""
        return len(self.items) + 1

    @functools.cached_property
    def _features(self) -> dict[str, int]:
        return {item: i for i, item in enumerate(self.items)}

    def transform(self, column: pa.Array) -> CSR:
        """Return each row's known items."""
        offsets, codes, items = split_items(column, self.separator)
        known = self._features
        of_item = np.array([*(known.get(item, UNKNOWN) for item in items), EMPTY], np.int32)
        features = of_item[codes]  # EMPTY is -1 and finds the last
        # the one feature of a row without items takes the place of its first, empty piece
        named = _running(codes != EMPTY)[offsets]
        empty = named[1:] == named[:-1]
        features[offsets[:-1][empty]] = len(self.items)
        kept = features >= 0
        indptr = _running(kept)[offsets]
        counts = np.diff(indptr)
        scale = 1 / np.sqrt(np.maximum(counts, 1), dtype=np.float32)
        return CSR(indptr, features[kept], np.repeat(scale, counts), self.n_features)

    def feature_names(self) -> list[str]:
        """Return ``"has Comedy"`` and so on, in the features' order."""
        return [*(f"has {item}" for item in self.items), "missing"]

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON-able facts and arrays, for `from_state`."""
        return {"items": list(self.items), "separator": self.separator}, {}

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> MultiValueEncoder:
        """Rebuild from `state`'s result."""
        return cls(tuple(meta["items"]), meta["separator"])


def _running(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the number of true flags before each position, and in all at the end."""
    counts = np.zeros(len(flags) + 1, np.int64)
    np.cumsum(flags, out=counts[1:])
    return counts
