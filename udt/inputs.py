"""What users hand to the estimator: rows and labels, brought into one form."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt import forms, label_forms, labels, weights
from udt.csr import EQUAL
from udt.errors import DataError, EmptyTable, SettingsError, TargetNotFound, did_you_mean
from udt.featurizers.infer import infer_schema
from udt.featurizers.schema import Schema
from udt.label_forms import ONE_LABEL, LabelForm
from udt.params import KindOf
from udt.table import BadRows, Table, as_table


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows and their labels.

    Attributes
    ----------
    table : Table
        The columns to learn from.
    labels : pyarrow.Array, shape (n_rows,)
        None of them null; lists where a row may have several.
    target : str
        What the labels are called.
    form : str
        Whether the rows came as a table, as an array, or as bare texts.
    n_unlabelled : int
        Rows that were left out because they had no label.
    label_form : LabelForm
        How the labels were written.
    weights : ndarray of float32, shape (n_rows,) or (0,)
        What each row counts, above 0; empty = all the same.
    n_weightless : int
        Rows that were left out because they count 0.
    """

    table: Table
    labels: pa.Array
    target: str
    form: str = forms.TABLE
    n_unlabelled: int = 0
    label_form: LabelForm = ONE_LABEL
    weights: npt.NDArray[np.float32] = field(default_factory=lambda: EQUAL)
    n_weightless: int = 0

    @property
    def is_array(self) -> bool:
        """Whether the rows came without names of columns."""
        return self.form == forms.ARRAY


# -- rows with labels --------------------------------------------------------------------------


def read_training(
    X: Any,
    y: Any,
    target: str | None,
    bad_rows: BadRows,
    multi_label: str | bool | None = None,
    weight: str | None = None,
    sample_weight: Any = None,
) -> Labelled:
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
    multi_label : str, False or None
        Of `label_forms.find_form`.
    weight : str or None
        Name of the column with the rows' weights.
    sample_weight : array-like or None
        Or these weights.

    Raises
    ------
    TargetNotFound
        The table has no such column.
    DataError
        Rows, labels and weights do not fit together, or there is nothing to learn from.
    SettingsError
        Neither y nor a target; two kinds of weights, or a column of weights that is not there.
    """
    form = forms.form_of(X)
    if y is None:
        if target is None or form == forms.ARRAY:
            raise SettingsError(_no_target(form))
        form, name = forms.TABLE, target
        table, column = _split(X, name, bad_rows)
    else:
        table, column = forms.read(X, form, bad_rows), labels.from_y(y)
        _check_lengths(table, column)
        name = str(target if target is not None else getattr(y, "name", None) or "y")
        if form != forms.ARRAY and name in table.names:
            table = _without(table, name)  # y is the frame's own column: nothing to learn from
    table, own = _weigh(table, name, weight, sample_weight)
    return _labelled(table, column, name, form, label_forms.find_form(column, multi_label), own)


def _weigh(
    table: Table, target: str, weight: str | None, sample_weight: Any
) -> tuple[Table, npt.NDArray[np.float64] | None]:
    """Return the table without its column of weights, and the rows' weights if they have any."""
    if weight is None:
        if sample_weight is None:
            return table, None
        return table, weights.of_values(sample_weight, table.n_rows)
    if sample_weight is not None or weight == target:
        raise SettingsError(
            f"The 'weight' parameter of UDT is {weight!r}, "
            + ("but it is the target. " if weight == target else "and sample_weight is given. ")
            + "Expected one source of weights, a column other than the target or sample_weight."
        )
    own = weights.of_column(table, weight)
    return _without(table, weight, "weights"), own


def read_labelled(
    X: Any, target: str, bad_rows: BadRows, label_form: LabelForm, weight: str | None = None
) -> Labelled:
    """Return a table's rows that have a label in its target column.

    Parameters
    ----------
    X, target, bad_rows
        As in `read_training`.
    label_form : LabelForm
        How the labels are written.
    weight : str or None
        Name of the column with the rows' weights; where it is not there, all count the same.

    Raises
    ------
    TargetNotFound
        The table has no such column.
    EmptyTable
        It has no other column.
    """
    table, column = _split(X, target, bad_rows)
    table, own = _weigh(table, target, weight if weight in table.names else None, None)
    return _labelled(table, column, target, forms.TABLE, label_form, own)


