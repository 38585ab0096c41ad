"""What users hand to the estimator: rows and labels, brought into one form."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.utils.validation import check_array

from udt import labels
from udt.errors import DataError, EmptyTable, SettingsError, TargetNotFound, did_you_mean
from udt.featurizers.infer import infer_schema
from udt.featurizers.schema import Schema
from udt.params import KindOf
from udt.table import BadRows, Table, as_table

_TABLE_PATH = re.compile(
    r"hf:\S+|.+\.(csv|tsv|jsonl?|ndjson|parquet|arrow|feather)(\.(gz|zst))?", re.IGNORECASE
)
_MAX_PATH_CHARS = 4096
_ARRAYS, _TEXTS, _TABLES = "arrays", "texts", "tables"
_FRAMES = ("pandas", "polars", "pyarrow", "datasets", "udt")


@dataclass(frozen=True)
class Labelled:
    """Rows and their labels.

    Attributes
    ----------
    table : Table
        The columns to learn from.
    labels : pyarrow.Array, shape (n_rows,)
        None of them null.
    target : str
        What the labels are called.
    form : str
        Whether the rows came as a table, as an array, or as bare texts.
    n_unlabelled : int
        Rows that were left out because they had no label.
    """

    table: Table
    labels: pa.Array
    target: str
    form: str = _TABLES
    n_unlabelled: int = field(default=0)

    @property
    def is_array(self) -> bool:
        """Whether the rows came without names of columns."""
        return self.form == _ARRAYS


# -- rows with labels --------------------------------------------------------------------------


def read_training(X: Any, y: Any, target: str | None, bad_rows: BadRows) -> Labelled:
    """Return what `fit` was given.

    Parameters
    ----------
    X : object
        Rows; with the target column unless y is given.
    y : array-like or None
        Labels.
    target : str or None
        Name of the target column.
    bad_rows : {"refuse", "skip"}
        For files.

    Raises
    ------
    TargetNotFound
        The table has no such column.
    DataError
        Rows and labels do not fit together, or there is nothing to learn from.
    SettingsError
        Neither y nor a target.
    """
    form = _form(X)
    if y is None and target is None:
        raise SettingsError(_no_target(X, form))
    table = _read_array(X) if form == _ARRAYS else as_table(X, bad_rows=bad_rows)
    if y is None:
        return read_labelled(table, target or "", bad_rows)
    column = labels.from_y(y)
    _check_lengths(table, column)
    name = str(target if target is not None else getattr(y, "name", None) or "y")
    if form != _ARRAYS and name in table.names:
        table = _without(table, name)  # y is the frame's own column: nothing to learn from
    return _drop_unlabelled(Labelled(table, column, name, form))


def read_labelled(X: Any, target: str, bad_rows: BadRows, *, what: str = "") -> Labelled:
    """Return a table's rows that have a label in its target column.

    Raises
    ------
    TargetNotFound
        The table has no such column.
    DataError
        It has no other column, or, with ``what`` it is for, no label.
    """
    table = as_table(X, bad_rows=bad_rows)
    if target not in table.names:
        hint = did_you_mean(target, table.names)
        if not hint:
            same = [n for n in table.names if n.casefold() == target.casefold()]
            hint = f" Did you mean '{same[0]}'?" if same else ""
        raise TargetNotFound(
            f"Target column '{target}' is not in {table.source}. "
            f"Its columns are: {', '.join(table.names)}.{hint}"
        )
    column = labels.from_column(table.column(target))
    if what and column.null_count == len(column):
        raise EmptyTable(
            f"Target column '{target}' of {table.source} has no value in any row. "
            f"Expected labels to {what} on."
        )
    return _drop_unlabelled(Labelled(_without(table, target), column, target))


def _no_target(X: Any, form: str) -> str:
    if form != _TABLES:
        return (
            "This UDT estimator requires y to be passed, but the target y is None. "
            "Pass one label for each row: fit(X, y)."
        )
    return (
        "The 'target' parameter of UDT must be a column's name unless y is passed. Got None "
        "instead. Write UDT(target=...).fit(X) or fit(X, y)."
    )


def _check_lengths(table: Table, column: pa.Array) -> None:
    if len(column) != table.n_rows:
        raise DataError(
            f"Found input variables with inconsistent numbers of samples: {table.n_rows:,} rows, "
            f"{len(column):,} labels. Expected one label for each row."
        )


def _without(table: Table, target: str) -> Table:
    rest = table.drop(target)
    if not rest.names:
        raise EmptyTable(
            f"{table.source} has no column but the target '{target}'. "
            "Expected at least one column to learn from."
        )
    return rest


def _drop_unlabelled(rows: Labelled) -> Labelled:
    """Leave out rows without a label; all of them stay if none has one, for `check_target`."""
    n_missing = rows.labels.null_count
    if n_missing in (0, len(rows.labels)):
        return rows
    kept = np.flatnonzero(np.asarray(rows.labels.is_valid()))
    return Labelled(
        rows.table.take(kept), rows.labels.take(pa.array(kept)), rows.target, rows.form, n_missing
    )


def append_rows(table: Table, other: Table) -> Table:
    """Return a table with another one's rows below, in the first one's columns and types."""
    columns = {}
    for name in table.names:
        own = table.column(name)
        new = other.column(name) if name in other else pa.nulls(other.n_rows, own.type)
        columns[name] = _concat(own, new)
    return Table(columns, table.n_rows + other.n_rows, table.source, table.n_skipped)


def _concat(own: pa.Array, new: pa.Array) -> pa.Array:
    for kind in (own.type, new.type, pa.large_string()):
        try:
            return pa.concat_arrays([own.cast(kind), new.cast(kind)])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue  # "n/a" among numbers; a fraction among whole ones
    raise TypeError(f"{own.type} and {new.type} have no common type.")  # a nested type: never here


# -- rows to predict ---------------------------------------------------------------------------


def read_rows(
    X: Any,
    schema: Schema,
    names: npt.NDArray[Any] | None,
    bad_rows: BadRows,
    check_array_width: Any = None,
) -> Table:
    """Return rows to predict: a table with (some of) the columns that the model was trained on.

    A string is one text, unless it looks like the path of a table. Missing columns are warned of
    and count as missing; extra ones, and the columns' order, do not matter.

    Parameters
    ----------
    X : object
        Rows.
    schema : Schema
        The model's columns.
    names : ndarray of str or None
        The same names, unless the model was trained on an array.
    bad_rows : {"refuse", "skip"}
        For files.
    check_array_width : callable
        scikit-learn's check of an array's width and names, called with the array.

    Raises
    ------
    DataError
        None of the model's columns is there.
    """
    form = _form(X)
    if form == _ARRAYS:
        check_array_width(X)
        table = _read_array(X)
        return _rename(table, [c.name for c in schema.columns])
    if isinstance(X, str) and not _is_path(X):
        X, form = [X], _TEXTS
    table = as_table(X, bad_rows=bad_rows)
    if form == _TEXTS and table.names[0] not in {c.name for c in schema.columns}:
        return _rename(table, [_text_column(schema)])
    if names is None and len(table.names) == len(schema.columns):
        return _rename(table, [c.name for c in schema.columns])  # by position, as it was trained
    _check_columns(table, schema)
    return table


def _is_path(text: str) -> bool:
    """Whether a string names a table rather than being a text to classify."""
    if len(text) > _MAX_PATH_CHARS or not _TABLE_PATH.fullmatch(text):
        return False
    return " " not in text or Path(text).is_file()


def _text_column(schema: Schema) -> str:
    """Return the one column that bare texts can stand for."""
    used = schema.used()
    texts = [c.name for c in used if c.kind == "text"] or [c.name for c in used]
    if len(texts) != 1:
        raise DataError(
            f"Got bare texts, but the model reads {len(texts)} columns that they could stand "
            f"for: {', '.join(texts)}. Expected rows with names, e.g. {{{texts[0]!r}: '…'}}."
        )
    return texts[0]


def _rename(table: Table, names: Sequence[str]) -> Table:
    columns = {new: table.column(old) for old, new in zip(table.names, names, strict=True)}
    return Table(columns, table.n_rows, table.source, table.n_skipped)


def _check_columns(table: Table, schema: Schema) -> None:
    used = schema.used()
    missing = [c.name for c in used if c.name not in table]
    if not missing:
        return
    if len(missing) == len(used):
        raise DataError(
            f"{table.source} has none of the model's columns. Expected: {', '.join(missing)}. "
            f"Its columns are: {', '.join(table.names)}."
        )
    warnings.warn(
        f"{table.source} lacks columns that the model was trained on; they count as missing: "
        f"{', '.join(missing)}.",
        UserWarning,
        stacklevel=5,  # who called predict
    )


# -- forms -------------------------------------------------------------------------------------


def _form(X: Any) -> str:
    """Say whether X is an array without names of columns, bare texts, or a table."""
    if isinstance(X, list | tuple):
        first = next((v for v in X if not _is_missing(v)), "")
        if isinstance(first, str):
            return _TEXTS
        return _TABLES if isinstance(first, Mapping) else _ARRAYS
    if isinstance(X, np.ndarray):
        is_texts = X.ndim == 1 and X.dtype.kind in "OUST" and _form(X[:100].tolist()) == _TEXTS
        return _TEXTS if is_texts else _ARRAYS
    family = type(X).__module__.split(".")[0]
    if family in _FRAMES:
        return _TEXTS if getattr(X, "ndim", 2) == 1 or type(X).__name__ == "Series" else _TABLES
    return _ARRAYS if hasattr(X, "toarray") or hasattr(X, "__array__") else _TABLES


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _read_array(X: Any) -> Table:
    """Return an array's columns, called x0, x1, …, checked as scikit-learn does."""
    if isinstance(X, list | tuple):
        X = as_table(X) if all(isinstance(row, list | tuple) for row in X) else X
        if isinstance(X, Table):
            return X  # each cell of its own type, where NumPy would make all of them text
    checked = check_array(X, dtype=None, ensure_all_finite=False, estimator="UDT")
    if checked.dtype.kind == "c":
        raise DataError("Complex data not supported. Expected real numbers or text.")
    return as_table(np.asarray(checked))


