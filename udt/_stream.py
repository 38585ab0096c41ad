"""A long CSV on stdin, read in blocks: predictions flow while rows still come."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from udt._csv import csv_options, integers, name_columns, sniff_separator
from udt._readers import is_csv, read_file
from udt._source import CODECS, decode, open_source
from udt.errors import BadRow, DataError

BLOCK_BYTES = 1 << 23
"""Bytes of a block, and of the longest row of a stream; shorter streams are read whole."""

_TAIL_BYTES = 64
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


def read_stream(stream: BinaryIO) -> Iterator[Any]:
    """Yield the tables that a stream on stdin consists of, in order.

    Only what is comma-like CSV, not compressed and longer than a block comes in several; anything
    else comes whole, as `read_file` reads it. Separator and header are those of the first block.

    Parameters
    ----------
    stream : binary file
        What stdin gives.

    Yields
    ------
    pyarrow.Table
        Columns are int64 or large_string.

    Raises
    ------
    BadRow
        A row has a wrong number of cells, or a quote is never closed.
    DataError
        Not UTF-8, or a row longer than a block.
    """
    first = stream.read(BLOCK_BYTES)
    separator = _separator(first) if len(first) == BLOCK_BYTES else None
    if separator is None:
        yield read_file("-", False, first + stream.read())[0]
        return
    rest = _Chained(first, stream)
    try:
        yield from _tables(rest, separator)
    except pa.ArrowInvalid as error:
        raise _explained(str(error).splitlines()[0]) from error


def _separator(first: bytes) -> str | None:
    """Return the separator of a stream that can be read in blocks; None if it cannot."""
    if first.startswith(tuple(CODECS)):
        return None
    source = open_source("-", first)
    if not is_csv(source):
        return None
    separator = sniff_separator(decode(source.head), source.cut)[0]
    return None if separator == "\t" else separator  # whether tabs need quotes, the whole file says


def _tables(rest: _Chained, separator: str) -> Iterator[Any]:
    parse, convert = csv_options(rest.first, separator)
    options = pacsv.ReadOptions(
        autogenerate_column_names=True, block_size=BLOCK_BYTES, use_threads=False
    )
    names: list[str] = []
    table = None
    for batch in pacsv.open_csv(pa.PythonFile(rest, "r"), options, parse, convert):
        table = pa.Table.from_batches([batch])
        if names:
            table = table.select(range(len(names))).rename_columns(names)
        else:
            table = name_columns(table)
            names = table.column_names
        if table.num_rows:
            yield pa.table([integers(column) for column in table.columns], names=names)
    if table is not None and table.num_rows:
        last = table.column(table.num_columns - 1)[-1].as_py() or ""
        if ("\n" in last or "\r" in last) and not rest.tail.rstrip().endswith(b'"'):
            raise BadRow(
                "stdin: a quote is opened in its last row and never closed. Expected a closing "
                'quote; close it, or double each quote that is part of the text ("").',
                1,
            )


def _explained(reason: str) -> DataError:
    """Return the sentence for what pyarrow says of a block."""
    if ragged := _RAGGED.search(reason):
        row, expected, got = map(int, ragged.groups())
        return BadRow(
            f"stdin, row {row:,}: it has {got} cells, {expected} were expected as in the first "
            "row. Put quotes around a cell that holds the separator. Rows before its block have "
            "been answered.",
            row,
        )
    if "UTF8" in reason:
        return DataError(
            "stdin is not UTF-8. Convert it on the way, e.g. iconv -f latin1 -t utf8 file.csv | "
            "udt predict … -. Rows before its block have been answered."
        )
    if "straddling" in reason:
        return DataError(
            f"stdin has a row of more than {BLOCK_BYTES >> 20} MB, or a quote that is never "
            "closed. Expected shorter rows in a stream; give such a table as a file."
        )
    return DataError(f"stdin cannot be read as csv: {reason}. Check how it is written.")


class _Chained(io.RawIOBase):
    """What has been read of a stream, then the rest of it; remembers how it ended.

    No part ends between the two bytes of a line's end, where pyarrow would lose the second one if
    they stand in a quoted cell.
    """

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self.first, self._stream = first, stream
        self._ahead = first
        self.tail = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        ahead, self._ahead = self._ahead, b""
        data = ahead[:size] + self._stream.read(size - len(ahead[:size]))
        if data.endswith(b"\r") and len(data) > 1:
            data, self._ahead = data[:-1], b"\r"
        self._ahead += ahead[size:]
        self.tail = (self.tail + data)[-_TAIL_BYTES:]
        return data
