"""The target column: labels as the user wrote them, to class indices and back.

Labels are text, whole numbers, fractions or booleans, one of these in a column; dates are read as
their ISO text. A missing label (None, NaN, an empty cell of a file) is null.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt.errors import DataError, EmptyTable, OneClassOnly, SettingsError
from udt.table import as_table

_MANY_VALUES = 20
_MANY_PER_ROW = 0.1
_MOSTLY_DISTINCT = 0.5
_SPARSE = 2  # of whole numbers: a range so many times their count


def from_y(y: Any) -> pa.Array:
    """Return labels that were passed beside the rows.

    Parameters
    ----------
    y : array-like, shape (n_rows,)
        A list, an array, a Series, an Arrow array, a column of a ``datasets.Dataset``.

    Raises
    ------
    DataError
        Not one-dimensional; infinity; labels of several types, or of none that is a label.
    SettingsError
        A single text.
    """
    if isinstance(y, str | bytes):
        raise SettingsError(
            f"y must hold one label for each row. Got {y!r} instead. To name the column to "
            f"predict, write UDT(target={y!r}).fit(X)."
        )
    if isinstance(y, pa.Array | pa.ChunkedArray):
        return from_column(as_table({"y": y}).column("y"))
    from sklearn.utils.validation import column_or_1d  # half a second that files do not need

    array = column_or_1d(_as_array(y), warn=True)
    if len(array) == 0:
        raise EmptyTable("y holds no label. Expected one for each row.")
    if array.dtype.kind == "f" and np.isinf(array).any():
        raise DataError("Input y contains infinity. Expected labels, or NaN where one is missing.")
    if array.dtype.kind == "O":
        _check_one_type(array)
    values = array.tolist() if array.dtype.kind in "OUS" else array  # Arrow knows no <U5
    return from_column(as_table({"y": values}).column("y"))


def _as_array(y: Any) -> Any:
    """Return lists as arrays of objects, because NumPy would turn None and NaN into text."""
    if isinstance(y, np.ndarray) or hasattr(y, "__array__"):
        return np.asarray(y)
    if hasattr(y, "__len__") and hasattr(y, "__getitem__"):
        values = list(y)
        if not any(isinstance(v, list | tuple | np.ndarray) for v in values):
            array = np.empty(len(values), dtype=object)
            array[:] = values
            return array
    return y


def _check_one_type(array: npt.NDArray[Any]) -> None:
    """Refuse labels of several types, which would come back as text."""
    families = {_family(v) for v in array.tolist()} - {""}
    unknown = sorted(f for f in families if f not in ("text", "boolean", "number", "date"))
    if unknown:
        raise DataError(
            f"Unknown label type: {unknown[0]}. Expected text, numbers or booleans; write each "
            "label as text."
        )
    if len(families) > 1:
        raise DataError(
            f"The labels in y are of several types: {', '.join(sorted(families))}. "
            "Expected one type; write them all as text, for example."
        )


def _family(value: Any) -> str:
    """Return what kind of label a value is: "" if it is missing, its type's name if it is none."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, float | np.floating) and np.isnan(value):
        return ""
    if isinstance(value, str | bytes):
        return "text"
    if isinstance(value, bool | np.bool_):
        return "boolean"
    if isinstance(value, int | float | np.number):
        return "number"
    is_date = isinstance(value, datetime.date | np.datetime64)
    return "date" if is_date else type(value).__name__


def from_column(column: pa.Array) -> pa.Array:
    """Return labels that a table holds: numbers, booleans and text as they are, others as text."""
    kind, types = column.type, pa.types
    as_they_are = (types.is_boolean, types.is_integer, types.is_floating, types.is_large_string)
    if any(is_kind(kind) for is_kind in as_they_are):
        return column
    return column.cast(pa.large_string())


