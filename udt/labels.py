"""The target column: labels as the user wrote them, to class indices and back.

Labels are text, whole numbers, fractions or booleans, one of these in a column; dates are read as
their ISO text. A missing label (None, NaN, an empty cell of a file) is null. Where a row may have
several labels, the column is one of lists (see `udt.label_forms`).
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt.csr import Targets
from udt.errors import DataError, EmptyTable, OneClassOnly, SettingsError
from udt.label_forms import LabelForm, as_text, counts, flat, is_list, join, make_lists
from udt.table import Table, as_table

_MANY_VALUES = 20
_MANY_PER_ROW = 0.1
_MOSTLY_DISTINCT = 0.5
_SPARSE = 2  # of whole numbers: a range so many times their count
_CONTAINERS = (list, tuple, set, frozenset, np.ndarray)


def from_y(y: Any) -> pa.Array:
    """Return labels that were passed beside the rows.

    Parameters
    ----------
    y : array-like, shape (n_rows,)
        A list, an array, a Series, an Arrow array, a column of a ``datasets.Dataset``; of labels,
        or of lists of labels.

    Returns
    -------
    pyarrow.Array, shape (n_rows,)
        Labels, or lists of labels, each label once a row.

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
    if _hold_lists(y):
        return _from_lists(_cells(y))
    if isinstance(y, pa.Array | pa.ChunkedArray):
        return from_column(as_table({"y": y}).column("y"))
    from sklearn.utils.validation import column_or_1d  # half a second that files do not need

    array = _as_array(y)
    if getattr(array, "ndim", 1) == 2 and array.shape[1] > 1:
        raise DataError(
            f"y should be a 1d array, got an array of shape {array.shape} instead. Expected a "
            "label for each row, or a list of labels where a row may have several."
        )
    array = column_or_1d(array, warn=True)
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
        array = np.empty(len(y), dtype=object)
        array[:] = list(y)
        return array
    return y


def _hold_lists(y: Any) -> bool:
    """Whether the first cell of a column that is not missing is a list or the like."""
    if isinstance(y, pa.Array | pa.ChunkedArray):
        return is_list(y)
    dtype = getattr(y, "dtype", None)
    is_column = hasattr(y, "__len__") and hasattr(y, "__getitem__") and getattr(y, "ndim", 1) == 1
    if not is_column or (isinstance(dtype, np.dtype) and dtype.kind != "O"):
        return False
    return isinstance(next(filter(_family, _cells(y)), None), _CONTAINERS)


def _cells(y: Any) -> Any:
    """Return the cells of a column as Python has them."""
    names = [name for name in ("to_pylist", "to_list") if hasattr(y, name)]
    return getattr(y, names[0])() if names else y


def _from_lists(cells: Sequence[Any]) -> pa.Array:
    """Return lists of labels as a column; a cell that is no list is a label by itself."""
    rows = [list(cell) if isinstance(cell, _CONTAINERS) else [cell] for cell in cells]
    rows = [[label for label in row if _family(label)] for row in rows]
    every = from_y([label for row in rows for label in row])
    return make_lists(every, np.array([len(row) for row in rows]))


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


def from_data(X: Any, table: Table, name: str) -> pa.Array:
    """Return the labels in a column of the data that a table was made of.

    A Table has lists as text; those of data in memory are kept.
    """
    if not isinstance(X, str | os.PathLike | Table):
        cells = [row.get(name) for row in X] if isinstance(X, list | tuple) else X[name]
        if _hold_lists(cells):
            return from_y(cells)
    return from_column(table.column(name))


def from_column(column: pa.Array) -> pa.Array:
    """Return labels that a table holds: numbers, booleans and text as they are, others as text."""
    kind, types = column.type, pa.types
    as_they_are = (types.is_boolean, types.is_integer, types.is_floating, types.is_large_string)
    if any(is_kind(kind) for is_kind in as_they_are):
        return column
    return column.cast(pa.large_string())


