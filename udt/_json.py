"""JSON and JSON lines to Arrow: pyarrow's reader, and the line at fault if it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson

from udt._source import SKIP_HINT, Source, read_in_blocks, refuse_non_utf8
from udt.errors import BadRow, DataError


def read_json(source: Source, skip: bool) -> tuple[Any, int]:
    """Read objects, one after the other or in one array.

    Parameters
    ----------
    source : Source
        The file.
    skip : bool
        Leave out malformed rows instead of refusing the file.

    Returns
    -------
    table : pyarrow.Table
        Columns as Arrow types them; dates stay texts.
    n_skipped : int
        Rows left out.

    Raises
    ------
    BadRow
        No JSON, no object, or another kind of value than before in one of its fields.
    DataError
        Not UTF-8, not one whole array, or one object of objects.
    """
    is_array = source.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    flat = pa.py_buffer(_flatten_array(source)) if is_array else None
    try:
        return _parse_json(source, flat), 0
    except pa.ArrowInvalid:
        data = bytes(source.read())
        refuse_non_utf8(source, data)
        lines = data if flat is None else bytes(flat)
        bad = list(islice(_bad_json_rows(lines), None if skip else 1))
        if not bad:
            raise
        if not skip:
            start, _, reason = bad[0]
            line = data.count(b"\n", 0, start) + 1
            raise BadRow(
                f"{source.name}, line {line}: {reason}. Expected one JSON object with the same "
                f"kind of value in each field; mend it, or leave such rows out with {SKIP_HINT}.",
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

    table = read_in_blocks(read)
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