def check_target(column: pa.Array, name: str) -> None:
    """Refuse a target that cannot be classified.

    Raises
    ------
    EmptyTable
        All missing.
    OneClassOnly
        One label only.
    DataError
        A numeric target with many values; no label with two rows.
    """
    n = len(column) - column.null_count
    if n == 0:
        raise EmptyTable(
            f"Target column '{name}' has no value in any of {len(column):,} rows. "
            "Expected a label in most rows; name another column as the target."
        )
    counts = pc.value_counts(column.drop_null())
    values, n_labels = counts.field("values"), len(counts)
    if n_labels < 2:
        raise OneClassOnly(
            f"Target column '{name}' has one class only: every row is {values[0].as_py()!r}. "
            "A classifier needs at least two labels; add rows with another one."
        )
    if _is_quantity(values, n):
        raise DataError(
            f"Target column '{name}' is numeric with {n_labels:,} different values in {n:,} rows. "
            "Unknown label type: continuous. udt predicts classes and offers no regression; "
            "cut the values into ranges first, or name another column as the target."
        )
    if pc.max(counts.field("counts")).as_py() < 2:
        raise DataError(
            f"Target column '{name}' has {n_labels:,} labels and no label with two rows. "
            "Expected labels that repeat; is this an identifier or free text?"
        )


def _is_quantity(values: pa.Array, n: int) -> bool:
    """Whether these distinct labels of n rows measure something, rather than name it."""
    n_labels = len(values)
    if pa.types.is_large_string(values.type) and n_labels > _MANY_VALUES:
        try:
            values = values.cast(pa.float64())  # files hold numbers as text
        except pa.ArrowInvalid:
            return False
    if pa.types.is_boolean(values.type) or pa.types.is_large_string(values.type):
        return False
    numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if (numbers % 1).any():
        return n_labels > min(_MANY_VALUES, _MANY_PER_ROW * n)
    if n_labels <= _MANY_VALUES or len(numbers) == 0:
        return False
    is_sparse = np.ptp(numbers) >= _SPARSE * n_labels
    return bool(n_labels > (_MANY_PER_ROW if is_sparse else _MOSTLY_DISTINCT) * n)


def find_classes(column: pa.Array, like: Any = None) -> npt.NDArray[Any]:
    """Return the sorted distinct labels.

    Parameters
    ----------
    column : pyarrow.Array
        Labels.
    like : object
        What the user passed; NumPy's type of an array is kept.

    Returns
    -------
    ndarray, shape (n_classes,)
        Numbers and booleans as such, text as objects.
    """
    distinct = pc.unique(column.drop_null())
    if pa.types.is_large_string(distinct.type):
        classes = np.array(distinct.to_pylist(), dtype=object)
    else:
        classes = np.asarray(distinct.to_numpy(zero_copy_only=False))
    dtype = getattr(like, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "biufU":
        classes = classes.astype(dtype)
    return np.sort(classes)


def encode(column: pa.Array, classes: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return class indices, int32, shape (n_rows,); −1 for null and for unknown labels.

    Parameters
    ----------
    column : pyarrow.Array
        Labels; numbers may come as text and the other way round, as files have them.
    classes : ndarray
        Sorted labels.

    Examples
    --------
    >>> encode(pa.array(["2", "1", "3"]), np.array([1, 2])).tolist()
    [1, 0, -1]
    """
    known = pa.array(classes.tolist())
    if pa.types.is_string(known.type):
        known = known.cast(pa.large_string())  # as columns have it
    if known.type != column.type:
        lower = pa.types.is_boolean(known.type) or pa.types.is_boolean(column.type)
        known, column = _as_text(known, lower=lower), _as_text(column, lower=lower)
    found = pc.index_in(column, value_set=known)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int32)


def _as_text(labels: pa.Array, *, lower: bool) -> pa.Array:
    """Return labels in one spelling for each value: whole numbers without a decimal point."""
    texts = pc.replace_substring_regex(labels.cast(pa.large_string()), r"^(-?\d+)\.0+$", r"\1")
    return pc.utf8_lower(texts) if lower else texts


def class_counts(column: pa.Array) -> Sequence[tuple[Any, int]]:
    """Return (label, rows) of each class, most frequent first; ties in the labels' order."""
    counts = pc.value_counts(column.drop_null())
    labels, n_rows = counts.field("values").to_pylist(), counts.field("counts").to_pylist()
    return sorted(zip(labels, n_rows, strict=True), key=lambda pair: (-pair[1], pair[0]))
