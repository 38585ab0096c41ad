"""What users hand to the estimator: settings checked, rows and labels brought into one form."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d, validate_data

from udt.errors import DataError, EmptyTable, SettingsError, TargetNotFound, did_you_mean
from udt.featurizers.infer import infer_schema
from udt.featurizers.schema import Schema
from udt.table import Table, as_table

if TYPE_CHECKING:
    from udt.classifier import UDT

MAX_CONFUSION_CLASSES = 200
"""With more classes the most confused pairs are listed instead of a matrix."""

_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|)\s*")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_KIND_PARAMETERS = ("text", "categorical", "numeric", "date", "ignore")
_TABLE_ENDING = re.compile(r"\.(csv|tsv|jsonl?|ndjson|parquet|arrow|feather)(\.(gz|zst))?$")


@dataclass(frozen=True)
class Checked:
    """Settings in the form that the run needs.

    Attributes
    ----------
    time_limit_s : float or None
        Seconds.
    width : int or None
        Hidden neurons.
    seed : int
        The user's, or a fresh one.
    is_seeded : bool
        Whether the user gave a seed: then one thread trains.
    n_threads : int
        CPU threads.
    """

    time_limit_s: float | None
    width: int | None
    seed: int
    is_seeded: bool
    n_threads: int


def _refuse(name: str, expected: str, value: object) -> SettingsError:
    return SettingsError(
        f"The '{name}' parameter of UDT must be {expected}. Got {value!r} instead."
    )


def check_settings(model: UDT) -> Checked:
    """Check an estimator's parameters.

    Raises
    ------
    SettingsError
        A value cannot be used.
    """
    width = model.width
    if width is not None and (not _is_int(width) or width < 0):
        raise _refuse("width", "a whole number from 0 up, or None", width)
    if model.bad_rows not in ("refuse", "skip"):
        raise _refuse("bad_rows", "'refuse' or 'skip'", model.bad_rows)
    seed = model.random_state
    if seed is not None and not isinstance(seed, np.random.RandomState) and not _is_int(seed):
        raise _refuse("random_state", "a whole number, a RandomState or None", seed)
    if _is_int(seed) and not 0 <= seed < 2**32:
        raise _refuse("random_state", "from 0 to 4294967295", seed)
    drawn = np.random.default_rng() if seed is None else check_random_state(seed)
    number = drawn.integers(2**31) if seed is None else drawn.randint(2**31)
    return Checked(
        time_limit_s=parse_time(model.time_limit),
        width=None if width is None else int(width),
        seed=int(number),
        is_seeded=seed is not None,
        n_threads=usable_threads(model.n_threads),
    )


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def parse_time(value: float | str | None) -> float | None:
    """Return a time limit in seconds.

    Examples
    --------
    >>> parse_time("5m"), parse_time(90)
    (300.0, 90.0)
    """
    if value is None:
        return None
    match = _TIME.fullmatch(str(value))
    if not match or float(match[1]) <= 0:
        raise _refuse("time_limit", "a time above 0 such as 90, '90s', '5m' or '1h'", value)
    return float(match[1]) * _SECONDS[match[2]]


def usable_threads(n_threads: int | None) -> int:
    """Return how many threads to run.

    Raises
    ------
    SettingsError
        Not a whole number from 1 up.
    """
    if n_threads is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not _is_int(n_threads) or n_threads < 1:
        raise _refuse("n_threads", "a whole number from 1 up, or None", n_threads)
    return int(n_threads)


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held, bytes; 0 where that is not known."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


# -- rows ------------------------------------------------------------------------------------


def is_array(X: Any) -> bool:
    """Whether rows come as scikit-learn passes them: an array, or lists of numbers."""
    if isinstance(X, np.ndarray):
        return not (X.ndim == 1 and X.dtype.kind in "OUS" and _holds_text(X))
    if isinstance(X, list | tuple) and len(X) > 0:
        return not isinstance(X[0], str | dict) and not hasattr(X[0], "keys")
    return hasattr(X, "toarray") or (
        hasattr(X, "__array__")
        and not hasattr(X, "columns")
        and type(X).__module__.split(".")[0]
        not in ("pandas", "polars", "pyarrow", "datasets", "udt")
    )


def _holds_text(X: npt.NDArray[Any]) -> bool:
    return all(isinstance(v, str) or v is None for v in X[:100])


def _names(model: UDT) -> list[str]:
    """Return the names of the columns that `fit` saw."""
    return [c.name for c in model.schema_.columns]


def _array_table(model: UDT, X: Any, *, reset: bool) -> Table:
    """Return an array's columns, checked as scikit-learn does."""
    checked = validate_data(
        model, X, reset=reset, dtype=None, ensure_all_finite=False, accept_sparse=False
    )
    if checked.dtype.kind == "c":
        raise DataError("Complex data not supported. Expected real numbers or text.")
    return as_table(np.asarray(checked))