def read_measured(
    X: Any, y: Any, target: str, schema: Schema, bad_rows: BadRows, form: LabelForm, has_names: bool
) -> tuple[Table, pa.Array]:
    """Return rows to measure a model on, and their labels, some of which may be null.

    Parameters
    ----------
    X, y : object
        Rows, and their labels unless they are in X's target column.
    target : str
        Name of the target column.
    schema, bad_rows, has_names
        As in `read_rows`.
    form : LabelForm
        How the labels are written.

    Raises
    ------
    DataError
        As in `read_labelled` and `read_rows`; lengths that differ; no label at all.
    """
    if y is None:
        table, column = _split(X, target, bad_rows)
        check_columns(table, schema)
    else:
        table = read_rows(X, schema, bad_rows, has_names=has_names)
        column = labels.from_y(y)
        _check_lengths(table, column)
    column = label_forms.split(column, form)
    labels.check_labelled(column, target, table.source)
    return table, column


def read_more(
    X: Any,
    y: Any,
    target: str,
    schema: Schema,
    bad_rows: BadRows,
    label_form: LabelForm,
    has_names: bool,
    weight: str | None = None,
    sample_weight: Any = None,
) -> Labelled:
    """Return what a model is to go on learning from.

    Parameters
    ----------
    X, y, target, schema, bad_rows, label_form, has_names
        As in `read_measured`.
    weight, sample_weight
        As in `read_training`; a table without the column counts all rows the same.

    Raises
    ------
    DataError, SettingsError
        As in `read_measured` and `read_training`.
    """
    table, column = read_measured(X, y, target, schema, bad_rows, label_form, has_names)
    if weight is not None and weight not in table:
        weight = None
    table, own = _weigh(table, target, weight, sample_weight)
    form = forms.TABLE if has_names else forms.ARRAY
    return _labelled(table, column, target, form, label_form, own)


def _split(X: Any, target: str, bad_rows: BadRows) -> tuple[Table, pa.Array]:
    """Return the columns to learn from, and the labels; those of lists in memory stay lists."""
    table = as_table(X, bad_rows=bad_rows)
    if target not in table.names:
        same = [n for n in table.names if n.casefold() == target.casefold()]
        hint = f" Did you mean '{same[0]}'?" if same else did_you_mean(target, table.names)
        raise TargetNotFound(
            f"Target column '{target}' is not in {table.source}. "
            f"Its columns are: {_some(table.names)}.{hint}"
        )
    return _without(table, target), labels.from_data(X, table, target)


def _no_target(form: str) -> str:
    if form == forms.ARRAY:
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


def _without(table: Table, target: str, what: str = "target") -> Table:
    rest = table.drop(target)
    if not rest.names:
        raise EmptyTable(
            f"{table.source} has no column but the {what} '{target}'. "
            "Expected at least one column to learn from."
        )
    return rest


def _labelled(
    table: Table,
    column: pa.Array,
    target: str,
    form: str,
    label_form: LabelForm,
    own: npt.NDArray[np.float64] | None = None,
) -> Labelled:
    """Leave out rows that count 0 or have no label; if none has one, all stay for `check_target`.

    So that whatever looks at the rows (kinds, vocabulary, holdout) does not see them.
    """
    n_weightless = 0
    if own is not None:
        counted = np.flatnonzero(own > 0)
        n_weightless = len(own) - len(counted)
        table, column, own = table.take(counted), column.take(pa.array(counted)), own[counted]
    column = label_forms.split(column, label_form)
    n_missing = column.null_count
    if 0 < n_missing < len(column):
        kept = np.flatnonzero(np.asarray(column.is_valid()))
        table, column = table.take(kept), column.take(pa.array(kept))
        own = None if own is None else own[kept]
    as_float = EQUAL if own is None else (own / own.mean()).astype(np.float32)
    return Labelled(table, column, target, form, n_missing, label_form, as_float, n_weightless)


def append_rows(table: Table, other: Table) -> Table:
    """Return a table with another one's rows below, in the first one's columns and types.

    Raises
    ------
    DataError
        They have no column in common.
    """
    if not any(name in other for name in table.names):
        raise DataError(
            f"{other.source} has none of the columns of {table.source}. "
            f"Expected: {_some(table.names)}. Its columns are: {_some(other.names)}."
        )
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


