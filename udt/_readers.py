"""Files to Arrow: which format, then pyarrow's own readers, and a plain sentence when they fail.

The quick path never makes a Python object of a cell. Only after Arrow has refused a file is it
read again, slowly, to find the line that is wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.json as pajson

from udt.errors import BadRow, DataError, EmptyTable, did_you_mean

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
"""File name endings that are read, each also with .gz or .zst after it."""

ACCEPTED = f"Accepted are {' '.join(FORMATS)}, each also .gz or .zst."

_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}
_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_SEPARATORS = ",;\t|"
_HEAD_BYTES = 1 << 17  # no cell of the head can pass the limit of the csv module, 131,072
_BLOCK_BYTES = 1 << 22
_MAX_BLOCK_BYTES = (1 << 31) - 1
_HEADER_SAMPLE = 200  # rows looked at to tell a header from data
_SKIP_HINT = '--bad-rows skip (in Python: bad_rows="skip")'
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)*|\.\d+)([eE][+-]?\d+)?%?")


@dataclass(frozen=True)
class Source:
    """One input that can be read more than once.

    Attributes
    ----------
    name : str
        For messages: the path as given, or "stdin".
    where : str or pyarrow.Buffer
        A path, or the bytes themselves where they can be read only once (stdin, a pipe).
    codec : str or None
        "gzip", "zstd" or None; told by the first bytes, not by the name.
    head : bytes
        The first 128 KiB, decompressed, and at least the whole first line.
    cut : bool
        Whether there is more than the head.
    """

    name: str
    where: Any
    codec: str | None
    head: bytes
    cut: bool

    def open(self) -> Any:
        """Return a stream of the decompressed bytes."""
        return _open(self.where, self.codec)

    def read(self) -> Any:
        """Return all decompressed bytes as one ``pyarrow.Buffer``."""
        with self.open() as stream:
            return stream.read_buffer()


def _open(where: Any, codec: str | None) -> Any:
    raw = pa.OSFile(where) if isinstance(where, str) else pa.BufferReader(where)
    return pa.CompressedInputStream(raw, codec) if codec else raw


def open_source(path: str) -> Source:
    """Open a path, or ``"-"`` for stdin.

    Raises
    ------
    DataError
        Missing, a directory, not readable, or not decompressible.
    EmptyTable
        No bytes in it.
    """
    name = "stdin" if path == "-" else path
    try:
        if path == "-":
            where: Any = pa.py_buffer(sys.stdin.buffer.read())
        elif not stat.S_ISREG(os.stat(path).st_mode):
            where = pa.py_buffer(Path(path).read_bytes())  # a pipe gives its bytes only once
        else:
            where = path
        with _open(where, None) as raw:
            first = raw.read(4)
        codec = next((c for magic, c in _CODECS.items() if first.startswith(magic)), None)
        with _open(where, codec) as stream:
            head = stream.read(_HEAD_BYTES)
            while b"\n" not in head and (more := stream.read(len(head))):
                head += more
            cut = bool(stream.read(1))
    except OSError as error:
        raise _unreadable(path, name, error) from error
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise EmptyTable(f"{name} is empty. Expected a table: a header and at least one row.")
    return Source(name, where, codec, head, cut)


def _unreadable(path: str, name: str, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        folder = Path(path).parent
        if not folder.is_dir():
            return DataError(f"{name} does not exist, nor does its folder. Check the path.")
        near = did_you_mean(Path(path).name, sorted(os.listdir(folder)))
        return DataError(f"{name} does not exist. Check the path.{near}")
    if isinstance(error, PermissionError):
        return DataError(f"{name} may not be read by this user. Check its permissions.")
    return DataError(
        f"{name} cannot be read: {error}. Expected a whole file; copy or download it again."
    )


def read_file(path: str, skip: bool) -> tuple[Any, int]:
    """Read one file with the reader its content and name ask for.

    Parameters
    ----------
    path : str
        A path, or ``"-"`` for stdin.
    skip : bool
        Leave out malformed rows instead of refusing the file.

    Returns
    -------
    table : pyarrow.Table
        Columns as the format types them; CSV columns are int64 or large_string.
    n_skipped : int
        Malformed rows left out.

    Raises
    ------
    DataError
        And its children; every message names the file.
    """
    source = open_source(path)
    kind = _format_of(source)
    try:
        if kind in ("csv", "tsv"):
            return _read_csv(source, "\t" if kind == "tsv" else None, skip)
        if kind == "json":
            return _read_json(source, skip)
        return (_read_parquet(source) if kind == "parquet" else _read_ipc(source)), 0
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{source.name} cannot be read as {kind}: {reason}. "
            "The file may be damaged; write or download it again."
        ) from error


def _format_of(source: Source) -> str:
    """Tell the format: binary marks first, then the name, then what the text looks like."""
    for magic, kind in _MAGIC.items():
        if source.head.startswith(magic):
            return kind
    endings = [s.lower() for s in Path(source.name).suffixes]
    if endings and endings[-1] in (".gz", ".zst", ".zstd"):
        endings.pop()
    kind = FORMATS.get(endings[-1], "") if endings else ""
    if kind in ("parquet", "arrow"):
        raise DataError(
            f"{source.name} is not {kind}: it does not begin as such a file does. "
            "Write or download it again, or give it the ending of what it is."
        )
    _refuse_non_text(source, known=bool(kind))
    if kind:
        return kind
    text = _decode(source.head).lstrip()
    if text[:1] in ("[", "{"):
        return "json"
    if source.name == "stdin" or _sniff_separator(text, source.cut)[1] >= 0.9:
        return "csv"
    raise DataError(f"{source.name} is in no known format. {ACCEPTED}")


def _refuse_non_text(source: Source, known: bool) -> None:
    head = source.head
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(
            f"{source.name} is UTF-16. Expected UTF-8. Convert it first, e.g. "
            f"iconv -f utf-16 -t utf-8 {source.name} > utf8.csv"
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        limit = 0.1
    except UnicodeDecodeError:
        limit = 0.03  # latin-1 text has no control characters either
    control = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\v\f\r\x1b")
    # A NUL may stand inside a cell of honest text, but in no header.
    if b"\0" in head.split(b"\n", 1)[0] or control > limit * len(head):
        hint = "Export it as CSV or Parquet." if known else ACCEPTED
        raise DataError(f"{source.name} is binary data. Expected a table as text. {hint}")


def _decode(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace")


def _refuse_non_utf8(source: Source, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{source.name} is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x}. "
            f"Convert it first, e.g. iconv -f latin1 -t utf8 {source.name} > utf8.csv"
        ) from error


def _with_growing_blocks(read: Callable[[int], Any]) -> Any:
    """Call a block reader, with larger blocks while a single row does not fit into one."""
    size = _BLOCK_BYTES
    while True:
        try:
            return read(size)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or size == _MAX_BLOCK_BYTES:
                raise
            size = min(size * 16, _MAX_BLOCK_BYTES)


# --- CSV ---------------------------------------------------------------------------------------


def _read_csv(source: Source, separator: str | None, skip: bool) -> tuple[Any, int]:
    if separator is None:
        separator = _sniff_separator(_decode(source.head), source.cut)[0]
    skipped: list[str] = []
    table = _read_literal(source) if separator == "\t" else None
    if table is None:
        try:
            table = _parse_csv(source, separator, quoted=True, skipped=skipped if skip else None)
        except pa.ArrowInvalid as error:
            if "cannot infer number of columns" in str(error):
                raise _header_only(source) from error
            _explain_bad_csv(source, separator, ragged=not skip)
            raise
        if any(text.count('"') % 2 for text in skipped) or _may_end_in_open_quote(source, table):
            _explain_bad_csv(source, separator, ragged=False)
    table = _name_columns(table)
    if table.num_rows == 0 and not skipped:
        raise _header_only(source)
    columns = [_integers(column) for column in table.columns]
    return pa.table(columns, names=table.column_names), len(skipped)


def _may_end_in_open_quote(source: Source, table: Any) -> bool:
    """Whether the very last cell runs over lines, but no quote ends the file."""
    if table.num_rows == 0:
        return False
    last = table.column(table.num_columns - 1)[-1].as_py() or ""
    if "\n" not in last and "\r" not in last:
        return False
    data = source.read()
    return not data.slice(max(data.size - 64, 0)).to_pybytes().rstrip().endswith(b'"')


def _header_only(source: Source) -> EmptyTable:
    return EmptyTable(f"{source.name} holds a header and no row. Expected at least one row.")


def _sniff_separator(text: str, cut: bool) -> tuple[str, float]:
    """Return the likeliest separator and the share of rows that have the first row's cells."""
    best = (0.0, 1, ",")
    for separator in _SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            counts = [len(row) for row in reader if row]
        except csv.Error:
            continue
        if cut and len(counts) > 1:
            counts.pop()
        if counts and counts[0] > 1:
            share = round(counts.count(counts[0]) / len(counts), 2)
            if (share, counts[0]) > best[:2]:
                best = (share, counts[0], separator)
    return best[2], best[0]


