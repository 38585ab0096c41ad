"""A stream in blocks gives what the whole gives; what is wrong in it is said."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest

from udt import _stream
from udt._readers import read_file
from udt.errors import BadRow, DataError, EmptyTable

BLOCK = 4096


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "BLOCK_BYTES", BLOCK)


def make_csv(n_rows: int, separator: str = ",", newline: str = "\n") -> bytes:
    rows = ["text|size|code|note"]
    for i in range(n_rows):
        quoted = f'"a {i}, with ""quotes"" and{newline}a line"' if i % 3 else f"plain {i}"
        rows.append(f"{quoted}|{i}|00{i % 7}|{'' if i % 5 else 'é'}")
    return newline.join(row.replace("|", separator) for row in rows).encode() + newline.encode()


def streamed(data: bytes) -> list[Any]:
    return list(_stream.read_stream(io.BytesIO(data)))


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_blocks_add_up_to_the_whole(separator, newline):
    data = make_csv(1_000, separator, newline)
    blocks = streamed(data)
    assert len(blocks) > 5
    assert pa.concat_tables(blocks).equals(read_file("-", False, data)[0])


@pytest.mark.parametrize("n_rows", [1, 60, 61, 62])
def test_no_row_is_lost_around_a_block(n_rows):
    data = make_csv(n_rows)
    assert pa.concat_tables(streamed(data)).equals(read_file("-", False, data)[0])


def test_rows_come_before_the_stream_has_ended():
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return (b"good,1\n" * size)[:size]

    tables = _stream.read_stream(Endless())  # type: ignore[arg-type]
    assert sum(next(tables).num_rows for _ in range(3)) > 0


@pytest.mark.parametrize(
    "data",
    [
        b'[{"a": 1}' + b', {"a": 2}' * 1_000 + b"]",
        b"text\tsize\n" + b'5" screen\t1\n' * 1_000,
        pa.compress(make_csv(50_000), "gzip", asbytes=True),
    ],
    ids=["JSON", "tabs", "compressed"],
)
def test_what_cannot_be_cut_comes_whole(data):
    assert len(data) > BLOCK
    (table,) = streamed(data)
    assert table.num_rows >= 1_000


def test_a_ragged_row_is_named_after_the_rows_before_it():
    good = make_csv(500)
    tables = _stream.read_stream(io.BytesIO(good + b"one,two\n" + good))
    assert next(tables).num_rows > 0
    with pytest.raises(BadRow, match=r"stdin, row 502: it has 2 cells, 4 were expected") as caught:
        list(tables)
    assert caught.value.line == 502


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (make_csv(500) + b"caf\xe9,1,2,3\n" + make_csv(500), "not UTF-8"),
        (make_csv(500) + b'a,1,2,"never closed\n' + b"b,1,2,x\n" * 20, "quote"),
        (make_csv(500) + b'a,1,2,"never closed\n' + b"b,1,2,x\n" * 5_000, "quote"),
        (make_csv(500) + b"a" * 50_000 + b",1,2,3\n", "row of more than"),
    ],
    ids=["latin-1", "quote at the end", "quote before the end", "a row longer than a block"],
)
def test_what_is_wrong_is_said(data, said):
    with pytest.raises(DataError, match=said):
        streamed(data)


def test_nothing_is_an_empty_table():
    with pytest.raises(EmptyTable):
        streamed(b"")