def _set_names(model: UDT, table: Table) -> None:
    model.n_features_in_ = len(table.names)
    model.feature_names_in_ = np.array(table.names, dtype=object)


def read_training(model: UDT, X: Any, y: Any) -> tuple[Table, pa.Array, str]:
    """Return the feature columns, the labels and the target's name.

    Raises
    ------
    TargetNotFound
        The table has no such column.
    DataError
        Rows and labels do not fit together.
    """
    if y is None:
        if model.target is None:
            if is_array(X):
                raise SettingsError(
                    "This UDT estimator requires y to be passed, but the target y is None."
                )
            raise SettingsError(
                "The 'target' parameter of UDT must be a column's name unless y is passed. "
                "Got None instead."
            )
        table = as_table(X, bad_rows=model.bad_rows)
        _check_has_target(table, model.target)
        rest = table.drop(model.target)
        if not rest.names:
            raise EmptyTable(
                f"{table.source} has no column but the target '{model.target}'. "
                "Expected at least one column to learn from."
            )
        _set_names(model, rest)
        return rest, table.column(model.target), model.target
    if is_array(X):
        if hasattr(model, "feature_names_in_"):
            del model.feature_names_in_
        table = _array_table(model, X, reset=True)
    else:
        table = as_table(X, bad_rows=model.bad_rows)
        _set_names(model, table)
    name = model.target or getattr(y, "name", None) or "y"
    column = label_column(y)
    if len(column) != table.n_rows:
        raise DataError(
            f"Found input variables with inconsistent numbers of samples: {table.n_rows} rows, "
            f"{len(column)} labels. Expected one label per row."
        )
    if str(name) in table:
        table = table.drop(str(name))
    return table, column, str(name)


def label_column(y: Any) -> pa.Array:
    """Return labels as an Arrow column; NaN and None are null.

    Raises
    ------
    DataError
        Not one-dimensional.
    """
    if isinstance(y, pa.Array | pa.ChunkedArray):
        return as_table({"y": y}).column("y")
    array = column_or_1d(y, warn=True)
    if array.dtype.kind == "f" and np.isinf(array).any():
        raise DataError("Input y contains infinity. Expected labels, or NaN where one is missing.")
    return as_table({"y": array.tolist() if array.dtype.kind in "OUS" else array}).column("y")


def _check_has_target(table: Table, target: str) -> None:
    if target not in table:
        hint = did_you_mean(target, table.names)
        if not hint:
            same = [n for n in table.names if n.casefold() == target.casefold()]
            hint = f" Did you mean '{same[0]}'?" if same else ""
        raise TargetNotFound(
            f"Target column '{target}' is not in {table.source}. "
            f"Its columns are: {', '.join(table.names)}.{hint}"
        )


def drop_unlabelled(table: Table, column: pa.Array) -> tuple[Table, pa.Array, int]:
    """Leave out rows without a label; return how many they were."""
    n_missing = column.null_count
    if n_missing in (0, len(column)):
        return table, column, 0
    kept = np.flatnonzero(np.asarray(column.is_valid()))
    return table.take(kept), column.take(pa.array(kept)), n_missing


