from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as papq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udt.errors import BadRow, DataError, EmptyTable, SettingsError
from udt.table import Table, as_table, read_table

ROWS = [
    {"text": "good, really\n“fine”", "stars": 5, "ok": True},
    {"text": None, "stars": -3, "ok": False},
    {"text": "bad", "stars": 1, "ok": None},
]


def rows_of(table: Table) -> list[dict[str, object]]:
    return pa.table([table.column(n) for n in table.names], names=list(table.names)).to_pylist()


def compress(data: bytes, ending: str) -> bytes:
    if ending == ".gz":
        return gzip.compress(data)
    return data if not ending else pa.compress(data, codec="zstd", asbytes=True)


def encode(rows: list[dict[str, object]], kind: str) -> bytes:
    table = pa.Table.from_pylist(rows)
    if kind == ".json":
        return json.dumps(rows, indent=1, ensure_ascii=False).encode()
    if kind in (".jsonl", ".ndjson"):
        return "".join(json.dumps(r) + "\n" for r in rows).encode()
    sink = io.BytesIO()
    if kind == ".parquet":
        papq.write_table(table, sink)
    else:
        new = pa.ipc.new_stream if kind == ".arrows" else pa.ipc.new_file
        with new(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def csv_of(tmp_path):
    def read(content, name="t.csv", **options):
        return read_table(write(tmp_path / name, content), **options)

    return read


# --- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", [".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather"])
def test_round_trip(tmp_path, kind, ending):
    path = write(tmp_path / f"t{kind}{ending}", compress(encode(ROWS, kind), ending))
    table = read_table(path)
    assert rows_of(table) == ROWS
    assert table.column("text").type == pa.large_string()
    assert table.column("stars").type == pa.int64()
    assert table.source == str(path)
    assert (table.n_rows, table.n_skipped) == (3, 0)


def test_arrow_stream(tmp_path):
    assert rows_of(read_table(write(tmp_path / "t.arrow", encode(ROWS, ".arrows")))) == ROWS


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.csv", ";"), ("t.tsv", "\t")])
def test_csv_round_trip(tmp_path, name, separator, ending):
    text = f'text{separator}n\r\n"a ""b""\r\nc{separator}"{separator}1\r\n{separator}2\r\n'
    table = read_table(write(tmp_path / (name + ending), compress(text.encode(), ending)))
    expected = [{"text": f'a "b"\r\nc{separator}', "n": 1}, {"text": None, "n": 2}]
    assert rows_of(table) == expected


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_found_from_the_content(csv_of, separator):
    lines = [f"some text, with; marks {i}".join(['"', '"']) + f"{separator}{i}" for i in range(9)]
    table = csv_of("\n".join([f"text{separator}n", *lines]))
    assert table.names == ("text", "n")
    assert table.column("n").to_pylist() == list(range(9))


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(2, 4).flatmap(
        lambda k: st.lists(st.lists(cells, min_size=k, max_size=k), min_size=1, max_size=8)
    ),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_the_csv_module_writes_reads_back(tmp_path_factory, rows, separator, quoting):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    names = [f"name{i}x" for i in range(len(rows[0]))]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, quoting=quoting)
        writer.writerows([names, *rows])
    table = read_table(path)
    back = [["" if v is None else str(v) for v in row.values()] for row in rows_of(table)]
    assert table.names == tuple(names)
    assert back == rows


