"""What a table looks like before anything is trained: kinds, counts, and what to be wary of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt import columns, forms, inputs, label_forms, labels
from udt.errors import DataError
from udt.featurizers.infer import infer_schema
from udt.featurizers.schema import ColumnSchema, Schema
from udt.inputs import Labelled
from udt.metrics import have_unknown
from udt.params import check_bad_rows, check_multi_label, column_kinds
from udt.table import Table, as_table

_IMBALANCE = 10  # rows of the largest class ÷ rows of the smallest
_LEAK_MIN_ROWS = 50
_SHOWN = 5


def inspect(
    X: Any,
    target: str | None = None,
    *,
    text: Any = None,
    categorical: Any = None,
    numeric: Any = None,
    date: Any = None,
    multi: Any = None,
    ignore: Any = None,
    multi_label: str | bool | None = None,
    bad_rows: str = "refuse",
) -> dict[str, Any]:
    """Say what kind each column of a table is, and why; train nothing.

    Parameters
    ----------
    X : path, DataFrame, datasets.Dataset, list of dict, …
        The table.
    target : str, optional
        Column to predict.
    text, categorical, numeric, date, multi, ignore
        Columns whose kind you set, as in `UDT`.
    multi_label : str, False or None
        What separates the labels of a row, as in `UDT`.
    bad_rows : {"refuse", "skip"}
        What to do with malformed rows of a file.

    Returns
    -------
    dict
        ``schema``: column, kind, reason and params of every column but the target.
        ``facts``: ``source``; ``n_rows``; ``columns``, ``n_missing`` and ``n_distinct`` by name;
        ``n_duplicates``, rows that repeat an earlier one; ``warnings``, sentences; and with a
        target ``target``; ``classes``, ``label`` and ``n_rows`` of each, most frequent first;
        ``multi_label``; and ``label_form``, what was decided of it and why, if it was.

    Raises
    ------
    TargetNotFound
        The table has no such column.
    DataError
        It cannot be read.
    SettingsError
        A parameter's value cannot be used.

    Examples
    --------
    >>> found = inspect({"text": ["so good", "too bad"], "stars": [5, 1]}, "stars")
    >>> [(c["column"], c["kind"]) for c in found["schema"]]
    [('text', 'text')]
    >>> found["facts"]["classes"]
    [{'label': 1, 'n_rows': 1}, {'label': 5, 'n_rows': 1}]
    """
    kinds = column_kinds(
        text=text, categorical=categorical, numeric=numeric, date=date, multi=multi, ignore=ignore
    )
    separator = check_multi_label(multi_label)
    table = as_table(X, bad_rows=check_bad_rows(bad_rows))
    facts: dict[str, Any] = {
        "source": table.source,
        "n_rows": table.n_rows,
        "columns": {name: _count(table.column(name)) for name in table.names},
        "n_duplicates": table.n_rows - _n_distinct(table),
    }
    if target is None:
        schema = infer_schema({n: table.column(n) for n in table.names}, overrides=kinds)
        warnings = [*_about_columns(schema), *_about_file(table)]
    else:
        in_memory = forms.form_of(X) == forms.TABLE and not isinstance(X, str | os.PathLike)
        rows = inputs.read_training(X if in_memory else table, None, target, "refuse", separator)
        schema = inputs.infer(rows, kinds)
        counts = labels.class_counts(rows.labels)
        facts |= {
            "target": target,
            "classes": [{"label": label, "n_rows": n} for label, n in counts],
            "multi_label": rows.label_form.is_multi_label,
        }
        if rows.label_form.reason:
            facts["label_form"] = rows.label_form.told()
        warnings = [*_about_target(rows), *_about_columns(schema), *warn(rows, schema)]
    return {"schema": schema.to_list(), "facts": facts | {"warnings": warnings}}


def _count(column: pa.Array) -> dict[str, int]:
    """Return how many cells are missing and how many values differ."""
    n_distinct = pc.count_distinct(column, mode="only_valid").as_py()
    return {"n_missing": column.null_count, "n_distinct": n_distinct}


def _n_distinct(table: Table) -> int:
    """Return how many rows are no repetition of another."""
    columns = pa.table({str(i): table.column(n) for i, n in enumerate(table.names)})
    return int(columns.group_by(columns.column_names).aggregate([]).num_rows)


# -- warnings ----------------------------------------------------------------------------------


def warn(rows: Labelled, schema: Schema) -> list[str]:
    """Return what to know about labelled rows before trusting a model of them.

    Parameters
    ----------
    rows : Labelled
        Rows to learn from.
    schema : Schema
        Their columns.

    Returns
    -------
    list of str
        Sentences.
    """
    return [
        *_about_file(rows.table),
        *_about_labels(rows),
        *_about_leaks(rows, schema),
        *_about_repetitions(rows, schema),
    ]


def warn_of_unknown(test: Labelled, classes: npt.NDArray[Any]) -> list[str]:
    """Return a sentence if rows to measure on have labels that the model cannot predict."""
    n_unknown = int(have_unknown(labels.to_targets(test.labels, classes)).sum())
    if not n_unknown:
        return []
    have = "has a label" if n_unknown == 1 else "have labels"
    return [f"{_rows(n_unknown)} to test on {have} not seen in training: counted as wrong."]


def _about_file(table: Table) -> Iterator[str]:
    if table.n_skipped:
        yield f"{_rows(table.n_skipped)} of the file could not be read, and left out."


def _about_target(rows: Labelled) -> Iterator[str]:
    """Say why the target cannot be learned, if it cannot."""
    try:
        labels.check_target(rows.labels, rows.target)
    except DataError as error:
        yield str(error)


def _about_columns(schema: Schema) -> Iterator[str]:
    unused = [c for c in schema.columns if c.kind in ("identifier", "constant")]
    for column in unused[:_SHOWN]:
        yield f"Column '{column.name}' is not used: {column.kind} ({column.reason})."
    if len(unused) > _SHOWN:
        yield f"{len(unused) - _SHOWN:,} more columns are not used: identifiers and constants."


def _about_labels(rows: Labelled) -> Iterator[str]:
    if rows.n_unlabelled:
        yield f"{_rows(rows.n_unlabelled)} without a label left out."
    if rows.n_weightless:
        count = "counts" if rows.n_weightless == 1 else "count"
        yield f"{_rows(rows.n_weightless)} {count} 0, and left out."
    form = rows.label_form
    if form.is_multi_label and label_forms.counts(rows.labels).max() == 1:
        yield f"No row has several labels, separated by {form.separator!r}."
    counts = labels.class_counts(rows.labels)
    single = [label for label, n in counts if n == 1]
    if single:
        named = ", ".join(repr(label) for label in single[:_SHOWN])
        more = ", …" if len(single) > _SHOWN else ""
        classes = "class has" if len(single) == 1 else "classes have"
        yield (
            f"{len(single):,} {classes} one row only, so that nothing can be measured of "
            f"{'it' if len(single) == 1 else 'them'}: {named}{more}."
        )
    if counts and counts[0][1] >= _IMBALANCE * counts[-1][1]:
        (most, n_most), (least, n_least) = counts[0], counts[-1]
        yield (
            f"The classes are imbalanced: {_rows(n_most)} of {most!r}, {n_least:,} of {least!r}; "
            "look at macro-F1 rather than accuracy."
        )


def _about_leaks(rows: Labelled, schema: Schema) -> Iterator[str]:
    """Name columns that hold no text and yet tell nearly every row's label by themselves."""
    target, n = rows.labels, len(rows.labels) - rows.labels.null_count
    if label_forms.is_list(target):
        target = label_forms.join(target, rows.label_form.separator)
    if n < _LEAK_MIN_ROWS or len(labels.class_counts(target)) < 2:
        return
    classes = columns.codes_of(target, ColumnSchema(rows.target, "categorical", ""))
    for column in schema.used():
        if column.kind == "text":
            continue
        purity = columns.tells(columns.codes_of(rows.table.column(column.name), column), classes)
        if purity:
            yield (
                f"Column '{column.name}' alone tells the label of {100 * purity:.1f} % of the "
                "rows. It is used; if it is not known before the label is, leave it out as "
                "ignored."
            )


def _about_repetitions(rows: Labelled, schema: Schema) -> Iterator[str]:
    """Name columns that say what another one says."""
    found = list(columns.same_columns(rows.table, schema))
    for one, other in found[:_SHOWN]:
        yield (
            f"Columns '{one}' and '{other}' say the same. Both are used; leaving one out as "
            "ignored makes the model smaller."
        )
    if len(found) > _SHOWN:
        yield f"{len(found) - _SHOWN:,} more columns repeat another one."


def _rows(n: int) -> str:
    return f"{n:,} row{'' if n == 1 else 's'}"
