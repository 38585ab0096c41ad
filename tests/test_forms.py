"""Arrays, bare texts and tables are told apart; so are texts and paths."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from udt import forms

FORMS: list[tuple[Any, str]] = [
    (["a", "b"], forms.TEXTS),
    ([None, float("nan"), "b"], forms.TEXTS),
    (("a",), forms.TEXTS),
    (np.array(["a", None], dtype=object), forms.TEXTS),
    (np.array(["a", "b"]), forms.TEXTS),
    (pd.Series(["a"]), forms.TEXTS),
    (pa.array(["a"]), forms.TEXTS),
    ([1, 2], forms.ARRAY),
    ([["a", 1]], forms.ARRAY),
    (np.zeros(3), forms.ARRAY),
    (np.zeros((3, 2)), forms.ARRAY),
    (np.array([["a"]]), forms.ARRAY),
    ([None, {"a": 1}], forms.TABLE),
    ({"a": [1]}, forms.TABLE),
    (pd.DataFrame({"a": [1]}), forms.TABLE),
    (pa.table({"a": [1]}), forms.TABLE),
    ("reviews.csv", forms.TABLE),
    (Path("reviews.csv"), forms.TABLE),
]


@pytest.mark.parametrize(("X", "form"), FORMS, ids=lambda x: type(x).__name__)
def test_form(X: Any, form: str) -> None:
    assert forms.form_of(X) == form


def test_a_long_text_is_told_from_a_path_at_once() -> None:
    started = time.perf_counter()
    assert not forms.is_path("x" * 10_000_000)
    assert not forms.is_path(("a." * 2_000) + " ")
    assert time.perf_counter() - started < 0.5
    assert forms.is_path("folder/reviews.csv.gz")
    assert forms.is_path("hf:owner/name@test")
    assert not forms.is_path("I read it in reviews.csv")
    assert not forms.is_path("line\nreviews.csv")
