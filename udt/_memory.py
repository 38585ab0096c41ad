"""Values in memory to Arrow: frames, dicts, lists, arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.errors import DataError, EmptyTable

_EXPECTED = (
    "a path, a dict of columns, a list of dicts, a list of texts, a pandas or polars DataFrame, "
    "a datasets.Dataset, a pyarrow.Table or a 2-D array"
)


def to_arrow(data: Any) -> tuple[Any, str]:
    """Return a ``pyarrow.Table`` and words for where it came from."""
    # By module name, so that a library that is not used is never imported.
    family = {c.__module__.split(".")[0] for c in type(data).__mro__}
    kind = type(data).__name__
    if "scipy" in family or hasattr(data, "tocsr"):
        raise TypeError(f"{kind} is sparse data. Expected {_EXPECTED}; use .toarray() if small.")
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return pa.table(data), f"a pyarrow.{kind}"
    if "pandas" in family:
        return _from_pandas(data), f"a {kind}"
    if "polars" in family:
        frame = data.to_frame() if kind == "Series" else data
        return (frame.collect() if kind == "LazyFrame" else frame).to_arrow(), f"a polars {kind}"
    if "datasets" in family and kind == "Dataset":
        return data.with_format("arrow")[:], "a datasets.Dataset"
    if "datasets" in family and isinstance(data, Mapping):
        raise DataError(
            f"The {kind} holds the splits {', '.join(map(str, data))}. Expected one table; pass "
            "one of them."
        )
    if isinstance(data, Mapping):
        return _from_columns(data), "a dict"
    if isinstance(data, (list, tuple)):
        return _from_rows(data), f"a {kind}"
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        return pa.table({"text": data}), "an Arrow array"
    if hasattr(data, "__array__"):
        return _from_array(np.asarray(data)), "an array"
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data), f"a {kind}"
    raise TypeError(f"A {kind} cannot be read as a table. Expected {_EXPECTED}.")


def _from_pandas(data: Any) -> Any:
    if data.ndim == 1:
        name = "text" if data.name is None else str(data.name)
        return pa.table({name: to_arrow_array(data, name)})
    names = [str(name) for name in data.columns]
    arrays = [to_arrow_array(data.iloc[:, i], name) for i, name in enumerate(names)]
    return pa.table(arrays, names=names) if names else pa.table({})


def _from_columns(data: Mapping[Any, Any]) -> Any:
    """Read a dict of columns, or of single values for a table of one row."""
    values = {str(n): list(v) if isinstance(v, Iterator) else v for n, v in data.items()}
    is_row = not any(_is_column(value) for value in values.values())
    columns = {n: to_arrow_array([v] if is_row else v, n) for n, v in values.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise DataError(f"The columns differ in length: {shown}. Expected as many values in each.")
    return pa.table(columns)


def _is_column(value: Any) -> bool:
    return not isinstance(value, (str, bytes, Mapping)) and hasattr(value, "__len__")


def _from_rows(data: Sequence[Any]) -> Any:
    """Read a list of dicts, of texts or of rows."""
    if all(isinstance(row, str) or row is None for row in data):
        return pa.table({"text": to_arrow_array(data, "text")}) if data else pa.table({})
    if all(isinstance(row, Mapping) for row in data):
        names = dict.fromkeys(name for row in data for name in row)
        return _from_columns({name: [row.get(name) for row in data] for name in names})
    if not all(isinstance(row, (list, tuple, np.ndarray)) for row in data):
        kinds = sorted({type(row).__name__ for row in data})
        raise DataError(
            f"Expected 2D array, got 1D array instead: a list of {', '.join(kinds)}. Expected "
            "dicts, texts or rows, all alike. Reshape your data, or pass a dict of columns."
        )
    width = len(data[0])
    for i, row in enumerate(data):
        if len(row) != width:
            raise DataError(
                f"Row {i} of the list has {len(row)} cells, {width} were expected as in row 0. "
                "Pass rows of equal length, or dicts."
            )
    return _from_columns({f"x{j}": [row[j] for row in data] for j in range(width)})


def _from_array(data: npt.NDArray[Any]) -> Any:
    """Read an array: 2-D, or 1-D if it holds texts."""
    if data.dtype.kind == "c":
        raise DataError("Complex data not supported. Pass real numbers, e.g. two columns.")
    if data.ndim == 1 and data.dtype.kind in "OUT":
        values = data.tolist()
        if all(isinstance(v, str) or v is None or _is_nan(v) for v in values):
            return pa.table({"text": to_arrow_array(values, "text")})
    if data.ndim != 2:
        raise DataError(
            f"Expected 2D array, got {data.ndim}D array instead, of shape {data.shape}. Reshape "
            "your data: one row per example, array.reshape(-1, 1) for a single column."
        )
    if 0 in data.shape:
        what, least = ("sample", data.shape[0]) if data.shape[1] else ("feature", data.shape[1])
        raise EmptyTable(
            f"Found array with {least} {what}(s) (shape={data.shape}) while a minimum of 1 is "
            "required. Pass at least one row and one column."
        )
    names = [f"x{j}" for j in range(data.shape[1])]
    return pa.table([to_arrow_array(data[:, j], n) for j, n in enumerate(names)], names=names)


def to_arrow_array(values: Any, name: str) -> Any:
    """Convert one column; values of mixed types become texts, NaN and None nulls."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise DataError(
            f"Column {name!r} is an array of shape {shape}. Expected one value for each "
            "row; pass its columns one by one."
        )
    if not hasattr(values, "__len__"):
        raise DataError(
            f"Column {name!r} is the single value {values!r}, where others are lists. Expected "
            "one value for each row."
        )
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        pass
    except (OverflowError, UnicodeEncodeError):  # beyond 64 bits; half of a surrogate pair
        pass
    return pa.array([_to_text(v, name, i) for i, v in enumerate(values)], pa.large_string())


def _to_text(value: Any, name: str, row: int) -> str | None:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if _is_nan(value):
        return None
    if isinstance(value, (Mapping, list, set)):
        raise TypeError(
            f"Column {name!r}, row {row}, holds a {type(value).__name__} among other values: each "
            "argument must be a string, a number, a date or None."
        )
    return str(value).encode("utf-8", "replace").decode()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value
