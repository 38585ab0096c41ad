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
from udt.errors import DataError, EmptyTable, OneClassOnly, SettingsError


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
        ([{"a"}, {"b"}], "label type: set"),
        ([1.0, np.inf], "infinity"),
        ([[1, 2], [3, 4]], "1d array"),
        (np.zeros((3, 2)), "1d array"),
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


def test_class_counts_are_most_frequent_first() -> None:
    column = pa.array(["b", "a", None, "c", "c"])
    assert labels.class_counts(column) == [("c", 2), ("a", 1), ("b", 1)]


# --- targets that cannot be classified --------------------------------------------------------


def test_all_missing_and_one_class() -> None:
    with pytest.raises(EmptyTable, match="'y' has no value in any of 3 rows"):
        labels.check_target(pa.nulls(3), "y")
    with pytest.raises(OneClassOnly, match="'y' has one class only: every row is 'a'"):
        labels.check_target(pa.array(["a", "a", None]), "y")


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