def test_integers_are_canonical_or_text(csv_of):
    table = csv_of(
        "a,zip,big,money,date,empty,minus\n"
        f'1,007,{2**63},"1,200",2020-01-02,,-0\n-12,100,1,1,2020-01-03,,1\n,1,1,1,,,1\n'
    )
    assert table.column("a").type == pa.int64()
    assert table.column("a").to_pylist() == [1, -12, None]
    for name in ("zip", "big", "money", "date", "empty", "minus"):
        assert table.column(name).type == pa.large_string(), name
    assert table.column("zip").to_pylist() == ["007", "100", "1"]
    assert table.column("empty").null_count == 3


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("\ufefftext,label\na b,1\n", ("text", "label")),
        ("a,a,a_2,a\n1,2,3,4\n", ("a", "a_3", "a_2", "a_4")),
        (",text\n0,good\n1,bad\n", ("column_1", "text")),
        ("text,label,,\nx,1,,\ny,2,,\n", ("text", "label")),
        ("text,label,\nx,1,keep\n", ("text", "label", "column_3")),
        ("text, label\nx,1\n", ("text", "label")),
        ("text\nx\n\ny\n", ("text",)),
        ("1,good thing\n0,bad thing\n1,fine thing\n", ("column_1", "column_2")),
        ("ham\tgo on then\nspam\twin a prize\nham\tok see you\n", ("column_1", "column_2")),
        ("5.1,3.5,a\n4.9,3.0,a\n6.2,3.4,b\n", ("column_1", "column_2", "column_3")),
        ("2020-01-01,ab c\n2020-01-02,d e\n", ("column_1", "column_2")),
        ("0,1,2\n5,6,7\n8,9,1\n", ("0", "1", "2")),
        ("country,2019,2020\nfr,1,2\n", ("country", "2019", "2020")),
        ("review text,label\nso good it is,a\nnot at all,b\n", ("review text", "label")),
        ("text,label\na,b\ntext,label\nc,d\n", ("text", "label")),
    ],
)
def test_header(csv_of, content, names):
    assert csv_of(content).names == names


def test_a_missing_header_loses_no_row(csv_of):
    table = csv_of("1,good thing\n0,bad thing\n1,fine thing\n")
    assert table.column("column_1").to_pylist() == [1, 0, 1]


def test_plain_quotes_in_a_tsv_stay(csv_of):
    table = csv_of('text\tn\n"Open\t1\nb\t2\n"Closed" at last\t3\n', "t.tsv")
    assert table.column("text").to_pylist() == ['"Open', "b", '"Closed" at last']


def test_nul_and_other_scripts_in_a_cell(csv_of):
    table = csv_of('text,n\n"a\0b",1\n"🙂 שלום",2\n')
    assert table.column("text").to_pylist() == ["a\0b", "🙂 שלום"]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json"])
def test_ten_megabytes_in_a_cell(tmp_path, name):
    big = "ab\n" * 3_500_000
    rows = [{"text": "small", "n": 1}, {"text": big, "n": 2}, {"text": "end", "n": 3}]
    if name == "t.csv":
        content = "text,n\n" + "".join(f'"{r["text"]}",{r["n"]}\n' for r in rows)
    else:
        content = encode(rows, Path(name).suffix)
    assert rows_of(read_table(write(tmp_path / name, content))) == rows


def test_stdin_and_unknown_endings(tmp_path, monkeypatch):
    contents = [
        b"text,n\nx,1\n", b"text\tn\nx\t1\n", b'{"text": "x", "n": 1}\n',
        b'[{"text": "x", "n": 1}]', encode([{"text": "x", "n": 1}], ".parquet"),
        gzip.compress(b"text;n\nx;1\n"),
    ]  # fmt: skip
    for content in contents:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        table = read_table("-")
        assert (rows_of(table), table.source) == ([{"text": "x", "n": 1}], "stdin")
        assert rows_of(read_table(write(tmp_path / "data.dat", content))) == rows_of(table)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    with subprocess.Popen(["sh", "-c", f"printf 'a,b\\n1,2\\n' > {tmp_path}/p.csv"]):
        assert rows_of(read_table(tmp_path / "p.csv")) == [{"a": 1, "b": 2}]


# --- several files -----------------------------------------------------------------------------


def test_glob_folder_and_their_types(tmp_path):
    write(tmp_path / "1.csv", "a,b\n1,2\n")
    write(tmp_path / "2.csv", "b,a\nx,3\n")
    assert rows_of(read_table(f"{tmp_path}/*.csv")) == [{"a": 1, "b": "2"}, {"a": 3, "b": "x"}]
    for i, values in enumerate(([1, None], [None, None], [0.5, 1.0])):
        (tmp_path / "sub").mkdir(exist_ok=True)
        papq.write_table(pa.table({"v": values}), tmp_path / "sub" / f"{i}.parquet")
    table = read_table(tmp_path)
    assert table.column("v").to_pylist() == [1.0, None, None, None, 0.5, 1.0]