def _parse_csv(source: Source, separator: str, quoted: bool, skipped: list[str] | None) -> Any:
    """Parse with every cell as a string and the first row, header or not, as row 0."""

    def drop(row: Any) -> str:
        skipped.append(row.text)  # type: ignore[union-attr]
        return "skip"

    # An upper bound of the number of columns: names of columns that are not there do no harm,
    # but a column left to Arrow's inference would lose its "007".
    n_cells = source.head.count(separator.encode()) + 1
    parse = pacsv.ParseOptions(
        delimiter=separator,
        quote_char='"' if quoted else False,
        newlines_in_values=quoted,
        invalid_row_handler=None if skipped is None else drop,
    )
    convert = pacsv.ConvertOptions(
        column_types={f"f{i}": pa.large_string() for i in range(n_cells)},
        null_values=[""],
        strings_can_be_null=True,
    )

    def read(block_bytes: int) -> Any:
        if skipped is not None:
            skipped.clear()
        options = pacsv.ReadOptions(autogenerate_column_names=True, block_size=block_bytes)
        with source.open() as stream:
            return pacsv.read_csv(stream, options, parse, convert)

    return _with_growing_blocks(read)


def _read_literal(source: Source) -> Any:
    """Read a tab-separated file whose quotes are plain characters; None where they quote.

    Many such files are written without any quoting. A text that opens with a quote and does
    not close it would swallow the lines after it, so the literal reading comes first.
    """
    try:
        table = _parse_csv(source, "\t", quoted=False, skipped=None)
    except pa.ArrowInvalid:
        return None
    opened = [c.filter(pc.starts_with(c, '"')) for c in table.columns]
    opened = [c for c in opened if len(c)]
    closed = [pc.all(pc.match_substring_regex(c, r'(?s)^"([^"]|"")*"$')).as_py() for c in opened]
    return None if opened and all(closed) else table


