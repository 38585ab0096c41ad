"""JSON rows become what the library would have read, or an error that names row and column."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serving.conftest import ROW
from udt.featurizers.schema import ColumnSchema, Schema
from udt.model import Model, load_model
from udt.serving.rows import MAX_ERRORS, InvalidRows, RowReader

FIRST, LAST = datetime.date(1000, 1, 1), datetime.date(2999, 12, 31)
LOADED: dict[Path, Model] = {}  # hypothesis runs a test many times


def reader(kind: str, **params: str) -> RowReader:
    return RowReader(Schema((ColumnSchema("c", kind, "", params),)))


def read(kind: str, cell: object, **params: str) -> object:
    ((found,),) = reader(kind, **params).cells([{"c": cell}])
    return found


@pytest.mark.parametrize(
    ("kind", "params", "cell", "expected"),
    [
        ("text", {}, "naïve 文 😀\0", "naïve 文 😀\0"),
        ("text", {}, "", ""),
        ("text", {}, 12, "12"),
        ("text", {}, None, None),
        ("categorical", {}, 3, "3"),
        ("categorical", {}, 3.0, "3"),
        ("categorical", {}, 3.5, "3.5"),
        ("boolean", {}, True, "true"),
        ("boolean", {}, False, "false"),
        ("numeric", {}, 3, 3.0),
        ("numeric", {}, "-1e2", -100.0),
        ("numeric", {}, True, 1.0),
        ("numeric", {}, "n/a", None),
        ("numeric", {}, " ", None),
        ("numeric", {"decimal": ",", "unit": "€"}, "1.200,5 €", 1200.5),
        ("numeric", {"decimal": ","}, 12.5, 12.5),
        ("date", {"layout": "dmy"}, "31.05.2024", "31.05.2024"),
        ("date", {"layout": "ymd"}, "", None),
        ("multi", {"separator": ";"}, ["a", None, 2], "a;2"),
        ("multi", {"separator": ";"}, "a;b", "a;b"),
    ],
)
def test_a_cell_is_read_by_its_columns_kind(kind, params, cell, expected):
    assert read(kind, cell, **params) == expected


@pytest.mark.parametrize(
    ("kind", "cell", "words"),
    [
        ("text", {"a": 1}, "an object is no value"),
        ("text", ["a"], r"\['a'\] is no value"),
        ("text", [{}], "a list is no value"),
        ("categorical", [], "no value"),
        ("numeric", "cheap", "'cheap' is not a number"),
        ("numeric", "3 kg", "not a number"),
        ("numeric", 10**400, "not a number"),
        ("numeric", [1], "not a number"),
        ("numeric", "1" * 200_000 + "!", "not a number"),  # at once: not by trying every split
        ("date", "2024-05-01" + " " * 200_000, "not a date"),
        ("date", "yesterday", r"not a date. Expected a text such as '2024-05-31'"),
        ("date", "2024-02-30", "not a date"),
        ("date", 20240501, "not a date"),
        ("multi", [["a"]], "no list of values"),
    ],
)
def test_a_cell_of_a_wrong_type_is_named(kind, cell, words):
    with pytest.raises(InvalidRows, match=words) as raised:
        reader(kind).cells([{"c": None}, {"c": cell}])
    (error,) = raised.value.errors
    assert error["loc"] == ["body", "rows", 1, "c"]
    assert error["msg"].startswith("rows[1], column 'c': ")


def test_a_row_without_any_column_of_the_model_is_refused_with_a_hint():
    with pytest.raises(InvalidRows, match=r"rows\[0\] has no column.*\['prise'\].*'price'\?"):
        RowReader(Schema((ColumnSchema("price", "numeric", ""),))).cells([{"prise": 1}])
    with pytest.raises(InvalidRows, match=r"rows\[0\] is empty. Expected at least one of: c\."):
        reader("text").cells([{}])


def test_long_values_and_many_errors_are_cut():
    with pytest.raises(InvalidRows) as raised:
        reader("numeric").cells([{"c": "x" * 10_000}] * 500)
    assert len(raised.value.errors) == MAX_ERRORS
    assert len(str(raised.value)) < MAX_ERRORS * 200


def test_columns_that_the_network_does_not_use_and_unknown_ones_are_left_out():
    schema = Schema((ColumnSchema("id", "identifier", ""), ColumnSchema("c", "text", "")))
    cells = RowReader(schema).cells([{"id": {"not": "read"}, "extra": [[]], "c": "x"}])
    assert cells == [["x"]]


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "text": st.none() | st.text(max_size=20),
                "shop": st.sampled_from(["north", "south", "west", None]),
                "price": st.none() | st.floats(-1e9, 1e9),
                "day": st.none() | st.dates(FIRST, LAST).map(str),
                "tags": st.sampled_from(["new|sale", "", "gift", None]),
            },
        ).filter(bool),
        min_size=1,
        max_size=5,
    )
)
@pytest.mark.filterwarnings("ignore:.*lacks columns:UserWarning")
def test_rows_mean_what_they_mean_to_the_library(model_file, rows):
    model = LOADED.setdefault(model_file, load_model(model_file))
    table = RowReader(model.schema).table(RowReader(model.schema).cells(rows))
    together = model.predict_proba(table)
    for row, proba in zip(rows, together, strict=True):
        alone = model.predict_proba([{**dict.fromkeys(ROW), **row}])[0]
        np.testing.assert_allclose(proba, alone, atol=1e-6)
