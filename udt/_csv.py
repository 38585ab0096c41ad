"""CSV and TSV to Arrow: separator, header, pyarrow's reader, and the line at fault if it fails."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from udt._source import SKIP_HINT, Source, decode, read_in_blocks, refuse_non_utf8
from udt.errors import BadRow, EmptyTable

_SEPARATORS = ",;\t|"
_HEADER_SAMPLE = 200  # rows looked at to tell a header from data
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)*|\.\d+)([eE][+-]?\d+)?%?")


def read_csv(source: Source, separator: str | None, skip: bool) -> tuple[Any, int]:
    """Read rows of cells; a column is int64 where it holds nothing else, or large_string.

    Parameters
    ----------
    source : Source
        The file.
    separator : str or None
        One character; None = found in the first rows.
    skip : bool
        Leave out rows with a wrong number of cells instead of refusing the file.

    Returns
    -------
    table : pyarrow.Table
        Columns named after the header, or numbered where there is none.
    n_skipped : int
        Rows left out.

    Raises
    ------
    EmptyTable
        A header and no row.
    BadRow
        A wrong number of cells, or a quote that is never closed.
    DataError
        Not UTF-8.
    """
    if separator is None:
        separator = sniff_separator(decode(source.head), source.cut)[0]
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
    table = name_columns(table)
    if table.num_rows == 0 and not skipped:
        raise _header_only(source)
    columns = [integers(column) for column in table.columns]
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


def sniff_separator(text: str, cut: bool) -> tuple[str, float]:
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


def csv_options(
    head: bytes, separator: str, quoted: bool = True, on_ragged: Any = None
) -> tuple[Any, Any]:
    """Return how pyarrow is to parse a file that begins so, with every cell as a string."""
    # An upper bound of the number of columns: names of columns that are not there do no harm,
    # but a column left to Arrow's inference would lose its "007".
    n_cells = head.count(separator.encode()) + 1
    parse = pacsv.ParseOptions(
        delimiter=separator,
        quote_char='"' if quoted else False,
        newlines_in_values=quoted,
        invalid_row_handler=on_ragged,
    )
    convert = pacsv.ConvertOptions(
        column_types={f"f{i}": pa.large_string() for i in range(n_cells)},
        null_values=[""],
        strings_can_be_null=True,
    )
    return parse, convert


def _parse_csv(source: Source, separator: str, quoted: bool, skipped: list[str] | None) -> Any:
    """Parse with every cell as a string and the first row, header or not, as row 0."""

    def drop(row: Any) -> str:
        skipped.append(row.text)  # type: ignore[union-attr]
        return "skip"

    on_ragged = None if skipped is None else drop
    parse, convert = csv_options(source.head, separator, quoted, on_ragged)

    def read(block_bytes: int) -> Any:
        if skipped is not None:
            skipped.clear()
        options = pacsv.ReadOptions(autogenerate_column_names=True, block_size=block_bytes)
        with source.open() as stream:
            return pacsv.read_csv(stream, options, parse, convert)

    return read_in_blocks(read)


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


def name_columns(table: Any) -> Any:
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


def integers(column: Any) -> Any:
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
    refuse_non_utf8(source, data)
    expected = 0
    for line, n_cells in csv_rows(data.removeprefix(codecs.BOM_UTF8), separator.encode()):
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
                f"separator {separator!r}, or leave such rows out with {SKIP_HINT}.",
                line,
            )


def csv_rows(data: bytes, separator: bytes) -> Iterator[tuple[int, int]]:
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
