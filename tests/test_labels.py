"""Labels come back as they were given; what cannot be classified is refused."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt import labels
from udt.csr import one_class
from udt.errors import DataError, EmptyTable, OneClassOnly, SettingsError
from udt.label_forms import LISTS as LISTS_FORM
from udt.label_forms import ONE_LABEL, LabelForm
from udt.table import as_table


def come_back(y: Any) -> Any:
    """Return the labels after a trip to class indices and back; None where one is missing."""
    column = labels.from_y(y)
    classes = labels.find_classes(column, like=y)
    codes = labels.encode(column, classes)
    assert codes.dtype == np.int32
    assert ((codes < 0) == np.asarray(column.is_null())).all()
    return [classes[code] if code >= 0 else None for code in codes]


GIVEN: dict[str, Any] = {
    "text": ["b", "a", "b"],
    "whole numbers": [3, 1, -2],
    "booleans": [True, False, True],
    "fractions": [0.5, 1.5, 0.5],
    "whole fractions": [1.0, 2.0, 1.0],
    "empty text": ["", "a", ""],
    "codes": ["007", "7", "07"],
    "numbers as text": ["1", "1.0", "2"],
    "one of a million": list(range(1_000, 0, -1)),
}


@pytest.mark.parametrize("what", GIVEN)
def test_lists_come_back_as_given(what: str) -> None:
    y = GIVEN[what]
    back = come_back(y)
    assert [v.item() if isinstance(v, np.generic) else v for v in back] == y
    assert {type(v.item() if isinstance(v, np.generic) else v) for v in back} == {type(y[0])}


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "float64", "bool", "<U3"])
def test_numpys_types_are_kept(dtype: str) -> None:
    y = np.array([1, 0, 1]).astype(dtype)
    classes = labels.find_classes(labels.from_y(y), like=y)
    assert classes.dtype == y.dtype
    np.testing.assert_array_equal(come_back(y), y)


MISSING: dict[str, Any] = {
    "None among text": ["a", None, "b"],
    "NaN among text": ["a", float("nan"), "b"],
    "None among numbers": [1, None, 2],
    "NaN among booleans": [True, float("nan"), False],
    "objects": np.array(["a", np.nan, "b"], dtype=object),
    "pandas": pd.Series(["a", None, "b"]),
    "pandas' whole numbers": pd.Series([1, None, 2], dtype="Int64"),
    "pandas' text": pd.Series(["a", None, "b"], dtype="string"),
    "categories": pd.Series(["a", None, "b"], dtype="category"),
    "Arrow": pa.array(["a", None, "b"]),
    "chunked": pa.chunked_array([["a", None], ["b"]]),
}


@pytest.mark.parametrize("what", MISSING)
def test_missing_labels_are_null(what: str) -> None:
    column = labels.from_y(MISSING[what])
    assert column.is_null().to_pylist() == [False, True, False]
    assert len(labels.find_classes(column, like=MISSING[what])) == 2


def test_floats_with_nan_stay_floats() -> None:
    y = np.array([1.0, np.nan, 2.0])
    assert come_back(y) == [1.0, None, 2.0]


def test_dates_are_their_iso_text() -> None:
    days = [datetime.date(2024, 1, 2), datetime.date(2023, 1, 2)]
    assert come_back(days) == ["2024-01-02", "2023-01-02"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", 1], "several types: number, text"),
        ([True, 2], "several types: boolean, number"),
        ([{"a": 1}, {"b": 2}], "label type: dict"),
        ([["a", 1], ["b"]], "several types: number, text"),
        ([["a"], [["b"]]], "label type: list"),
        ([1.0, np.inf], "infinity"),
        (np.zeros((3, 2)), "1d array.*list of labels"),
        (np.array([["a", "b"]], dtype=object), "1d array.*list of labels"),
    ],
)
def test_what_is_no_label(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labels.from_y(np.array(y) if message == "infinity" else y)


def test_a_name_in_place_of_labels() -> None:
    with pytest.raises(SettingsError, match=r"UDT\(target='label'\)\.fit\(X\)"):
        labels.from_y("label")
    with pytest.raises(EmptyTable, match="no label"):
        labels.from_y([])


# --- class indices ----------------------------------------------------------------------------


@given(st.lists(st.one_of(st.integers(-(2**60), 2**60)), min_size=1) | st.lists(st.text()))
def test_encode_finds_every_label(y: list[Any]) -> None:
    column = pa.array(y, pa.large_string() if y and isinstance(y[0], str) else None)
    if not y:
        return
    classes = labels.find_classes(column)
    assert list(classes) == sorted(set(y))
    assert [classes[c] for c in labels.encode(column, classes)] == y


@pytest.mark.parametrize(
    ("column", "classes", "expected"),
    [
        (["1", "2", "x", None], [1, 2], [0, 1, -1, -1]),
        (["1.0", "2.00"], [1, 2], [0, 1]),
        ([1, 2, 9], ["1", "2"], [0, 1, -1]),
        ([1.0, 2.0, 2.5], ["1", "2"], [0, 1, -1]),
        ([1, 2], [1.0, 2.0], [0, 1]),
        (["True", "false", "no"], [False, True], [1, 0, -1]),
        ([True, False], ["False", "True"], [1, 0]),
    ],
)
def test_encode_across_types(column: Any, classes: Any, expected: list[int]) -> None:
    assert labels.encode(labels.from_y(column), np.array(classes)).tolist() == expected


def test_class_indices_of_lists() -> None:
    column = labels.from_y([["b", "x", "a"], None, ["b"], ["y", "x"]])
    targets = labels.to_targets(column, np.array(["a", "b"]))
    assert targets.indptr.tolist() == [0, 3, 3, 4, 6]
    assert targets.ids.tolist() == [1, -1, 0, 1, -1, -1]
    targets = labels.to_targets(labels.from_y(["b", None, "x"]), np.array(["a", "b"]))
    assert (targets.indptr.tolist(), targets.ids.tolist()) == ([0, 1, 1, 2], [1, -1])
    assert targets.ids.flags.writeable


def test_class_counts_are_most_frequent_first() -> None:
    column = pa.array(["b", "a", None, "c", "c"])
    assert labels.class_counts(column) == [("c", 2), ("a", 1), ("b", 1)]
    lists = labels.from_y([["a", "c"], ["c", "c"], None])
    assert labels.class_counts(lists) == [("c", 2), ("a", 1)]


# --- lists of labels --------------------------------------------------------------------------

LISTS: dict[str, Any] = {
    "lists": [["a", "b"], ["b"], None],
    "tuples": [("a", "b"), ("b",), ()],
    "sets": [{"a"} | {"b"}, {"b"}, set()],
    "with repeats and missing ones": [["a", "b", "a"], ["b", None], [None]],
    "a label by itself": [["a", "b"], "b", None],
    "object array": np.array([["a", "b"], ["b"], None], dtype=object),
    "arrays": [np.array(["a", "b"]), np.array(["b"]), None],
    "pandas": pd.Series([["a", "b"], ["b"], None]),
    "Arrow": pa.array([["a", "b"], ["b"], None]),
    "chunked": pa.chunked_array([[["a", "b"]], [["b"], []]]),
    "fixed size": pa.array([["a", "b"], ["b", "b"], None], pa.list_(pa.string(), 2)),
}


@pytest.mark.parametrize("what", LISTS)
def test_lists_of_labels(what: str) -> None:
    column = labels.from_y(LISTS[what])
    got = [row and sorted(row) for row in column.to_pylist()]
    assert got == [["a", "b"], ["b"], None]
    classes = labels.find_classes(column, like=LISTS[what])
    assert classes.tolist() == ["a", "b"]


def test_lists_keep_their_type() -> None:
    column = labels.from_y([[3, 1], [2]])
    classes = labels.find_classes(column)
    assert classes.tolist() == [1, 2, 3]
    rows = labels.decode(labels.to_targets(column, classes), classes, LabelForm("|", is_list=True))
    assert rows.tolist() == [[3, 1], [2]]
    assert {type(label) for row in rows for label in row} == {int}


def test_lists_of_equal_length_are_no_matrix() -> None:
    targets, classes = one_class(np.array([1, 0])), np.array(["a", "b"], dtype=object)
    for form, expected in (
        (ONE_LABEL, ["b", "a"]),
        (LabelForm(";"), ["b", "a"]),
        (LISTS_FORM, [["b"], ["a"]]),
    ):
        rows = labels.decode(targets, classes, form)
        assert (rows.shape, rows.tolist()) == ((2,), expected)


def test_lists_in_a_column_of_data_in_memory() -> None:
    lists = [["a", "b"], ["b"], None]
    columns = {"text": ["x", "y", "z"], "label": lists}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for data in (columns, rows, pd.DataFrame(columns), pa.table(columns)):
        got = labels.from_data(data, as_table(data), "label")
        assert got.to_pylist() == lists
    table = as_table(columns)
    assert labels.from_data(table, table, "label").to_pylist() == ["a|b", "b", None]
    assert labels.from_data(columns, table, "text").to_pylist() == ["x", "y", "z"]


# --- targets that cannot be classified --------------------------------------------------------


def test_all_missing_and_one_class() -> None:
    with pytest.raises(EmptyTable, match="'y' has no value in any of 3 rows"):
        labels.check_target(pa.nulls(3), "y")
    with pytest.raises(OneClassOnly, match="'y' has one class only: every row is 'a'"):
        labels.check_target(pa.array(["a", "a", None]), "y")


def test_lists_that_cannot_be_learned() -> None:
    with pytest.raises(EmptyTable, match="no label"):
        labels.from_y([[], [None]])
    with pytest.raises(OneClassOnly, match="every row is 'a'"):
        labels.check_target(labels.from_y([["a"], ["a"]]), "y")
    with pytest.raises(DataError, match="3 labels and no label with two rows"):
        labels.check_target(labels.from_y([["a", "b"], ["c"]]), "y")
    labels.check_target(labels.from_y([[i / 7, 1.5] for i in range(90)]), "y")  # no quantities


def test_labels_that_never_repeat() -> None:
    with pytest.raises(DataError, match="no label with two rows"):
        labels.check_target(pa.array(["a", "b", "c"], pa.large_string()), "y")


RNG = np.random.default_rng(0)
QUANTITIES: dict[str, Any] = {
    "fractions": RNG.normal(size=300),
    "fractions as text": [f"{x:.2f}" for x in RNG.normal(size=300)],
    "half steps in few rows": np.arange(10) / 2,
    "a number for each row": np.arange(300) * 7,
    "prices": RNG.integers(1, 10_000, size=900).repeat(2),
    "prices as text": [str(x) for x in RNG.integers(1, 10_000, size=500)],
}


@pytest.mark.parametrize("what", QUANTITIES)
def test_quantities_are_refused(what: str) -> None:
    with pytest.raises(DataError, match=r"numeric with .* offers no regression"):
        labels.check_target(labels.from_y(QUANTITIES[what]), "y")


CLASSES: dict[str, Any] = {
    "stars": RNG.integers(1, 6, size=50),
    "half stars": RNG.integers(2, 11, size=200) / 2,
    "class numbers, few rows each": np.arange(77).repeat(4),
    "years": RNG.integers(1990, 2020, size=1_000),
    "codes that look like numbers": [f"{i:03d}" for i in range(100)] * 12,
    "whole floats": np.arange(30.0).repeat(5),
    "names": [f"name {i}" for i in range(100)] * 2,
}


@pytest.mark.parametrize("what", CLASSES)
def test_classes_are_accepted(what: str) -> None:
    labels.check_target(labels.from_y(CLASSES[what]), "y")