def read_rows(X: Any, schema: Schema, bad_rows: BadRows, *, has_names: bool) -> Table:
    """Return rows to predict: a table with (some of) the columns that the model was trained on.

    A string is one text, unless it looks like the path of a table. Missing columns are warned of
    and count as missing; extra ones, and the columns' order, do not matter.

    Parameters
    ----------
    X : object
        Rows.
    schema : Schema
        The model's columns.
    bad_rows : {"refuse", "skip"}
        For files.
    has_names : bool
        Whether the model was trained on columns with names, not on an array.

    Raises
    ------
    DataError
        None of the model's columns is there, or an array has not as many.
    """
    is_text = isinstance(X, str) and not forms.is_path(X)
    X, form = ([X], forms.TEXTS) if is_text else (X, forms.form_of(X))
    table = forms.read(X, form, bad_rows)
    is_known = any(c.name in table for c in schema.columns)
    if form == forms.TEXTS:
        return table if is_known else _rename(table, [_text_column(schema)])
    if form == forms.ARRAY or not (has_names or is_known):
        return _by_position(table, schema, warn=has_names or form != forms.ARRAY)
    check_columns(table, schema)
    return table


def _by_position(table: Table, schema: Schema, *, warn: bool) -> Table:
    """Take the columns in the order in which the model was trained on them."""
    names = [c.name for c in schema.columns]
    if len(table.names) != len(names):
        raise DataError(
            f"X has {len(table.names)} features, but UDT is expecting {len(names)} features as "
            f"input: {_some(names)}. Pass the columns that the model was trained on."
        )
    if warn:
        warnings.warn(
            "Only one of the tables to train on and to predict has names of columns; the columns "
            f"are taken in the order {_some(names)}.",
            UserWarning,
            stacklevel=_level_of_caller(),
        )
    return _rename(table, names)


def _level_of_caller() -> int:
    """Return how far up the stack whoever called udt is, for a warning to point there."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == "udt":
        level, frame = level + 1, frame.f_back
    return level


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


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


def check_columns(table: Table, schema: Schema) -> None:
    """Warn of columns that the table lacks; raise DataError if it has none of them."""
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
        stacklevel=_level_of_caller(),
    )


# -- kinds of columns --------------------------------------------------------------------------


def infer(rows: Labelled, kinds: KindOf) -> Schema:
    """Decide the columns' kinds.

    Numbers in an array are measurements, never identifiers; bare texts are text, even few that
    repeat.

    Raises
    ------
    SettingsError
        The user set the kind of an unknown column, or of the target.
    """
    if rows.target in kinds:
        raise SettingsError(
            f"Column '{rows.target}' was set to {kinds[rows.target][0]}, but it is the target. "
            "Expected one of the other columns; leave the setting out."
        )
    columns = {name: rows.table.column(name) for name in rows.table.names}
    by_form = _kinds_by_form(rows.form, columns)
    schema = infer_schema(columns, overrides={**by_form, **kinds})
    reason = f"passed as {rows.form}"
    return Schema(
        tuple(
            replace(c, reason=reason) if c.name in by_form and c.name not in kinds else c
            for c in schema.columns
        )
    )


def _kinds_by_form(form: str, columns: Mapping[str, pa.Array]) -> KindOf:
    """Return the kinds that follow from the form alone; columns of one value are left out."""
    kinds: KindOf = {}
    for name, column in columns.items():
        is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        if form == forms.ARRAY and is_number:
            kinds[name] = ("numeric", {})
        is_text = pa.types.is_large_string(column.type) and len(column.unique()) > 1
        if form == forms.TEXTS and is_text:
            kinds[name] = ("text", {})
    return kinds


def check_usable(table: Table, schema: Schema) -> None:
    """Refuse a table of which no column can be learned from.

    Raises
    ------
    EmptyTable
        All columns are constant, identifiers, ignored or without a value.
    """
    if any(table.column(c.name).null_count < table.n_rows for c in schema.used()):
        return
    why = "; ".join(f"'{c.name}' is {c.kind} ({c.reason})" for c in schema.columns[:5])
    raise EmptyTable(
        f"No column can be learned from: {why}. Expected at least one column with text or values "
        "that vary; set a column's kind yourself, e.g. as text, if one was misjudged."
    )
