"""A separator is found where it stands between labels, and left alone where it is part of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.errors import DataError, SettingsError
from udt.label_forms import LISTS, ONE_LABEL, LabelForm, counts, find_form, flat, join, split

RNG = np.random.default_rng(0)
NAMES = [f"label {i}" for i in range(12)]


def column(cells: list[Any]) -> pa.Array:
    return pa.array(cells, pa.large_string())


def sets(n: int, share: float, separator: str, names: list[str] = NAMES) -> list[str]:
    """Return n cells, a share of which hold two to four labels."""
    cells = []
    for _ in range(n):
        k = RNG.integers(2, 5) if RNG.random() < share else 1
        cells.append(separator.join(sorted(RNG.choice(names, k, replace=False))))
    return cells


FOUND: dict[str, tuple[list[Any], str]] = {
    "few rows with several": (sets(400, 0.15, ";"), ";"),
    "most rows with several": (sets(400, 0.9, "|"), "|"),
    "blanks after commas": (sets(400, 0.5, ", "), ","),
    "missing cells": ([*sets(400, 0.5, ";"), None, "", None], ";"),
    "numbers": (sets(400, 0.5, ";", [str(i) for i in range(12)]), ";"),
    "three labels in few rows": (["a", "b", "c"] * 10 + ["a;b", "b;c", "a;c", "a;b;c"] * 3, ";"),
    "labels that hold another separator": (sets(400, 0.5, ";", [f"{n}, etc." for n in NAMES]), ";"),
}


@pytest.mark.parametrize("what", FOUND)
def test_found(what: str) -> None:
    cells, separator = FOUND[what]
    form = find_form(column(cells))
    assert (form.separator, form.is_list, form.is_multi_label) == (separator, False, True)
    assert form.reason.endswith("labels")
    assert form.told()["value"] == f"several a row, separated by {separator!r}"


FIRST = ["Anna", "Bo", "Cara", "Dan", "Eve", "Finn", "Gus", "Hal"]
LAST = ["Smith", "Jones", "Brown", "Lee", "Khan", "Diaz", "Wolf", "Roy"]
WORDS = ["good", "bad", "late", "box", "blue", "cheap", "again", "never", "it", "was"]


def sentence() -> str:
    clauses = [" ".join(RNG.choice(WORDS, 4)) for _ in range(RNG.integers(1, 4))]
    return ", ".join(clauses)


LEFT_ALONE: dict[str, list[Any]] = {
    "names": [f"{b}, {a}" for a, b in itertools.product(FIRST, LAST)] * 5,
    "names, some with a title": [
        f"{b}, Dr., {a}" if RNG.random() < 0.2 else f"{b}, {a}"
        for a, b in itertools.product(FIRST, LAST)
        for _ in range(5)
    ],
    "sentences": [sentence() for _ in range(300)],
    "class names": ["comp.sys.ibm|pc", "comp.sys.mac|hw", "sci.med", "rec;autos", "a, b"] * 60,
    "paths": [f"{a}|{b}" for a, b in itertools.product("abcdef", "uvwxyz")] * 10,
    "decimal commas": [f"{a},{b}" for a in range(10) for b in range(10)] * 5 + ["3", "4"] * 50,
    "sizes and colours": [f"{a};{b}" for a in ("S", "M", "L") for b in ("red", "blue")] * 50,
    "hardly a row has several": [*sets(990, 0, ";"), *sets(10, 1, ";")],
    "too few rows have several": ["a", "b", "c"] * 10 + ["a;b", "b;c", "a;c", "a;b;c"] * 2,
    "pairs in either order": [f"{a};{b}" for a, b in itertools.permutations(NAMES, 2)] * 3,
    "labels that never recur": [*sets(300, 0.9, ";"), *(f"note {i}" for i in range(150))],
    "long labels": sets(400, 0.5, ";", [f"{'long ' * 13}{i}" for i in range(12)]),
    "one label each": NAMES * 20,
    "two labels and both": ["a", "b", "a;b"] * 50,
}


@pytest.mark.parametrize("what", LEFT_ALONE)
def test_left_alone(what: str) -> None:
    assert find_form(column(LEFT_ALONE[what])) == ONE_LABEL


def test_the_reason_counts() -> None:
    cells = [*["a", "b", "c"] * 25, *["a;b", "b;c", "a;c", "a;b;c", "c"] * 5]
    assert find_form(column(cells)).reason == "20 % of the rows have several of 3 labels"


def test_what_is_no_text_has_one_label() -> None:
    for cells in ([1, 2, 3], [1.5, None], [True, False]):
        assert find_form(pa.array(cells)) == ONE_LABEL


def test_what_the_user_says() -> None:
    cells = column(FOUND["few rows with several"][0])
    assert find_form(cells, "/") == LabelForm("/", reason="set by the user")
    assert find_form(cells, False) == LabelForm(reason="set by the user")
    lists = pa.array([["a", "b"], ["c"]])
    assert find_form(lists) == find_form(lists, ";") == LISTS
    with pytest.raises(SettingsError, match=r"'multi_label' parameter.* the labels are lists"):
        find_form(lists, False)


def test_split() -> None:
    cells = column([" a ;b", "b;;a;b", "", " ; ", None, "a"])
    lists = split(cells, LabelForm(";"))
    assert lists.to_pylist() == [["a", "b"], ["b", "a"], None, None, None, ["a"]]
    assert counts(lists).tolist() == [2, 2, 0, 0, 0, 1]
    assert flat(lists).to_pylist() == ["a", "b", "b", "a", "a"]
    assert lists.take(pa.array([1, 2])).to_pylist() == [["b", "a"], None]
    assert split(cells, ONE_LABEL) is cells
    assert split(lists, LabelForm(";")) is lists
    with pytest.raises(DataError, match="labels are lists, but there is one label"):
        split(lists, ONE_LABEL)


def test_split_of_a_column_that_was_read_as_numbers() -> None:
    assert split(pa.array([1, 2, None]), LabelForm(";")).to_pylist() == [["1"], ["2"], None]
    assert split(pa.array([1.0, 2.5]), LabelForm(";")).to_pylist() == [["1"], ["2.5"]]


@given(
    st.lists(st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=4, unique=True))
)
def test_joined_and_split_again(rows: list[list[str]]) -> None:
    lists = pa.array(rows, pa.large_list(pa.large_string()))
    assert split(join(lists, ";"), LabelForm(";")).to_pylist() == rows


def test_slices_of_columns() -> None:
    cells = split(column(["x;y", "a;b", None, "c"]), LabelForm(";"))
    part = cells.slice(1)
    assert counts(part).tolist() == [2, 0, 1]
    assert flat(part).to_pylist() == ["a", "b", "c"]
    assert join(part, "|").to_pylist() == ["a|b", None, "c"]
