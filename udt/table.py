"""Table: Arrow columns of equal length, from anything that a user has.

Types are few after this door: ``large_string``, ``int64``, ``double``, ``bool``, dates and
timestamps; a missing value is an Arrow null, whatever it was before.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt._readers import read_file
from udt.errors import DataError, EmptyTable, SettingsError, did_you_mean

BadRows = Literal["refuse", "skip"]

_EXPECTED = (
    "a path, a dict of columns, a list of dicts, a list of texts, a pandas or polars DataFrame, "
    "a datasets.Dataset, a pyarrow.Table or a 2-D array"
)


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length; never changed, every method returns a new one.

    Attributes
    ----------
    n_rows : int
        Number of rows, also where no column is left.
    source : str
        Where it came from, for messages: a file's name, "stdin", "a DataFrame".
    n_skipped : int
        Malformed rows of the file that were left out.
    """

    _columns: Mapping[str, Any] = field(repr=False)
    n_rows: int
    source: str
    n_skipped: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def column(self, name: str) -> Any:
        """Return one column as a contiguous ``pyarrow.Array``; its ``offset`` may not be 0.

        Raises
        ------
        DataError
            There is no such column.
        """
        try:
            return self._columns[name]
        except KeyError:
            raise DataError(
                f"Column {name!r} is not in {self.source}. Its columns are: "
                f"{', '.join(self.names)}.{did_you_mean(name, self.names)}"
            ) from None

    def drop(self, *names: str) -> Table:
        """Return the table without some columns; names that it does not have are passed over."""
        return self._with({n: c for n, c in self._columns.items() if n not in names}, self.n_rows)

    def select(self, names: Iterable[str]) -> Table:
        """Return these columns, in this order. Raises DataError for an unknown one."""
        return self._with({n: self.column(n) for n in names}, self.n_rows)

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> Table:
        """Return a copy of the rows at ``indices`` (integers in [0, n_rows), repeats allowed)."""
        where = pa.array(indices)
        return self._with({n: c.take(where) for n, c in self._columns.items()}, len(where))

    def slice(self, start: int, stop: int) -> Table:
        """Return rows ``start`` to ``stop`` (exclusive) without copying anything."""
        start, stop, _ = slice(start, stop).indices(self.n_rows)
        n_rows = max(stop - start, 0)
        return self._with({n: c.slice(start, n_rows) for n, c in self._columns.items()}, n_rows)

    def with_column(self, name: str, array: Any) -> Table:
        """Return the table with one column added or replaced.

        Parameters
        ----------
        name : str
            Name of the column.
        array : array-like, shape (n_rows,)
            Anything that a dict of columns may hold.

        Raises
        ------
        DataError
            Its length is not the table's.
        """
        (column,) = _clean(pa.table({name: _to_arrow_array(array, name)}), self.source).columns
        if len(column) != self.n_rows:
            raise DataError(
                f"Column {name!r} has {len(column)} rows, {self.n_rows} were expected as in "
                f"{self.source}. Pass one value for each row."
            )
        return self._with({**self._columns, name: _contiguous(column)}, self.n_rows)

    def _with(self, columns: Mapping[str, Any], n_rows: int) -> Table:
        return Table(columns, n_rows, self.source, self.n_skipped)


def read_table(source: str | os.PathLike[str], *, bad_rows: BadRows = "refuse") -> Table:
    """Read a file, a glob, a folder of Parquet, stdin or a data set of the Hugging Face hub.

    Parameters
    ----------
    source : str or path
        ``.csv .tsv .json .jsonl .parquet .arrow``, each also ``.gz`` or ``.zst``; a glob of
        them; a folder of Parquet; ``"-"`` for stdin; ``"hf:owner/name[:config][@split]"``.
    bad_rows : {"refuse", "skip"}, default="refuse"
        Whether a malformed row refuses the file, or is left out and counted.

    Raises
    ------
    DataError
        The source cannot be read; `BadRow` with the line number, `EmptyTable` without rows.
    SettingsError
        ``bad_rows`` is neither of the two.

    Examples
    --------
    >>> read_table("reviews.csv").names  # doctest: +SKIP
    ('text', 'label')
    """
    if bad_rows not in ("refuse", "skip"):
        raise SettingsError(
            "The 'bad_rows' parameter of read_table must be 'refuse' or 'skip'. "
            f"Got {bad_rows!r} instead."
        )
    name = os.fspath(source)
    if name.startswith("hf:"):
        return _finish(_clean(_read_hub(name), name), name)
    skip = bad_rows == "skip"
    parts, n_skipped = [], 0
    for path in _files(name):
        table, skipped = read_file(path, skip)
        parts.append((path, _clean(table, path)))
        n_skipped += skipped
    shown = "stdin" if name == "-" else name
    return _finish(_concat(parts), shown, n_skipped)


