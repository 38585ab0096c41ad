"""A file's bytes: opened once, decompressed, with a first look at them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from udt.errors import DataError, EmptyTable, did_you_mean

SKIP_HINT = '--bad-rows skip (in Python: bad_rows="skip")'
"""How the user leaves malformed rows out."""

CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_HEAD_BYTES = 1 << 17  # no cell of the head can pass the limit of the csv module, 131,072
_BLOCK_BYTES = 1 << 22
_MAX_BLOCK_BYTES = (1 << 31) - 1


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


def open_source(path: str, data: bytes | None = None) -> Source:
    """Open a path, or ``"-"`` for stdin, whose bytes are ``data`` if they have been read already.

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
            where: Any = pa.py_buffer(sys.stdin.buffer.read() if data is None else data)
        elif not stat.S_ISREG(os.stat(path).st_mode):
            where = pa.py_buffer(Path(path).read_bytes())  # a pipe gives its bytes only once
        else:
            where = path
        with _open(where, None) as raw:
            first = raw.read(4)
        codec = next((c for magic, c in CODECS.items() if first.startswith(magic)), None)
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


def decode(data: bytes) -> str:
    """Return text to look at; what is not UTF-8 becomes U+FFFD."""
    return data.decode("utf-8-sig", errors="replace")


def refuse_non_utf8(source: Source, data: bytes) -> None:
    """Raise DataError with the line of the first byte that is not UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{source.name} is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x}. "
            f"Convert it first, e.g. iconv -f latin1 -t utf8 {source.name} > utf8.csv"
        ) from error


def read_in_blocks(read: Callable[[int], Any]) -> Any:
    """Call a block reader, with larger blocks while a single row does not fit into one."""
    size = _BLOCK_BYTES
    while True:
        try:
            return read(size)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or size == _MAX_BLOCK_BYTES:
                raise
            size = min(size * 16, _MAX_BLOCK_BYTES)