# -- kinds of columns --------------------------------------------------------------------------


def infer(rows: Labelled, kinds: KindOf) -> Schema:
    """Decide the columns' kinds.

    Numbers in an array are measurements, never identifiers; bare texts are text, even few that
    repeat.

    Raises
    ------
    SettingsError
        The user set the kind of an unknown column, or of the target.
    EmptyTable
        No column can be learned from.
    """
    if rows.target in kinds:
        raise SettingsError(
            f"Column '{rows.target}' was set to {kinds[rows.target][0]}, but it is the target. "
            "Expected one of the other columns; leave the setting out."
        )
    columns = {name: rows.table.column(name) for name in rows.table.names}
    schema = infer_schema(columns, overrides={**_by_form(rows.form, columns), **kinds})
    if all(columns[c.name].null_count == rows.table.n_rows for c in schema.used()):
        raise EmptyTable(_nothing_to_learn(schema))
    return schema


def _by_form(form: str, columns: Mapping[str, pa.Array]) -> KindOf:
    """Return the kinds that follow from the form alone; columns of one value are left out."""
    kinds: KindOf = {}
    for name, column in columns.items():
        is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        if form == _ARRAYS and is_number:
            kinds[name] = ("numeric", {})
        elif form == _TEXTS and len(column.unique()) > 1:
            kinds[name] = ("text", {})
    return kinds


def _nothing_to_learn(schema: Schema) -> str:
    why = "; ".join(f"'{c.name}' is {c.kind} ({c.reason})" for c in schema.columns[:5])
    return (
        f"No column can be learned from: {why}. Expected at least one column with text or values "
        "that vary; set a column's kind yourself, e.g. as text, if one was misjudged."
    )
