"""Files to Arrow: which format, then the reader for it, and a plain sentence when it fails.

The quick path never makes a Python object of a cell. Only after Arrow has refused a file is it
read again, slowly, to find the line that is wrong.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from udt._csv import read_csv, sniff_separator
from udt._json import read_json
from udt._source import Source, decode, open_source
from udt.errors import DataError

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


def read_file(path: str, skip: bool, data: bytes | None = None) -> tuple[Any, int]:
    """Read one file with the reader its content and name ask for.

    Parameters
    ----------
    path : str
        A path, or ``"-"`` for stdin.
    skip : bool
        Leave out malformed rows instead of refusing the file.
    data : bytes, optional
        The bytes of stdin, if they have been read already.

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
    source = open_source(path, data)
    kind = _format_of(source)
    try:
        if kind in ("csv", "tsv"):
            return read_csv(source, "\t" if kind == "tsv" else None, skip)
        if kind == "json":
            return read_json(source, skip)
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
    text = decode(source.head).lstrip()
    if text[:1] in ("[", "{"):
        return "json"
    if source.name == "stdin" or sniff_separator(text, source.cut)[1] >= 0.9:
        return "csv"
    raise DataError(f"{source.name} is in no known format. {ACCEPTED}")


def is_csv(source: Source) -> bool:
    """Whether a stream is CSV, by its first bytes."""
    return _format_of(source) == "csv"


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
