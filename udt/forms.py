"""What form rows come in: a table, an array without names of columns, or bare texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from udt.errors import DataError
from udt.table import BadRows, Table, as_table

ARRAY, TEXTS, TABLE = "an array of numbers", "bare texts", "a table"
"""Forms, as printed."""

_TABLE_PATH = re.compile(
    r"hf:\S+|.+\.(csv|tsv|jsonl?|ndjson|parquet|arrow|feather)(\.(gz|zst))?", re.IGNORECASE
)
_MAX_PATH_CHARS = 4096
_FRAMES = ("pandas", "polars", "pyarrow", "datasets", "udt")
_SINGLE_COLUMNS = ("Series", "Column", "StringArray", "LargeStringArray", "ChunkedArray")


def form_of(X: Any) -> str:
    """Return `ARRAY`, `TEXTS` or `TABLE`."""
    if isinstance(X, list | tuple):
        first = next((v for v in X if not _is_missing(v)), "")
        if isinstance(first, str):
            return TEXTS
        return TABLE if isinstance(first, Mapping) else ARRAY
    if isinstance(X, np.ndarray):
        is_texts = X.ndim == 1 and X.dtype.kind in "OUT" and form_of(X[:100].tolist()) == TEXTS
        return TEXTS if is_texts else ARRAY
    if type(X).__module__.split(".")[0] in _FRAMES:
        return TEXTS if type(X).__name__ in _SINGLE_COLUMNS else TABLE
    return ARRAY if hasattr(X, "toarray") or hasattr(X, "__array__") else TABLE


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def read(X: Any, form: str, bad_rows: BadRows) -> Table:
    """Return rows as a table.

    Parameters
    ----------
    X : object
        Rows.
    form : str
        `form_of` them.
    bad_rows : {"refuse", "skip"}
        For files.
    """
    if form == ARRAY:
        return _read_array(X)
    return _read_texts(X) if form == TEXTS else as_table(X, bad_rows=bad_rows)


def _read_texts(X: Any) -> Table:
    """Return bare texts as a table of one column, called "text" unless they have a name."""
    if type(X).__name__ == "Column":  # of a datasets.Dataset
        X = X[:]
    if not isinstance(X, list | tuple):
        return as_table(X)
    table = as_table({"text": X})
    return Table({"text": table.column("text")}, table.n_rows, "a list of texts")


def _read_array(X: Any) -> Table:
    """Return an array's columns, called x0, x1, …, checked as scikit-learn does."""
    if isinstance(X, list | tuple) and all(isinstance(row, list | tuple) for row in X):
        return as_table(X)  # each column of its own type, where NumPy would make all of them text
    from sklearn.utils.validation import check_array  # half a second that files do not need

    checked = check_array(X, dtype=None, ensure_all_finite=False, estimator="UDT")
    if checked.dtype.kind == "c":
        raise DataError("Complex data not supported. Expected real numbers or text.")
    return as_table(np.asarray(checked))


def is_path(text: str) -> bool:
    """Whether a string names a table rather than being a text to classify."""
    if len(text) > _MAX_PATH_CHARS or not _TABLE_PATH.fullmatch(text):
        return False
    return " " not in text or Path(text).is_file()