def append_valid(model: UDT, table: Table, column: pa.Array, valid: Any) -> tuple[Table, pa.Array]:
    """Append the rows to make choices on, those whose label is known."""
    other, other_column = read_labelled(model, valid)
    other, other_column, _ = drop_unlabelled(other, other_column)
    known = np.flatnonzero(np.asarray(pc.is_in(other_column, value_set=pc.unique(column))))
    if len(known) == 0:
        raise DataError(
            f"No row of {other.source} has a label that the training table has. "
            "Expected the same target column with the same labels."
        )
    other, other_column = other.take(known), other_column.take(pa.array(known))
    both = {}
    for name in table.names:
        own = table.column(name)
        new = other.column(name) if name in other else pa.nulls(other.n_rows, own.type)
        both[name] = pa.concat_arrays([own, new if new.type == own.type else new.cast(own.type)])
    joined = as_table(pa.table(both))
    return joined, pa.concat_arrays([column, other_column.cast(column.type)])


def read_labelled(model: UDT, X: Any, y: Any = None) -> tuple[Table, pa.Array]:
    """Return rows and their labels, from the target column or from y."""
    if y is not None:
        return read_rows(model, X), label_column(y)
    table = as_table(X, bad_rows=model.bad_rows)
    _check_has_target(table, model.target_)
    if table.n_rows == 0:
        raise EmptyTable(f"{table.source} has no row. Expected at least one.")
    return table.drop(model.target_), table.column(model.target_)


def read_rows(model: UDT, X: Any) -> Table:
    """Return rows to predict: a table with (some of) the columns that `fit` saw.

    A string is one text, unless it names an existing table file. Missing columns are warned of
    and count as missing, extra ones are ignored.
    """
    if isinstance(X, Table):
        return _with_columns(model, X)
    if is_array(X):
        return _array_table(model, X, reset=False)
    if isinstance(X, str) and not (_TABLE_ENDING.search(X) and Path(X).is_file()):
        X = [X]
    table = as_table(X, bad_rows=model.bad_rows)
    is_bare_text = not hasattr(X, "keys") and not hasattr(X, "columns") and table.names == ("text",)
    if is_bare_text and "text" not in _names(model):
        texts = [c.name for c in model.schema_.used() if c.kind == "text"]
        if len(texts) != 1:
            raise DataError(
                f"Got bare texts, but the model has {len(texts)} text columns. "
                f"Expected rows with the columns: {', '.join(_names(model))}."
            )
        table = Table({texts[0]: table.column("text")}, table.n_rows, table.source)
        return table
    return _with_columns(model, table)


def _with_columns(model: UDT, table: Table) -> Table:
    missing = [c.name for c in model.schema_.used() if c.name not in table]
    if missing and len(missing) == len(model.schema_.used()):
        raise DataError(
            f"{table.source} has none of the model's columns. Expected: {', '.join(missing)}. "
            f"Its columns are: {', '.join(table.names)}."
        )
    if missing:
        warnings.warn(
            f"{table.source} lacks columns that the model was trained on; they count as missing: "
            f"{', '.join(missing)}.",
            UserWarning,
            stacklevel=4,
        )
    return table


# -- kinds -----------------------------------------------------------------------------------


def _overrides(model: UDT) -> Iterator[tuple[str, tuple[str, Mapping[str, Any]]]]:
    for parameter in _KIND_PARAMETERS:
        value = getattr(model, parameter)
        kind = "ignored" if parameter == "ignore" else parameter
        for name in [value] if isinstance(value, str) else value or ():
            yield name, (kind, {})
    for name, separator in (model.multi or {}).items():
        yield name, ("multi", {"separator": separator} if separator else {})


def infer(model: UDT, table: Table, *, is_array: bool) -> Schema:
    """Decide the columns' kinds; numbers in an array are measurements, never identifiers."""
    columns = {name: table.column(name) for name in table.names}
    overrides = dict(_overrides(model))
    if is_array:
        for name, column in columns.items():
            is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
            if is_number and name not in overrides:
                overrides[name] = ("numeric", {})
    return infer_schema(columns, overrides=overrides)


def no_usable_column(schema: Schema) -> str:
    """Say why nothing can be learned from."""
    why = "; ".join(f"'{c.name}' is {c.kind} ({c.reason})" for c in schema.columns[:5])
    return (
        f"No column can be learned from: {why}. Expected at least one column with text or values "
        "that vary; set a column's kind yourself, e.g. --text COL, if one was misjudged."
    )
