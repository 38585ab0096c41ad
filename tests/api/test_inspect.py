"""What a table looks like before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.api.conftest import Rows
from udt.classifier import inspect
from udt.errors import SettingsError, TargetNotFound
from udt.report import schema_text


def kinds(found: dict[str, Any]) -> dict[str, str]:
    return {c["column"]: c["kind"] for c in found["schema"]}


def test_without_a_target(rows: Rows) -> None:
    found = inspect(rows)
    assert list(kinds(found)) == ["text", "shop", "price", "label"]
    assert set(found["facts"]) == {"source", "n_rows", "columns", "n_duplicates", "warnings"}
    assert found["facts"]["n_rows"] == 120


def test_with_a_target(rows: Rows) -> None:
    found = inspect(rows, "label")
    assert kinds(found) == {"text": "text", "shop": "categorical", "price": "numeric"}
    facts = found["facts"]
    n_good = rows["label"].count("good")
    counts = {"good": n_good, "bad": 120 - n_good}
    assert {c["label"]: c["n_rows"] for c in facts["classes"]} == counts
    assert facts["columns"]["price"] == {
        "n_missing": rows["price"].count(None),
        "n_distinct": len(set(rows["price"]) - {None}),
    }
    assert facts["warnings"] == []
    assert facts["multi_label"] is False
    assert json.loads(json.dumps(found)) == found
    assert "label: 2 classes" in schema_text(found["schema"], facts)


def test_duplicates_count_rows_that_repeat_an_earlier_one(rows: Rows) -> None:
    frame = pd.DataFrame(rows).drop_duplicates()
    again = pd.concat([frame, frame.head(7), frame.head(2)])
    assert inspect(again)["facts"]["n_duplicates"] == 9
    assert inspect(frame)["facts"]["n_duplicates"] == 0


WARNED: dict[str, tuple[dict[str, Any], str]] = {
    "missing labels": ({"label": ["a", "b", None] * 20}, "20 rows without a label left out"),
    "a class with one row": ({"label": ["a", "b"] * 29 + ["a", "c"]}, "one row only.*: 'c'"),
    "imbalance": ({"label": ["a"] * 55 + ["b"] * 5}, "55 rows of 'a', 5 of 'b'"),
    "constant": ({"label": ["a", "b"] * 30, "fixed": [1] * 60}, "'fixed' is not used: constant"),
    "identifier": (
        {"label": ["a", "b"] * 30, "row_id": list(range(60))},
        "'row_id' is not used: identifier",
    ),
    "leak": (
        {"label": ["a", "b"] * 30, "outcome": ["won", "lost"] * 30},
        r"'outcome' alone tells the label of 100\.0 %",
    ),
    "one class": ({"label": ["a"] * 60}, "one class only"),
    "regression": ({"label": [i * 7.5 for i in range(60)]}, "offers no regression"),
    "all missing": ({"label": [None] * 60}, "no value in any of 60 rows"),
}


@pytest.mark.parametrize("what", WARNED)
def test_warnings(what: str) -> None:
    columns, expected = WARNED[what]
    texts = [f"some words of row {i} here" for i in range(60)]
    told = inspect({"text": texts, **columns}, "label")["facts"]["warnings"]
    assert pd.Series(told).str.contains(expected).any(), told
    assert all(sentence.endswith((".", "?")) for sentence in told)


def test_kinds_that_are_set(rows: Rows) -> None:
    assert kinds(inspect(rows, "label", text="shop", ignore=["price"])) == {
        "text": "text",
        "shop": "text",
        "price": "ignored",
    }
    with pytest.raises(SettingsError, match="'bad_rows'"):
        inspect(rows, bad_rows="keep")
    with pytest.raises(SettingsError, match="Did you mean 'shop'"):
        inspect(rows, text="shopp")
    with pytest.raises(TargetNotFound, match="Did you mean 'label'"):
        inspect(rows, "Label")


def test_skipped_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\na b,x\nc,d,e\nf g,y\n")
    assert "1 row of the file" in inspect(path, bad_rows="skip")["facts"]["warnings"][0]