def test_files_that_disagree_are_named(tmp_path):
    write(tmp_path / "1.csv", "a,b\n1,2\n")
    write(tmp_path / "2.csv", "a,c\n1,2\n")
    with pytest.raises(DataError, match=r"2\.csv has the columns a, c.*1\.csv: a, b"):
        read_table(f"{tmp_path}/*.csv")
    papq.write_table(pa.table({"v": [True]}), tmp_path / "1.parquet")
    papq.write_table(pa.table({"v": [1]}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"'v' is int64 in .*2\.parquet, but bool in .*1\.parq"):
        read_table(tmp_path)


def test_skipped_rows_add_up_over_files(tmp_path):
    for name in ("1.csv", "2.csv"):
        write(tmp_path / name, "a,b\n1,2\n1\n")
    assert read_table(f"{tmp_path}/*.csv", bad_rows="skip").n_skipped == 2


# --- bad rows ----------------------------------------------------------------------------------

RAGGED = 'text,label\r\n"two\r\nlines",1\r\n\r\nx,1,2\r\ny,2\r\nz\r\n'


def test_ragged_row_is_named_by_its_line(csv_of):
    with pytest.raises(BadRow, match=r"t\.csv, line 5: .* 3 cells, 2 were .*--bad-rows skip") as e:
        csv_of(RAGGED)
    assert e.value.line == 5


def test_ragged_rows_are_skipped_and_counted(csv_of):
    table = csv_of(RAGGED, bad_rows="skip")
    assert table.column("text").to_pylist() == ["two\r\nlines", "y"]
    assert table.n_skipped == 2


@pytest.mark.parametrize("bad_rows", ["refuse", "skip"])
@pytest.mark.parametrize("last", ['1,"y', '"y,2\nz,3'])
def test_a_quote_that_never_closes_does_not_swallow_the_file(csv_of, bad_rows, last):
    with pytest.raises(BadRow, match="never closed") as error:
        csv_of(f"a,b\nx,1\n{last}\n", bad_rows=bad_rows)
    assert error.value.line == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"a": 2', "column"),
        ("[1]", "the row is a list"),
        ('{"a": "x"}', "'a' is a text, but a number before"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"b": "\\ud800"}', "surrogate"),
    ],
)
def test_bad_json_line(tmp_path, bad, reason):
    path = write(tmp_path / "t.jsonl", f'{{"a": 1}}\n\n{bad}\n{{"a": 3}}\n')
    with pytest.raises(BadRow, match=rf"t\.jsonl, line 3: .*{reason}") as error:
        read_table(path)
    assert error.value.line == 3
    table = read_table(path, bad_rows="skip")
    assert table.column("a").to_pylist() == [1, 3]
    assert table.n_skipped == 1


def test_bad_object_in_a_json_array(tmp_path):
    path = write(tmp_path / "t.json", '[\n {"a": 1,\n  "b": [","]},\n {"a" 2},\n {"a": 3}]')
    with pytest.raises(BadRow) as error:
        read_table(path)
    assert error.value.line == 4
    assert read_table(path, bad_rows="skip").column("a").to_pylist() == [1, 3]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": cells, "b": cells}), min_size=1, max_size=6))
def test_json_arrays_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("json") / "t.json"
    for indent in (None, 2):
        write(path, json.dumps(rows, indent=indent, ensure_ascii=False))
        assert rows_of(read_table(path)) == rows


def test_a_cell_over_lines_may_end_the_file(csv_of):
    assert csv_of('a,b\n1,"x\ny"\n').column("b").to_pylist() == ["x\ny"]


