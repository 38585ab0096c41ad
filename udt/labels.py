"""The target column: labels as the user wrote them, to class indices and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt.errors import DataError, EmptyTable, OneClassOnly

_MANY_VALUES = 20
_MANY_PER_ROW = 0.1


def to_array(column: pa.Array) -> npt.NDArray[Any]:
    """Return an Arrow column of labels as NumPy: numbers and booleans as such, the rest objects."""
    if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    return np.array(column.to_pylist(), dtype=object)


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
            "Expected a label in most rows; name another column with --target."
        )
    counts = pc.value_counts(column.drop_null())
    n_labels, most = len(counts), pc.max(counts.field("counts")).as_py()
    if n_labels < 2:
        only = counts.field("values")[0].as_py()
        raise OneClassOnly(
            f"Target column '{name}' has one class only: every row is {only!r}. "
            "A classifier needs at least two labels; add rows with another one."
        )
    if _is_continuous(column, n_labels, n):
        raise DataError(
            f"Target column '{name}' is numeric with {n_labels:,} different values in {n:,} rows. "
            "Unknown label type: continuous. udt predicts classes and offers no regression; "
            "cut the values into ranges first, or name another column with --target."
        )
    if most < 2:
        raise DataError(
            f"Target column '{name}' has {n_labels:,} labels and no label with two rows. "
            "Expected labels that repeat; is this an identifier or free text?"
        )


def _is_continuous(column: pa.Array, n_labels: int, n: int) -> bool:
    """Whether a numeric column measures rather than labels."""
    if pa.types.is_floating(column.type):
        fraction = pc.any(pc.not_equal(pc.round(column), column)).as_py()
        if fraction and n_labels > min(_MANY_VALUES, _MANY_PER_ROW * n):
            return True
    is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    return bool(is_number and n_labels > _MANY_VALUES and n_labels > 0.5 * n)


def encode(column: pa.Array, classes: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return class indices, −1 for labels that are not among the classes.

    Parameters
    ----------
    column : pyarrow.Array
        Labels; numbers may come as text and the other way round.
    classes : ndarray
        Sorted labels.
    """
    known = pa.array(classes.tolist())
    if known.type != column.type:
        known, column = _as_text(known), _as_text(column)
    found = pc.index_in(column, value_set=known)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int32)


def _as_text(column: pa.Array) -> pa.Array:
    """Return labels as text; whole floats as the integers they are."""
    if pa.types.is_floating(column.type):
        whole = pc.all(pc.equal(pc.round(column), column)).as_py()
        column = column.cast(pa.int64()) if whole else column
    return column.cast(pa.large_string())


def find_classes(column: pa.Array) -> npt.NDArray[Any]:
    """Return the sorted distinct labels.

    Raises
    ------
    DataError
        Labels of types that cannot be compared.
    """
    labels = to_array(pc.unique(column.drop_null()))
    try:
        return np.sort(labels)
    except TypeError:
        raise DataError(
            f"The target's labels are of type {column.type}, which cannot be ordered. "
            "Expected text, numbers or booleans."
        ) from None