def _name_columns(table: Any) -> Any:
    """Take the names off row 0, or number the columns where row 0 is data already."""
    names: list[str | None] = [None] * table.num_columns
    if _is_header([c.to_pylist() for c in table.slice(0, _HEADER_SAMPLE + 1).columns]):
        names = [(c[0].as_py() or "").strip() or None for c in table.columns]
        table = table.slice(1)
    while len(names) > 1 and names[-1] is None and table.column(-1).null_count == table.num_rows:
        names.pop()  # a separator at the end of every line
        table = table.remove_column(table.num_columns - 1)
    return table.rename_columns([n or f"column_{i}" for i, n in enumerate(names, 1)])


def _is_header(columns: list[list[str | None]]) -> bool:
    """Whether the first cells are names: the default, unless all of them look like data."""
    first = [c[0] for c in columns]
    if any(list(row) == first for row in zip(*(c[1:] for c in columns), strict=True)):
        return True  # two files with headers, one after the other
    if len(first) > 2 and all(c and c.isdecimal() for c in first):
        numbers = [int(c or 0) for c in first]
        if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            return True  # 0, 1, 2, … or years
    marks = [_looks_like_data(c[0], [v for v in c[1:] if v is not None]) for c in columns]
    return min(marks) < 0 or max(marks) == 0


def _looks_like_data(cell: str | None, below: list[str]) -> int:
    """Return 1 for a first cell that is surely data, -1 for one that is a name, 0 for neither."""
    if cell is None or not below:
        return 0 if cell is None and not below else -1
    if _NUMBER.fullmatch(cell):
        return 1 if sum(bool(_NUMBER.fullmatch(v)) for v in below) >= 0.9 * len(below) else -1
    if len(cell.encode()) > 100 or cell in below:  # bytes: three to a Chinese character
        return 1
    if sum(c.isdigit() for c in cell) > 2:  # a date, a time, an article number
        shape = _shape(cell)
        if sum(_shape(v) == shape for v in below) >= 0.8 * len(below):
            return 1
    is_text = " " in cell and sum(" " in v for v in below) >= 0.8 * len(below)
    return 0 if is_text else -1