# --- bad files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("t.csv", b"", EmptyTable, "is empty"),
        ("t.csv", b"\xef\xbb\xbf\r\n", EmptyTable, "is empty"),
        ("t.csv", b"a,b", EmptyTable, "header and no row"),
        ("t.csv", b"a,b\n", EmptyTable, "header and no row"),
        ("t.jsonl", b"\n \n", EmptyTable, "is empty"),
        ("t.json", b"[]", EmptyTable, "0 rows"),
        ("t.csv", b"a,b\nx,1\n\xe9t\xe9,2\n", DataError, "line 3 .*0xe9.*iconv -f latin1"),
        ("t.jsonl", b'{"a": "x"}\n{"a": "\xe9"}\n', DataError, "cannot be read as json|line 2"),
        ("t.csv", "a,b\nx,1\n".encode("utf-16"), DataError, "UTF-16.*iconv -f utf-16"),
        ("t.csv", b"\0\1\2\3" * 50, DataError, "binary"),
        ("t.csv", bytes(range(256)) * 9, DataError, "binary"),
        ("t.parquet", b"a,b\n1,2\n", DataError, "not parquet"),
        ("t.parquet", b"PAR1" + b"x" * 90, DataError, "cannot be read as parquet"),
        ("t.parquet", encode(ROWS, ".parquet")[:-9], DataError, "cannot be read as parquet"),
        ("t.arrow", encode(ROWS, ".arrow")[:-99], DataError, "cannot be read as arrow"),
        ("t.json", b'[{"a": 1}, {"a"', DataError, "do not match"),
        ("t.json", b'{"a": {"0": "x"}, "b": {"0": 1}}', DataError, "object of objects"),
        ("t.docx", b"PK\3\4\0\0\0", DataError, r"Accepted are \.csv"),
        ("t.md", b"# Words\n\nwith, commas\n", DataError, r"Accepted are \.csv"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + os.urandom(9999).hex().encode())[:-300],
         DataError, "t.csv.gz cannot be read"),
    ],
)  # fmt: skip
def test_bad_file(tmp_path, name, content, error, message):
    with pytest.raises(DataError, match=message) as raised:
        read_table(write(tmp_path / name, content))
    assert type(raised.value) is error
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_things(tmp_path):
    write(tmp_path / "reviews.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"Did you mean 'reviews\.csv'"):
        read_table(tmp_path / "review.csv")
    with pytest.raises(DataError, match="nor does its folder"):
        read_table(tmp_path / "no" / "review.csv")
    with pytest.raises(DataError, match="without Parquet"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="No file matches"):
        read_table(tmp_path / "*.tsv")
    with pytest.raises(SettingsError, match="Got 'drop'"):
        read_table(tmp_path / "reviews.csv", bad_rows="drop")


def test_a_file_without_permission(tmp_path, monkeypatch):
    path = write(tmp_path / "t.csv", "a\n1\n")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pa, "OSFile", refuse)
    with pytest.raises(DataError, match="permissions"):
        read_table(path)


# --- the Table itself --------------------------------------------------------------------------


@pytest.fixture
def small():
    return as_table({"a": ["x", "y", "z"], "b": [1, 2, 3]})


def test_methods(small):
    assert small.drop("a", "nothing").names == ("b",)
    assert small.drop("a", "b").n_rows == 3
    assert small.select(["b", "a"]).names == ("b", "a")
    assert "a" in small
    assert "c" not in small
    assert small.take(np.array([2, 0, 2])).column("a").to_pylist() == ["z", "x", "z"]
    assert small.slice(1, 9).column("b").to_pylist() == [2, 3]
    assert small.slice(3, 1).n_rows == 0
    wider = small.with_column("c", np.array([0.5, np.nan, 1]))
    assert wider.column("c").to_pylist() == [0.5, None, 1.0]
    assert small.names == ("a", "b")
    assert as_table(small) is small
    assert "'x'" not in repr(small)
    with pytest.raises(DataError, match="2 rows, 3 were expected"):
        small.with_column("c", [1, 2])
    with pytest.raises(DataError, match=r"'labl' is not in a dict.*Did you mean 'label'"):
        small.with_column("label", [1, 2, 3]).column("labl")


def test_slices_share_their_memory(small):
    part, whole = small.slice(1, 3).column("a"), small.column("a")
    assert part.buffers()[2].address == whole.buffers()[2].address


def test_columns_are_contiguous_and_chunks_keep_order():
    chunks = pa.chunked_array([pa.array(["a"]), pa.array(["b", "c"])])
    column = as_table(pa.table({"t": chunks})).column("t")
    assert isinstance(column, pa.Array)
    assert column.to_pylist() == ["a", "b", "c"]


def test_reading_a_large_text_column_stays_near_its_size(tmp_path):
    n = 1 << 14
    text = pc.binary_repeat(pa.array(["word "] * n), 200)
    papq.write_table(pa.table({"text": text}), tmp_path / "t.parquet", row_group_size=n // 8)
    pool = pa.default_memory_pool()
    before, peak_before = pool.bytes_allocated(), pool.max_memory()
    table = read_table(tmp_path / "t.parquet")
    size = table.column("text").nbytes
    assert pool.bytes_allocated() - before < 1.2 * size
    assert pool.max_memory() - peak_before < 3 * size


def test_importing_the_module_is_light():
    code = "import sys, udt.table; print([m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"pandas", "datasets", "polars", "scipy", "numba"} & set(eval(loaded.stdout))
