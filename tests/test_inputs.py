"""Rows and labels in one form; what needs no training to be tested."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from udt import inputs
from udt.errors import DataError, EmptyTable, SettingsError, TargetNotFound
from udt.inputs import Labelled
from udt.table import as_table


def read(X: Any, y: Any = None, target: str | None = None) -> Labelled:
    return inputs.read_training(X, y, target, "refuse")


FRAME = {"text": ["a", "b", "c"], "Label": ["x", "y", "x"]}


def test_target_in_the_table() -> None:
    rows = read(FRAME, target="Label")
    assert rows.table.names == ("text",)
    assert rows.labels.to_pylist() == ["x", "y", "x"]
    assert rows.target == "Label"


@pytest.mark.parametrize(
    ("target", "hint"),
    [("label", "Did you mean 'Label'"), ("Labell", "Did you mean 'Label'"), ("zzz", "text, Label")],
)
def test_unknown_target(target: str, hint: str) -> None:
    with pytest.raises(TargetNotFound, match=f"'{target}' is not in a dict.*{hint}"):
        read(FRAME, target=target)


def test_neither_target_nor_y() -> None:
    with pytest.raises(SettingsError, match=r"UDT\(target=\.\.\.\)\.fit\(X\) or fit\(X, y\)"):
        read(FRAME)
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        read(np.zeros((3, 2)))


def test_y_that_is_a_column_of_the_frame_is_not_learned_from() -> None:
    frame = pd.DataFrame(FRAME)
    rows = read(frame, frame["Label"])
    assert rows.table.names == ("text",)
    assert rows.target == "Label"
    assert read(frame, list(FRAME["Label"]), target="Label").table.names == ("text",)
    assert read(frame, ["x", "y", "x"]).target == "y"
    with pytest.raises(EmptyTable, match="no column but the target 'Label'"):
        read(frame[["Label"]], frame["Label"])


def test_y_of_another_length() -> None:
    with pytest.raises(DataError, match="3 rows, 2 labels"):
        read(FRAME, ["x", "y"])


def test_rows_without_a_label_are_left_out() -> None:
    rows = read(FRAME["text"], ["x", None, "y"])
    assert rows.table.column("text").to_pylist() == ["a", "c"]
    assert rows.labels.to_pylist() == ["x", "y"]
    assert rows.n_unlabelled == 1


def test_append_rows_in_the_first_tables_columns() -> None:
    own = as_table({"n": [1, 2], "text": ["a", "b"], "only": [1, 2]})
    new = as_table({"text": [7], "n": ["many"], "surplus": [0]})
    both = inputs.append_rows(own, new)
    assert both.names == ("n", "text", "only")
    assert both.source == own.source
    assert both.column("n").to_pylist() == ["1", "2", "many"]
    assert both.column("text").to_pylist() == ["a", "b", "7"]
    assert both.column("only").to_pylist() == [1, 2, None]


def test_append_rows_widens_numbers() -> None:
    both = inputs.append_rows(as_table({"n": [1, 2]}), as_table({"n": [0.5]}))
    assert both.column("n").to_pylist() == [1.0, 2.0, 0.5]


def test_kinds_of_the_target_and_of_unknown_columns() -> None:
    rows = read(FRAME, target="Label")
    with pytest.raises(SettingsError, match="'Label' was set to text, but it is the target"):
        inputs.infer(rows, {"Label": ("text", {})})
    with pytest.raises(SettingsError, match=r"'txet'.*Did you mean 'text'"):
        inputs.infer(rows, {"txet": ("text", {})})


def test_numbers_of_an_array_are_never_identifiers() -> None:
    rows = read(np.arange(60).reshape(-1, 2), [0, 1, 1] * 10)
    assert [c.kind for c in inputs.infer(rows, {}).columns] == ["numeric", "numeric"]
    assert [c.kind for c in inputs.infer(rows, {"x0": ("ignored", {})}).columns] == [
        "ignored",
        "numeric",
    ]