def check_labelled(column: pa.Array, target: str, source: str) -> None:
    """Raise EmptyTable if all labels are missing."""
    if column.null_count == len(column):
        raise EmptyTable(
            f"Target column '{target}' of {source} has no value in any row. "
            "Expected labels to measure on."
        )


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
    counted = pc.value_counts(flat(column))
    values, n_labels = counted.field("values"), len(counted)
    if n_labels < 2:
        raise OneClassOnly(
            f"Target column '{name}' has one class only: every row is {values[0].as_py()!r}. "
            "A classifier needs at least two labels; add rows with another one."
        )
    if not is_list(column) and _is_quantity(values, n):
        raise DataError(
            f"Target column '{name}' is numeric with {n_labels:,} different values in {n:,} rows. "
            "Unknown label type: continuous. udt predicts classes and offers no regression; "
            "cut the values into ranges first, or name another column as the target."
        )
    if pc.max(counted.field("counts")).as_py() < 2:
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
    distinct = pc.unique(flat(column))
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
        Labels, no lists; numbers may come as text and the other way round, as files have them.
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
        known, column = as_text(known), as_text(column)
        if lower:
            known, column = pc.utf8_lower(known), pc.utf8_lower(column)
    found = pc.index_in(column, value_set=known)
    return np.array(pc.fill_null(found, -1), dtype=np.int32)


def add_classes(
    column: pa.Array, classes: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return the sorted labels of a model and of new rows, and where the model's are among them.

    Parameters
    ----------
    column : pyarrow.Array
        Labels of the new rows, or lists of them.
    classes : ndarray, shape (n_classes,)
        The model's, sorted; new ones become of their type.

    Raises
    ------
    DataError
        A new label cannot be of their type.

    Examples
    --------
    >>> merged, where = add_classes(pa.array(["4", "2"]), np.array([2, 7]))
    >>> merged.tolist(), where.tolist()
    ([2, 4, 7], [0, 2])
    """
    distinct = pc.unique(flat(column))
    new = distinct.filter(pa.array(encode(distinct, classes) < 0))
    if not len(new):
        return classes, np.arange(len(classes))
    kind = classes.dtype.kind
    try:
        if kind in "OU":
            values = np.array(as_text(new).to_pylist(), dtype=object if kind == "O" else None)
        else:
            values = np.asarray(new.cast(pa.from_numpy_dtype(classes.dtype))).astype(classes.dtype)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"A new label is of another type than the model's: {error}. Expected labels such as "
            f"{classes.tolist()[0]!r}; write them as in the first training."
        ) from error
    merged = np.sort(np.concatenate([classes, values]))
    return merged, np.searchsorted(merged, classes)


def to_targets(column: pa.Array, classes: npt.NDArray[Any]) -> Targets:
    """Return the class indices of each row, −1 for unknown labels; none where it has no label.

    Examples
    --------
    >>> to_targets(pa.array([["b", "x"], None]), np.array(["a", "b"])).ids.tolist()
    [1, -1]
    """
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts(column))])
    return Targets(indptr, encode(flat(column), classes))


def decode(targets: Targets, classes: npt.NDArray[Any], form: LabelForm) -> npt.NDArray[Any]:
    """Return each row's label, or its labels: in one text, or in a list, as they came.

    Parameters
    ----------
    targets : Targets
        Classes of each row.
    classes : ndarray, shape (n_classes,)
        Labels.
    form : LabelForm
        How the user writes them.
    """
    names = classes[targets.ids]
    if not form.is_multi_label:
        return np.asarray(names)
    lists = pa.LargeListArray.from_arrays(pa.array(targets.indptr), pa.array(names.tolist()))
    rows = (lists if form.is_list else join(lists, form.separator)).to_pylist()
    cells = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):  # at once, lists of equal length would become a matrix
        cells[i] = row
    return cells


def leave_out(found: npt.NDArray[Any], unsure: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return predictions of which some are not given: NaN among fractions, else None.

    Whole numbers and booleans have no such value; with None among them they are objects, but stay
    what they are.

    Examples
    --------
    >>> leave_out(np.array([1, 2]), np.array([False, True])).tolist()
    [1, None]
    """
    if found.dtype.kind == "f":
        return np.where(unsure, np.nan, found).astype(found.dtype)
    cells = found.astype(object)
    cells[unsure] = None
    return cells


def class_counts(column: pa.Array) -> Sequence[tuple[Any, int]]:
    """Return (label, rows) of each class, most frequent first; ties in the labels' order."""
    counted = pc.value_counts(flat(column))
    labels, n_rows = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return sorted(zip(labels, n_rows, strict=True), key=lambda pair: (-pair[1], pair[0]))