def _shape(cell: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d", "9", cell))


def _integers(column: Any) -> Any:
    """Cast a string column to int64 where each cell is written as Python writes an integer."""
    canonical = r"^(0|-?[1-9][0-9]{0,18})$"
    head = column.slice(0, 1000).drop_null()  # most columns of text are refused here
    if column.null_count == len(column) or not pc.all(_match(head, canonical)).as_py():
        return column
    if not pc.all(_match(column, canonical)).as_py():
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:  # beyond 64 bits
        return column


def _match(column: Any, pattern: str) -> Any:
    return pc.match_substring_regex(column, pattern)


def _explain_bad_csv(source: Source, separator: str, ragged: bool) -> None:
    """Find the first malformed row the slow way and raise; return if there is none.

    Raises
    ------
    BadRow
        A quote that is never closed or, if ``ragged``, a wrong number of cells.
    DataError
        Not UTF-8.
    """
    data = bytes(source.read())
    _refuse_non_utf8(source, data)
    expected = 0
    for line, n_cells in _csv_rows(data.removeprefix(codecs.BOM_UTF8), separator.encode()):
        if n_cells == 0:
            raise BadRow(
                f"{source.name}, line {line}: a quote is opened and never closed. Expected a "
                'closing quote; close it, or double each quote that is part of the text ("").',
                line,
            )
        expected = expected or n_cells
        if ragged and n_cells != expected:
            raise BadRow(
                f"{source.name}, line {line}: the row has {n_cells} cells, {expected} were "
                "expected as in the first row. Put quotes around a cell that holds the "
                f"separator {separator!r}, or leave such rows out with {_SKIP_HINT}.",
                line,
            )


def _csv_rows(data: bytes, separator: bytes) -> Iterator[tuple[int, int]]:
    """Yield each row's first line (1-based) and number of cells; 0 cells for an open quote."""
    plain = rb"[^" + re.escape(separator) + rb"\r\n]*+"
    cell = re.compile(rb'("[^"]*+(?:""[^"]*+)*+")?+' + plain)
    if not data.endswith((b"\n", b"\r")):
        data += b"\n"
    line, n_cells, start, at = 1, 0, 0, 0
    while at < len(data):
        match = cell.match(data, at)
        assert match is not None  # the pattern matches nothing, too
        if data[at : at + 1] == b'"' and match[1] is None:
            yield line, 0
            return
        n_cells, at = n_cells + 1, match.end()
        if data[at : at + 1] == separator:
            at += 1
            continue
        at += 2 if data[at : at + 2] == b"\r\n" else 1
        if n_cells > 1 or match.end() > match.start():  # Arrow passes over empty lines
            yield line, n_cells
        line, n_cells, start = line + max(data.count(b"\n", start, at), 1), 0, at


# --- JSON --------------------------------------------------------------------------------------


def _read_json(source: Source, skip: bool) -> tuple[Any, int]:
    """Read objects, one after the other or in one array."""
    is_array = source.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    flat = pa.py_buffer(_flatten_array(source)) if is_array else None
    try:
        return _parse_json(source, flat), 0
    except pa.ArrowInvalid:
        data = bytes(source.read())
        _refuse_non_utf8(source, data)
        lines = data if flat is None else bytes(flat)
        bad = list(islice(_bad_json_rows(lines), None if skip else 1))
        if not bad:
            raise
        if not skip:
            start, _, reason = bad[0]
            line = data.count(b"\n", 0, start) + 1
            raise BadRow(
                f"{source.name}, line {line}: {reason}. Expected one JSON object with the same "
                f"kind of value in each field; mend it, or leave such rows out with {_SKIP_HINT}.",
                line,
            ) from None
        good = bytearray(lines)
        for start, stop, _ in bad:
            good[start:stop] = b" " * (stop - start)
        return _parse_json(source, pa.py_buffer(good)), len(bad)


def _parse_json(source: Source, flat: Any) -> Any:
    def read(block_bytes: int, schema: Any = None) -> Any:
        parse = pajson.ParseOptions(newlines_in_values=True, explicit_schema=schema)
        options = pajson.ReadOptions(block_size=block_bytes)
        with source.open() if flat is None else pa.BufferReader(flat) as stream:
            table = pajson.read_json(stream, options, parse)
        # Arrow turns what looks like a date into one; labels and dates stay as they are written.
        dates = [f for f in table.schema if pa.types.is_timestamp(f.type)]
        if not dates:
            return table
        return read(block_bytes, pa.schema([f.with_type(pa.large_string()) for f in dates]))

    table = _with_growing_blocks(read)
    table.validate(full=True)  # Arrow's parser lets bytes pass that are not UTF-8
    if table.num_rows == 1 and all(pa.types.is_struct(t) for t in table.schema.types):
        raise DataError(
            f"{source.name} is one object of objects. Expected an array of objects, or one object "
            "per line, a row each."
        )
    return table


def _flatten_array(source: Source) -> bytearray:
    """Rewrite ``[{…}, {…}]`` as one object a line, every byte staying at its place."""
    data = bytearray(source.read())
    view = np.frombuffer(data, np.uint8)
    view[(view == 10) | (view == 13)] = 32  # between tokens only: in strings they are escaped
    slashes = np.flatnonzero(view == 92)
    last = np.append(np.diff(slashes) != 1, True)[: len(slashes)]
    lengths = np.diff(np.flatnonzero(last), prepend=-1)
    escaped = slashes[last][lengths % 2 == 1] + 1
    quotes = np.setdiff1d(np.flatnonzero(view == 34), escaped, assume_unique=True)
    wanted = np.zeros(256, bool)
    wanted[list(b"[]{},")] = True
    marks = np.flatnonzero(wanted[view])
    marks = marks[np.searchsorted(quotes, marks) % 2 == 0]  # those outside of strings
    step = np.zeros(256, np.int64)
    step[list(b"[{")], step[list(b"]}")] = 1, -1
    depth = np.cumsum(step[view[marks]])
    if len(quotes) % 2 or np.any(depth[:-1] < 1) or depth[-1] != 0:
        raise DataError(
            f"{source.name} is not one whole JSON array: its brackets or quotes do not match. "
            "Write or download it again."
        )
    view[marks[(view[marks] == 44) & (depth == 1)]] = 10
    view[marks[[0, -1]]] = 32
    return data


def _bad_json_rows(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield start, stop and what is wrong of each line that is no row like those before it."""
    kinds: dict[str, str] = {}
    start = 0
    for text in data.split(b"\n"):
        stop = start + len(text)
        if text.strip():
            try:
                _check_json_row(text, kinds)
            except ValueError as error:
                yield stop - len(text.lstrip()), stop, str(error)
        start = stop + 1


def _check_json_row(text: bytes, kinds: dict[str, str]) -> None:
    """Raise ValueError if the text is no object, or differs in a field's kind from ``kinds``.

    ``kinds`` is modified in place: path of each field to its kind.
    """
    try:
        row = json.loads(text, object_pairs_hook=_unique_fields)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at column {error.colno}") from error
    if not isinstance(row, dict):
        raise ValueError(f"the row is {_json_kind(row)}")
    if b"\\u" in text:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("the text holds half of a surrogate pair") from error
    found = {path: kind for path, kind in _json_kinds(row, "") if kind != "null"}
    for path, kind in found.items():
        if kinds.get(path, kind) != kind:
            raise ValueError(f"the field {path!r} is {kind}, but {kinds[path]} before")
    kinds.update(found)


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a field stands twice in the row")
    return row


def _json_kinds(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _json_kinds(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from _json_kinds(item, f"{path}[]")
    if path:
        yield path, _json_kind(value)


def _json_kind(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    return names[type(value)]


# --- Parquet and Arrow -------------------------------------------------------------------------


def _read_parquet(source: Source) -> Any:
    import pyarrow.parquet as papq

    with pa.BufferReader(source.read()) if source.codec else source.open() as file:
        table = papq.ParquetFile(file).read()
    return _checked(table)


def _read_ipc(source: Source) -> Any:
    with pa.BufferReader(source.read()) as file:
        is_file = source.head.startswith(b"ARROW1")
        reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        return _checked(reader.read_all())


def _checked(table: Any) -> Any:
    """Return the table without pandas' index; damaged offsets or texts never reach a kernel."""
    table.validate(full=True)
    index = [n for n in table.column_names if re.fullmatch(r"__index_level_\d+__", n)]
    return table.drop_columns(index)