def as_table(data: Any, *, bad_rows: BadRows = "refuse") -> Table:
    """Make a Table of whatever the user has.

    Parameters
    ----------
    data : object
        A path (see `read_table`), a Table, a dict of columns or of single values (one row), a
        list of dicts, of texts or of rows, a pandas or polars frame or series, a
        ``datasets.Dataset``, a ``pyarrow.Table``, or an array: 2-D columns are called x0, x1, …;
        1-D texts become the column "text".
    bad_rows : {"refuse", "skip"}, default="refuse"
        As in `read_table`; matters for files only.

    Raises
    ------
    TypeError
        Sparse data, or nothing that is known.
    DataError
        Columns of different length, an array that is not 2-D, bytes that are not UTF-8.
    EmptyTable
        No row or no column.

    Examples
    --------
    >>> as_table({"text": ["good", "bad"], "stars": [5, 1]}).names
    ('text', 'stars')
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, (str, os.PathLike)):
        return read_table(data, bad_rows=bad_rows)
    table, source = _convert(data)
    return _finish(_clean(table, source), source)


def _finish(table: Any, source: str, n_skipped: int = 0) -> Table:
    """Copy each column into one piece, letting go of its pieces as soon as it is done."""
    n_rows, names = table.num_rows, table.column_names
    if n_rows == 0 or not names:
        left = f" {n_skipped} malformed rows were skipped." if n_skipped else ""
        raise EmptyTable(
            f"{source} has {n_rows} rows and {len(names)} columns.{left} "
            "Expected at least one row and one column."
        )
    pieces = table.columns[::-1]
    del table
    columns = {name: _contiguous(pieces.pop()) for name in names}
    return Table(columns, n_rows, source, n_skipped)


def _contiguous(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


# --- Files -------------------------------------------------------------------------------------


def _files(name: str) -> list[str]:
    """Resolve a path, a glob or a folder to the files to read, sorted."""
    if name == "-":
        return [name]
    name = os.path.expanduser(name)
    if os.path.isdir(name):
        found = sorted(Path(name).rglob("*.parquet"))
        shown = [p for p in found if not any(x[0] in "._" for x in p.relative_to(name).parts)]
        if not shown:
            raise DataError(
                f"{name} is a directory without Parquet files. Expected a file, or a folder of "
                f".parquet; for other formats write a glob, e.g. '{name.rstrip('/')}/*.csv'."
            )
        return [str(p) for p in shown]
    if not os.path.exists(name) and glob.has_magic(name):
        files = sorted(p for p in glob.glob(name, recursive=True) if os.path.isfile(p))
        if not files:
            raise DataError(f"No file matches {name}. Check the pattern and its folder.")
        return files
    return [name]


def _concat(parts: list[tuple[str, Any]]) -> Any:
    """Put files on top of each other; the columns' order may differ, their names may not."""
    first_path, first = parts[0]
    if len(parts) == 1:
        return first
    tables = []
    for path, table in parts:
        if set(table.column_names) != set(first.column_names):
            raise DataError(
                f"{path} has the columns {', '.join(table.column_names)}; expected were those of "
                f"{first_path}: {', '.join(first.column_names)}. Make them agree, or read the "
                "files apart."
            )
        tables.append(table.select(first.column_names))
    columns = [
        _concat_column([(p, t.column(i)) for (p, _), t in zip(parts, tables, strict=True)], name)
        for i, name in enumerate(first.column_names)
    ]
    return pa.table(columns, names=first.column_names)


def _concat_column(parts: list[tuple[str, Any]], name: str) -> Any:
    """Chain one column of all files, in their common type: int64 and text, say, are text."""
    kinds = {c.type: path for path, c in parts if c.null_count < len(c)} or {pa.large_string(): ""}
    if len(kinds) == 1:
        (kind,) = kinds
    elif set(kinds) == {pa.int64(), pa.float64()}:
        kind = pa.float64()
    elif pa.large_string() in kinds:
        kind = pa.large_string()
    elif all(pa.types.is_timestamp(k) for k in kinds) and len({k.tz for k in kinds}) == 1:
        kind = pa.timestamp("ns", next(iter(kinds)).tz)
    else:
        (one, path), (other, other_path) = list(kinds.items())[:2]
        raise DataError(
            f"Column {name!r} is {other} in {other_path}, but {one} in {path}. Expected one type; "
            "convert one of the files."
        )
    empty = [c.null_count == len(c) for _, c in parts]
    cast = [
        pa.chunked_array([pa.nulls(len(c), kind)]) if e else c.cast(kind)
        for (_, c), e in zip(parts, empty, strict=True)
    ]
    return pa.chunked_array([chunk for c in cast for chunk in c.chunks], type=kind)


