"""What can be said of one column, each fact found out once, when it is first asked for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt.featurizers import dates, numeric
from udt.featurizers.cells import MISSING_SPELLINGS, as_strings

CLIP_CHARS = 200
"""Of longer cells, the beginning is looked at."""

MIN_PARSED = 0.95
"""Of the distinct cells that must be numbers, or dates."""

_MAX_PROBES = 4_000
_MAX_CODES = 0.01  # "007" among numbers may be a slip; more of them are codes


@dataclass(frozen=True)
class Facts:
    """One column as the kinds see it; no fact depends on the order of the rows.

    Attributes
    ----------
    name : str
        The column's name.
    sample : pyarrow.Array
        All rows, or a random sample of them.
    n_rows : int
        Rows of the whole table.
    n_columns, n_string_columns : int
        Of the table, the target left out.
    """

    name: str
    sample: pa.Array
    n_rows: int
    n_columns: int = 1
    n_string_columns: int = 1

    @functools.cached_property
    def is_string(self) -> bool:
        """Whether the cells are strings, or of a type that is read as strings."""
        return holds_strings(self.sample)

    @functools.cached_property
    def cells(self) -> pa.Array:
        """Cells that are not missing; strings trimmed and cut after `CLIP_CHARS` characters."""
        if not self.is_string:
            cells = self.sample.drop_null()
            return cells.filter(pc.is_finite(cells)) if pa.types.is_floating(cells.type) else cells
        cells = pc.utf8_slice_codeunits(as_strings(self.sample).drop_null(), 0, CLIP_CHARS)
        cells = pc.utf8_trim_whitespace(cells)
        missing = pa.array(sorted(MISSING_SPELLINGS), cells.type)
        return cells.filter(pc.invert(pc.is_in(pc.utf8_lower(cells), missing)))

    @functools.cached_property
    def _value_counts(self) -> tuple[pa.Array, npt.NDArray[np.int64]]:
        counted = self.cells.value_counts()
        return counted.field(0), counted.field(1).to_numpy()

    @property
    def values(self) -> pa.Array:
        """Distinct cells, missing ones left out."""
        return self._value_counts[0]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each of the values."""
        return self._value_counts[1]

    @property
    def n_missing(self) -> int:
        """Rows of the sample without a value."""
        return len(self.sample) - len(self.cells)

    @property
    def distinct_share(self) -> float:
        """Distinct cells per cell, in (0, 1]."""
        return len(self.values) / len(self.cells)

    @functools.cached_property
    def unseen_share(self) -> float:
        """Estimated chance that the next cell is none of the values (Good and Turing, 1953)."""
        return float((self.counts == 1).sum() / len(self.cells))

    @functools.cached_property
    def mean_chars(self) -> float:
        """Mean length of the cells, in characters, as cut."""
        return float(pc.mean(pc.utf8_length(self.cells)).as_py())

    @functools.cached_property
    def mean_words(self) -> float:
        """Mean number of blank-separated words of the cells, as cut."""
        return 1 + float(pc.mean(pc.count_substring(self.cells, " ")).as_py())

    @functools.cached_property
    def cut(self) -> float:
        """How many times as many bytes the sample holds as the cells do."""
        n_bytes = pc.sum(pc.binary_length(as_strings(self.sample))).as_py()
        return float(n_bytes / pc.sum(pc.binary_length(self.cells)).as_py())

    @functools.cached_property
    def probes(self) -> list[str]:
        """The values as strings, sorted; of very many, evenly spaced ones."""
        strings = sorted(as_strings(self.values).to_pylist())
        return strings[:: max(1, len(strings) // _MAX_PROBES)]

    def share_matching(self, pattern: str) -> float:
        """Return the fraction of the distinct strings in which a pattern (RE2) occurs."""
        return float(pc.mean(pc.match_substring_regex(self.values, pattern)).as_py() or 0)

    @functools.cached_property
    def _has_digits(self) -> bool:
        # spares texts the closer look
        return self.share_matching("[0-9]") >= MIN_PARSED

    @functools.cached_property
    def number_style(self) -> Mapping[str, str] | None:
        """How the numbers are written; None if most distinct cells are no numbers."""
        if numeric.is_number(self.values.type):
            return {}
        if not self.is_string or not self._has_digits or self.leading_zeros > _MAX_CODES:
            return None
        style, share = numeric.guess_style(self.probes)
        return style if share >= MIN_PARSED else None

    @functools.cached_property
    def leading_zeros(self) -> float:
        """Fraction of the distinct strings like ``"007"``: codes, not numbers."""
        return self.share_matching("^0[0-9]+$")

    @functools.cached_property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The distinct numbers; empty if `number_style` is None."""
        if self.number_style is None:
            return np.empty(0)
        numbers = numeric.parse_numbers(self.values, **self.number_style)
        return numbers[np.isfinite(numbers)]

    @functools.cached_property
    def is_integer(self) -> bool:
        """Whether all cells are whole numbers, of an integer type or as bare strings."""
        if pa.types.is_integer(self.values.type):
            return True
        whole = self.is_string and self.number_style is not None
        return whole and self.share_matching("^[+-]?[0-9]+$") == 1

    @functools.cached_property
    def date_layout(self) -> str | None:
        """Order of a date's parts ("" for Arrow's date types); None if most are no dates."""
        kind = self.values.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return ""
        if not self.is_string or not self._has_digits or self.number_style is not None:
            return None
        params, share = dates.guess_layout(pa.array(self.probes, pa.large_string()))
        return params["layout"] if share >= MIN_PARSED else None


def holds_strings(column: pa.Array) -> bool:
    """Say whether a column's cells are strings, or of a type that is read as strings."""
    kind, types = column.type, pa.types
    other = (types.is_boolean, types.is_date, types.is_timestamp, types.is_null, numeric.is_number)
    return not any(is_kind(kind) for is_kind in other)
