"""What the column encoders share: cells as strings, and which of them count as missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.csr import CSR

MISSING_SPELLINGS = frozenset(
    {
        "",
        "na",
        "n/a",
        "#n/a",
        "<na>",
        "nan",
        "nat",
        "null",
        "none",
        "nil",
        "\\n",
        "?",
        "-",
        "--",
        "—",
    }
)
"""Lower-cased cells that say "no value" everywhere but in a text column."""


def spell(cell: str) -> str | None:
    """Return a cell as it is compared: trimmed, ``"3.0"`` as ``"3"``, None if it is missing.

    Examples
    --------
    >>> spell(" red "), spell("3.0"), spell("N/A")
    ('red', '3', None)
    """
    cell = cell.strip()
    if len(cell) <= 4 and cell.lower() in MISSING_SPELLINGS:
        return None
    if cell.endswith(".0") and cell[:-2].removeprefix("-").isdecimal():
        return cell[:-2]
    return cell


def as_strings(column: pa.Array) -> pa.Array:
    """Return any column as large_string; nulls stay null.

    What Arrow cannot write as a string (nested types) is written as Python would.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type):
        return column
    try:
        return column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        cells = [None if c is None else str(c) for c in column.to_pylist()]
        return pa.array(cells, pa.large_string())


def distinct_strings(column: pa.Array) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return each row's position among the column's distinct cells, and those as strings.

    Whole numbers are spelled alike whatever their type is: ``3``, ``3.0`` and ``"3"`` become
    equal once `spell` has seen them.

    Returns
    -------
    codes : ndarray of int32, shape (n_rows,)
        -1 where the cell is null.
    strings : list of str
        As written; not trimmed.
    """
    if not pa.types.is_primitive(column.type) or pa.types.is_null(column.type):
        column = as_strings(column)
    encoded = column.dictionary_encode()
    codes = encoded.indices
    if codes.null_count:
        codes = codes.fill_null(-1)
    return codes.to_numpy(zero_copy_only=False), _as_list(encoded.dictionary)


def _as_list(cells: pa.Array) -> list[str]:
    if pa.types.is_floating(cells.type):
        return [str(int(x)) if x.is_integer() else repr(x) for x in cells.to_pylist()]
    if pa.types.is_boolean(cells.type):
        return [str(x) for x in cells.to_pylist()]
    strings: list[str] = as_strings(cells).to_pylist()
    return strings


def per_distinct(
    column: pa.Array, function: Callable[[str], Any], missing: Any, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Apply a function to each distinct cell; null gives the value for missing.

    Returns
    -------
    ndarray of dtype, shape (n_rows,)
    """
    codes, strings = distinct_strings(column)
    results = [function(s) for s in strings]
    results.append(missing)  # where code -1 finds it
    return np.array(results, dtype)[codes]


def rows_from_slots(
    ids: npt.NDArray[np.int32], values: npt.NDArray[np.float32], n_features: int
) -> CSR:
    """Pack rows of equally many slots into CSR, leaving out the empty ones.

    Parameters
    ----------
    ids : ndarray of int32, shape (n_rows, n_slots)
        Feature ids; negative = empty slot.
    values : ndarray of float32, shape (n_rows, n_slots)
        Feature values.
    n_features : int
        Number of columns.
    """
    kept = ids >= 0
    indptr = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(np.count_nonzero(kept, axis=1), out=indptr[1:])
    return CSR(indptr, ids[kept], values[kept], n_features)
