"""What cannot be learned from is refused in a sentence, and leaves the estimator as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from tests.api.conftest import Rows, quick
from udt import UDT
from udt.errors import DataError, EmptyTable, OneClassOnly, SettingsError, TargetNotFound

N = 30
TEXTS = [f"{'good' if i % 2 else 'bad'} thing {i}" for i in range(N)]
LABELS = [i % 2 for i in range(N)]


def table(**columns: Any) -> dict[str, Any]:
    return {"text": TEXTS, "label": LABELS, **columns}


CASES: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "unknown target": (table(), {"target": "lable"}, TargetNotFound, "Did you mean 'label'"),
    "target in another case": (table(), {"target": "LABEL"}, TargetNotFound, "mean 'label'"),
    "target all missing": (table(label=[None] * N), {}, EmptyTable, "'label' has no value"),
    "one class": (table(label=["x"] * N), {}, OneClassOnly, "every row is 'x'"),
    "one class and missing": (
        table(label=["x"] * (N - 1) + [None]),
        {},
        OneClassOnly,
        "every row is 'x'",
    ),
    "labels never repeat": (table(label=TEXTS), {}, DataError, "no label with two rows"),
    "regression": (table(label=np.linspace(0, 1, N)), {}, DataError, "offers no regression"),
    "text all null": (table(text=[None] * N), {}, EmptyTable, "'text' is constant"),
    "text all null, set as text": (
        table(text=pd.Series([None] * N, dtype="string")),
        {"text": "text"},
        EmptyTable,
        "'text' is text",
    ),
    "nothing but constants": (table(text=["same"] * N), {}, EmptyTable, "the same value"),
    "nothing but ignored": (table(), {"ignore": "text"}, EmptyTable, "'text' is ignored"),
    "no column but the target": ({"label": LABELS}, {}, EmptyTable, "no column but the target"),
    "no rows": ({"text": [], "label": []}, {}, EmptyTable, "0 rows"),
    "target set as text": (table(), {"text": "label"}, SettingsError, "it is the target"),
    "unknown column set": (table(), {"text": "txt"}, SettingsError, "Did you mean 'text'"),
    "missing file": ("nowhere.csv", {}, DataError, "nowhere.csv does not exist"),
    "lengths differ": (table(label=[1]), {}, DataError, "length"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    X, given, error, message = CASES[case]
    fresh = quick(**{"target": "label", **given})
    before = dict(vars(fresh))
    with pytest.raises(error, match=message) as caught:
        fresh.fit(X)
    assert str(caught.value).endswith((".", "?"))
    assert "\n" not in str(caught.value)
    assert vars(fresh) == before
    assert list(tmp_path.iterdir()) == []


def test_a_model_survives_a_failed_fit(rows: Rows) -> None:
    model = quick(target="label").fit(rows)
    expected = model.predict_proba(rows)
    with pytest.raises(OneClassOnly):
        model.fit(np.zeros((5, 2)), ["x"] * 5)
    np.testing.assert_array_equal(model.predict_proba(rows), expected)


@pytest.mark.parametrize("what", ["test", "valid"])
def test_a_second_table_is_refused_before_training(rows: Rows, what: str) -> None:
    def fit(**tables: Any) -> None:
        def tell(stage: str, done: float | None, note: str) -> None:
            assert stage in ("read", "featurize")

        quick(target="label").fit(rows, on_progress=tell, **tables)

    with pytest.raises(TargetNotFound, match="'label' is not in a dict"):
        fit(**{what: {"text": ["a"], "other": ["good"]}})
    with pytest.raises(DataError, match="label"):
        fit(**{what: {"text": ["a", "b"], "label": [None, None]}})
    with pytest.raises(DataError, match=r"none of the .*columns"):
        fit(**{what: {"body": ["a"], "label": ["good"]}})


USES = ("predict", "predict_proba", "predict_top_k", "score", "evaluate")


@pytest.mark.parametrize("use", USES)
def test_before_fit(use: str) -> None:
    with pytest.raises(NotFittedError, match="not fitted"):
        getattr(UDT(), use)(["text"])
    with pytest.raises(NotFittedError):
        UDT().save("never.udt")
    assert not hasattr(UDT(), "content_sha256_")


@pytest.mark.parametrize("use", USES)
def test_nothing_to_predict(text_model: UDT, use: str) -> None:
    for nothing in ([], {"text": []}, pd.DataFrame({"text": []})):
        with pytest.raises(DataError):
            getattr(text_model, use)(nothing)


def test_what_is_no_table(text_model: UDT) -> None:
    for odd in (5, object(), {1, 2}):
        with pytest.raises(TypeError, match="cannot be read as a table"):
            text_model.predict(odd)


@pytest.mark.parametrize("k", [0, 3, -1, 1.5, "2"])
def test_top_k_out_of_range(text_model: UDT, k: Any) -> None:
    with pytest.raises(SettingsError, match=f"from 1 to 2.*Got {k!r}"):
        text_model.predict_top_k(["good"], k=k)


def test_measuring_without_labels(model: UDT, rows: Rows) -> None:
    with pytest.raises(TargetNotFound, match="'label' is not in a list"):
        model.evaluate(["good"])
    with pytest.raises(EmptyTable, match="no value in any row"):
        model.score({**rows, "label": [None] * 120})
    with pytest.raises(DataError, match="120 rows, 2 labels"):
        model.evaluate(rows, ["good", "bad"])


# --- tables that are only just enough ---------------------------------------------------------


def test_three_rows() -> None:
    model = quick().fit(["so good", "too bad", "good it is"], ["y", "n", "y"])
    assert set(model.predict(["good", "bad", "?"])) <= {"y", "n"}
    assert any("one row only" in w for w in model.report_.warnings)


def test_texts_that_share_no_word() -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    model = quick().fit(words, ["x", "y"] * 5)
    np.testing.assert_allclose(model.predict_proba(["mu"]).sum(), 1, rtol=1e-6)


def test_more_classes_than_a_matrix_shows() -> None:
    texts = [f"word{i % 210} and more" for i in range(420)]
    y = [i % 210 for i in range(420)]
    model = quick(width=0).fit(texts, y)
    assert len(model.classes_) == 210
    assert "confused" in model.evaluate(texts[:50], y[:50])