def _read_hub(name: str) -> Any:
    """Read ``hf:owner/name[:config][@split]`` through the datasets library; split: train."""
    import datasets

    path, _, split = name.removeprefix("hf:").partition("@")
    path, _, config = path.partition(":")
    try:
        data = datasets.load_dataset(path, config or None, split=split or "train")
    except (OSError, ValueError) as error:  # no such set, no network; no such config or split
        raise DataError(
            f"{name} cannot be loaded: {str(error).splitlines()[0]} Expected "
            "hf:owner/name[:config][@split]; check the name and the network."
        ) from error
    return data.with_format("arrow")[:]


# --- Values in memory --------------------------------------------------------------------------


def _convert(data: Any) -> tuple[Any, str]:
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
        return pa.table({name: _to_arrow_array(data, name)})
    names = [str(name) for name in data.columns]
    arrays = [_to_arrow_array(data.iloc[:, i], name) for i, name in enumerate(names)]
    return pa.table(arrays, names=names) if names else pa.table({})


def _from_columns(data: Mapping[Any, Any]) -> Any:
    """Read a dict of columns, or of single values for a table of one row."""
    values = {str(n): list(v) if isinstance(v, Iterator) else v for n, v in data.items()}
    is_row = not any(_is_column(value) for value in values.values())
    columns = {n: _to_arrow_array([v] if is_row else v, n) for n, v in values.items()}
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
        return pa.table({"text": _to_arrow_array(data, "text")}) if data else pa.table({})
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
            return pa.table({"text": _to_arrow_array(values, "text")})
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
    return pa.table([_to_arrow_array(data[:, j], n) for j, n in enumerate(names)], names=names)


def _to_arrow_array(values: Any, name: str) -> Any:
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


# --- One type for each meaning -----------------------------------------------------------------


def _clean(table: Any, source: str) -> Any:
    """Flatten structs to ``a.b``, make names unique and cast every column to a type of ours."""
    while any(pa.types.is_struct(t) for t in table.schema.types):
        table = table.flatten()
    names: dict[str, None] = {}
    for name in table.column_names:
        unique, i = name, 2
        while unique in names or (unique != name and unique in table.column_names):
            unique, i = f"{name}_{i}", i + 1
        names[unique] = None
    columns = [_clean_column(c, n, source) for c, n in zip(table.columns, names, strict=True)]
    return pa.table(columns, names=list(names)) if columns else table


def _clean_column(column: Any, name: str, source: str) -> Any:
    kind, types = column.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.chunked_array([c.storage for c in column.chunks], type=kind.storage_type)
        return _clean_column(storage, name, source)
    if types.is_dictionary(kind):
        return _clean_column(column.cast(kind.value_type), name, source)
    if types.is_run_end_encoded(kind):
        return _clean_column(pc.run_end_decode(column), name, source)
    if types.is_boolean(kind) or types.is_date(kind) or types.is_timestamp(kind):
        return column
    if kind in (pa.int64(), pa.large_string()):
        return column
    if types.is_floating(kind) or types.is_decimal(kind):
        column = column.cast(pa.float64())
        nan = pc.is_nan(column)
        return (
            pc.if_else(nan, pa.scalar(None, pa.float64()), column)
            if pc.any(nan).as_py()
            else column
        )
    try:
        return column.cast(pa.int64() if types.is_integer(kind) else pa.large_string())
    except pa.ArrowInvalid as error:
        if types.is_integer(kind):  # unsigned beyond 63 bits: an identifier, each digit counts
            return column.cast(pa.large_string())
        raise DataError(
            f"Column {name!r} of {source} holds bytes that are not UTF-8 text. Expected texts, "
            "numbers, booleans or dates; decode the column or leave it out."
        ) from error
    except pa.ArrowNotImplementedError:
        return _nested_to_text(column)


def _nested_to_text(column: Any) -> Any:
    """Join lists by ``|``; what is deeper, such as a list of objects, becomes its JSON."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        try:
            lists = column.cast(pa.list_(pa.string()))
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            pass  # lists of objects; of bytes that are no text
        else:
            return pa.chunked_array([_join(c) for c in lists.chunks], type=pa.large_string())
    texts = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _join(lists: Any) -> Any:
    """Join each list of strings by ``|``, an item that is null as an empty one."""
    values = pc.fill_null(lists.values, "")
    plain = pa.ListArray.from_arrays(lists.offsets, values)
    joined = pc.if_else(lists.is_valid(), pc.binary_join(plain, "|"), pa.scalar(None, pa.string()))
    return joined.cast(pa.large_string())
