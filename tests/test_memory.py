"""Values in memory become columns of few types."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from udt.errors import DataError, EmptyTable
from udt.table import Table, as_table, read_table


def rows_of(table: Table) -> list[dict[str, object]]:
    return pa.table([table.column(n) for n in table.names], names=list(table.names)).to_pylist()


def test_dicts_lists_and_texts():
    columns = {"text": ["a", None], "n": np.array([1, 2], np.int8), "f": [1.5, float("nan")]}
    expected = [{"text": "a", "n": 1, "f": 1.5}, {"text": None, "n": 2, "f": None}]
    assert rows_of(as_table(columns)) == expected
    assert rows_of(as_table(expected)) == expected
    assert rows_of(as_table([{"a": 1}, {"b": 2}])) == [{"a": 1, "b": None}, {"a": None, "b": 2}]
    assert rows_of(as_table({"text": "one row", "n": 3})) == [{"text": "one row", "n": 3}]
    for texts in (["a", None], np.array(["a", None], object), pa.array(["a", None])):
        assert rows_of(as_table(texts)) == [{"text": "a"}, {"text": None}]
    assert rows_of(as_table([["a", 1], ["b", 2]])) == [{"x0": "a", "x1": 1}, {"x0": "b", "x1": 2}]


def test_mixed_values_become_texts():
    table = as_table({"v": [1, "a", None, float("nan"), 2**70, "\ud800"]})
    assert table.column("v").to_pylist() == ["1", "a", None, None, str(2**70), "?"]


def test_arrays():
    table = as_table(np.array([[1.0, np.nan], [3.0, 4.0]], np.float32))
    assert rows_of(table) == [{"x0": 1.0, "x1": None}, {"x0": 3.0, "x1": 4.0}]
    assert table.column("x0").type == pa.float64()
    for shape, message in [((3,), "Reshape"), ((0, 3), "0 sample"), ((2, 0), "0 feature")]:
        with pytest.raises(DataError, match=message):
            as_table(np.zeros(shape))
    with pytest.raises(DataError, match="Complex data not supported"):
        as_table(np.zeros((2, 2), complex))


def test_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "t": pd.Categorical(["a", None]),
            "d": pd.to_datetime(["2020-01-02", None]),
            "m": [1, "x"],
        },
        index=[7, 8],
    )
    table = as_table(frame)
    assert table.column("t").type == pa.large_string()
    assert pa.types.is_timestamp(table.column("d").type)
    assert table.column("m").to_pylist() == ["1", "x"]
    assert as_table(pd.Series(["a", "b"])).names == ("text",)
    assert as_table(pd.Series(["a", "b"], name="body")).names == ("body",)
    with pytest.raises(EmptyTable):
        as_table(frame[:0])


def test_polars():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"t": ["a", None], "n": [1, 2]})
    for data in (frame, frame.lazy()):
        assert rows_of(as_table(data)) == [{"t": "a", "n": 1}, {"t": None, "n": 2}]
    assert as_table(frame["t"]).column("t").type == pa.large_string()


def test_datasets_keep_their_order():
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"t": ["a", "b", "c"]}).select([2, 0])
    assert as_table(data).column("t").to_pylist() == ["c", "a"]
    with pytest.raises(DataError, match="splits train"):
        as_table(datasets.DatasetDict(train=data))


def test_hub_names(monkeypatch):
    datasets = pytest.importorskip("datasets")
    seen = []

    def load(path, config, split):
        seen.append((path, config, split))
        if split == "no":
            raise ValueError("Unknown split 'no'.")
        return datasets.Dataset.from_dict({"t": ["a"]})

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert read_table("hf:me/set:plain@test").source == "hf:me/set:plain@test"
    read_table("hf:me/set")
    assert seen == [("me/set", "plain", "test"), ("me/set", None, "train")]
    with pytest.raises(DataError, match="Unknown split"):
        read_table("hf:me/set@no")


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"a": [1, 2], "b": [1]}, DataError, "a has 2, b has 1"),
        ({"a": [1, 2], "b": 1}, DataError, "'b' is the single value 1"),
        ({"a": np.zeros((2, 2))}, DataError, r"shape \(2, 2\)"),
        ({"a": [b"\xff", b"b"]}, DataError, "'a' of a dict holds bytes"),
        ([1, 2], DataError, "Reshape"),
        ([{"a": 1}, "x"], DataError, "all alike"),
        ([[1, 2], [1]], DataError, "Row 1 .* 1 cells"),
        ([], EmptyTable, "0 rows"),
        ({}, EmptyTable, "0 columns"),
        ({"a": []}, EmptyTable, "0 rows"),
        ({"a": [{}, 1.0]}, TypeError, "argument must be a string, a number"),
        (object(), TypeError, "object cannot be read"),
    ],
)
def test_bad_values(data, error, message):
    with pytest.raises(error, match=message):
        as_table(data)


def test_sparse_is_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="sparse data"):
        as_table(sparse.csr_matrix(np.eye(2)))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None], pa.uint8()), pa.array([1, None])),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([str(2**64 - 1)], pa.large_string())),
        (pa.array([1.5, np.nan], pa.float16()), pa.array([1.5, None])),
        (pa.array(["1.25"]).cast(pa.decimal128(5, 2)), pa.array([1.25])),
        (pa.array(["a", None]).dictionary_encode(), pa.array(["a", None], pa.large_string())),
        (pa.array(["a"], pa.string_view()), pa.array(["a"], pa.large_string())),
        (pa.nulls(2), pa.nulls(2, pa.large_string())),
        (pa.array([b"ab"]), pa.array(["ab"], pa.large_string())),
        (pa.array([61], pa.time32("s")), pa.array(["00:01:01"], pa.large_string())),
        (pa.array([61], pa.duration("s")), pa.array(["61"], pa.large_string())),
        (pa.array([["a", None, "b"], None, []])[0:], pa.array(["a||b", None, ""], "large_string")),
        (pa.array([["z"], ["a", "b"]])[1:], pa.array(["a|b"], pa.large_string())),
        (pa.array([[1, 2]], pa.list_(pa.int8(), 2)), pa.array(["1|2"], pa.large_string())),
        (pa.array([[{"k": 1}]]), pa.array(['[{"k": 1}]'], pa.large_string())),
        (pa.array([True, None]), pa.array([True, None])),
    ],
)
def test_types(array, expected):
    column = as_table(pa.table({"v": array})).column("v")
    column.validate(full=True)
    assert column.equals(expected), column


def test_structs_are_flattened_and_names_stay_unique():
    struct = pa.array([{"b": {"c": 1}, "d": "x"}, None])
    table = as_table(pa.table([struct, pa.array([1, 2]), pa.array([3, 4])], ["a", "a.d", "a.d"]))
    assert table.names == ("a.b.c", "a.d", "a.d_2", "a.d_3")
    assert table.column("a.d").to_pylist() == ["x", None]
