"""Table: Arrow columns of equal length, from anything that a user has.

Types are few after this door: ``large_string``, ``int64``, ``double``, ``bool``, dates and
timestamps; a missing value is an Arrow null, whatever it was before.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt._memory import to_arrow, to_arrow_array
from udt._readers import read_file
from udt._stream import read_stream
from udt._types import clean
from udt.errors import DataError, EmptyTable, SettingsError, did_you_mean

BadRows = Literal["refuse", "skip"]


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
        (column,) = clean(pa.table({name: to_arrow_array(array, name)}), self.source).columns
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
        return _finish(clean(_read_hub(name), name), name)
    skip = bad_rows == "skip"
    parts, n_skipped = [], 0
    for path in _files(name):
        table, skipped = read_file(path, skip)
        parts.append((path, clean(table, path)))
        n_skipped += skipped
    shown = "stdin" if name == "-" else name
    return _finish(_concat(parts), shown, n_skipped)


def read_blocks(source: str) -> Iterator[Table]:
    """Yield a table in parts: a long CSV on stdin as it comes, anything else as one.

    Parameters
    ----------
    source : str
        As in `read_table`.

    Raises
    ------
    DataError
        As in `read_table`; within a stream, after the parts before have been yielded.
    """
    if source != "-":
        yield read_table(source)
        return
    for table in read_stream(sys.stdin.buffer):
        yield _finish(_concat([("stdin", clean(table, "stdin"))]), "stdin")


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
    table, source = to_arrow(data)
    return _finish(clean(table, source), source)


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
