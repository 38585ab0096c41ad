"""Whatever form rows come in, the same rows get the same predictions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.api.conftest import Rows, as_dicts, make_rows, quick
from udt import UDT
from udt.errors import DataError


def polars_frame(rows: Rows) -> Any:
    return pytest.importorskip("polars").DataFrame(rows)


def huggingface(rows: Rows) -> Any:
    import datasets

    return datasets.Dataset.from_dict(rows)


def csv_file(rows: Rows, name: str = "rows.csv") -> Path:
    pd.DataFrame(rows).to_csv(name, index=False)
    return Path(name)


def parquet_path(rows: Rows) -> str:
    pq.write_table(pa.table(rows), "rows.parquet")
    return "rows.parquet"


TABLES: dict[str, Callable[[Rows], Any]] = {
    "dict of columns": lambda rows: rows,
    "list of dicts": as_dicts,
    "tuple of dicts": lambda rows: tuple(as_dicts(rows)),
    "DataFrame": pd.DataFrame,
    "DataFrame of categoricals": lambda rows: pd.DataFrame(rows).astype({"shop": "category"}),
    "polars": polars_frame,
    "pyarrow": pa.table,
    "record batch": lambda rows: pa.table(rows).to_batches()[0],
    "datasets": huggingface,
    "Path of CSV": csv_file,
    "str of Parquet": parquet_path,
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("form", TABLES)
def test_a_table_with_its_target(model: UDT, rows: Rows, form: str) -> None:
    table = TABLES[form](rows)
    fitted = quick(target="label").fit(table)
    assert fitted.classes_.tolist() == ["bad", "good"]
    assert fitted.feature_names_in_.tolist() == ["text", "shop", "price"]
    expected = model.predict_proba(make_rows(20, seed=2))
    np.testing.assert_allclose(
        fitted.predict_proba(make_rows(20, seed=2)), expected, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        model.predict_proba(table), model.predict_proba(rows), rtol=1e-4, atol=1e-6
    )
    assert model.score(table) == model.score(rows)


def texts_of(rows: Rows) -> list[str]:
    return [str(text) for text in rows["text"]]


TEXTS: dict[str, Callable[[Rows], Any]] = {
    "tuple": lambda rows: tuple(texts_of(rows)),
    "objects": lambda rows: np.array(texts_of(rows), dtype=object),
    "fixed width": lambda rows: np.array(texts_of(rows)),
    "Series": lambda rows: pd.Series(texts_of(rows)),
    "named Series": lambda rows: pd.Series(texts_of(rows), name="review"),
    "polars Series": lambda rows: polars_frame(rows)["text"],
    "Arrow": lambda rows: pa.array(texts_of(rows)),
    "chunked Arrow": lambda rows: pa.chunked_array([texts_of(rows)]),
    "column of datasets": lambda rows: huggingface(rows)["text"],
    "column of cells": lambda rows: np.array(texts_of(rows), dtype=object).reshape(-1, 1),
}


@pytest.mark.filterwarnings("ignore:Only one of the tables:UserWarning")  # of the last form
@pytest.mark.parametrize("form", TEXTS)
def test_bare_texts(text_model: UDT, rows: Rows, form: str) -> None:
    texts = TEXTS[form](rows)
    expected = text_model.predict_proba(texts_of(rows))
    np.testing.assert_array_equal(text_model.predict_proba(texts), expected)
    fitted = quick().fit(texts, rows["label"])
    assert [c.kind for c in fitted.schema_.columns] == ["text"]
    assert fitted.score(texts, rows["label"]) > 0.9


def test_one_row_in_any_form(model: UDT, text_model: UDT) -> None:
    for one in ("good fine", ["good fine"], {"text": "good fine"}, [{"text": "good fine"}]):
        assert text_model.predict(one).tolist() == ["good"]
        assert text_model.predict_proba(one).shape == (1, 2)
    assert model.predict("good fine lovely").tolist() == ["good"]  # its one text column
    row = {"text": "bad and broken", "shop": "north", "price": 5}
    assert model.predict(row).tolist() == ["bad"]


def test_few_texts_that_repeat_are_text() -> None:
    fitted = quick().fit(["so good", "too bad"] * 10, [1, 0] * 10)
    assert fitted.predict(["good", "bad"]).tolist() == [1, 0]
    assert fitted.schema_.columns[0].reason == "passed as bare texts"


def test_texts_that_begin_with_a_missing_one(text_model: UDT) -> None:
    for nothing in (None, float("nan")):
        labels = text_model.predict([nothing, "good fine", "bad poor"])
        assert labels[1:].tolist() == ["good", "bad"]


def test_a_single_column_that_is_no_text_takes_bare_values() -> None:
    frame = pd.DataFrame({"colour": ["red", "green", "blue"] * 20})
    fitted = quick(categorical="colour").fit(frame, [1, 0, 0] * 20)
    assert fitted.predict(["red", "blue"]).tolist() == [1, 0]


# --- columns at prediction --------------------------------------------------------------------


def test_order_and_surplus_columns_do_not_matter(model: UDT, rows: Rows) -> None:
    expected = model.predict_proba(rows)
    shuffled = {"surplus": rows["label"], **dict(reversed(rows.items()))}
    np.testing.assert_array_equal(model.predict_proba(shuffled), expected)


def test_a_missing_column_is_warned_of_at_the_caller(model: UDT, rows: Rows) -> None:
    del rows["price"]
    with pytest.warns(UserWarning, match="lacks columns .*: price") as caught:
        assert len(model.predict(rows)) == 120
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(rows["text"])  # who passes texts alone knows


def test_none_of_the_columns(model: UDT) -> None:
    with pytest.raises(DataError, match=r"none of the model's columns.*text, shop, price.*: body"):
        model.predict({"body": ["good"]})


def test_texts_for_a_model_of_several_text_columns() -> None:
    rows = make_rows(60, seed=1)
    twice = {"title": rows["text"], "body": rows["text"]}
    fitted = quick(text=["title", "body"]).fit(twice, rows["label"])
    with pytest.raises(DataError, match=r"2 columns .*: title, body"):
        fitted.predict(["good"])


def test_cells_of_another_type(model: UDT) -> None:
    odd = {"text": [1, 2], "shop": [True, False], "price": ["a lot", "5 EUR"]}
    assert len(model.predict(odd)) == 2
    dates = pd.to_datetime(["2020-01-01", "2021-01-01"])
    assert len(model.predict({"text": dates, "shop": dates, "price": dates})) == 2


# --- arrays -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def numbers() -> tuple[Any, Any]:
    X = np.random.default_rng(0).normal(size=(80, 3))
    return X, (X[:, 0] > 0).astype(int)


def test_array_and_frame_agree_by_position(numbers: tuple[Any, Any]) -> None:
    X, y = numbers
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    of_array, of_frame = quick().fit(X, y), quick().fit(frame, y)
    with pytest.warns(UserWarning, match="names of columns"):
        np.testing.assert_array_equal(of_array.predict_proba(frame), of_array.predict_proba(X))
    with pytest.warns(UserWarning, match="in the order a, b, c"):
        np.testing.assert_array_equal(of_frame.predict(X), of_frame.predict(frame))
    np.testing.assert_array_equal(of_array.predict(X.tolist()), of_array.predict(X))
    assert not hasattr(of_array, "feature_names_in_")
    assert of_array.fit(frame, y).feature_names_in_.tolist() == ["a", "b", "c"]
    assert not hasattr(of_array.fit(X, y), "feature_names_in_")


def test_rows_of_mixed_cells_keep_their_types() -> None:
    rows = [["good", 1.5], ["bad", 2.5]] * 20
    fitted = quick().fit(rows, ["y", "n"] * 20)
    assert {c.name: c.kind for c in fitted.schema_.columns}["x1"] == "numeric"
    assert fitted.predict(rows[:2]).tolist() == ["y", "n"]


def test_another_width(numbers: tuple[Any, Any]) -> None:
    X, y = numbers
    fitted = quick().fit(X, y)
    with pytest.raises(DataError, match="X has 2 features, but UDT is expecting 3 features"):
        fitted.predict(X[:, :2])


# --- odd texts --------------------------------------------------------------------------------

ODD = {
    "empty": "",
    "blank": " \t\n",
    "None": None,
    "NaN": float("nan"),
    "emoji": "👍🏽 great 🎉",
    "right to left": "מצוין ممتاز",
    "NUL": "good\0thing",
    "half a surrogate pair": "good \ud83d thing",
    "like a number": "12",
    "markup": "<br/>" * 100,
    "combining": "e\u0301" * 50,
    "path that is none": "no such file.csv",
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_texts_get_a_prediction(model: UDT, text_model: UDT, odd: str) -> None:
    for rows in ([ODD[odd]], {"text": [ODD[odd]], "shop": [None], "price": [None]}):
        for fitted in (model, text_model):
            probas = fitted.predict_proba(rows)
            assert probas.shape == (1, 2)
            np.testing.assert_allclose(probas.sum(), 1, rtol=1e-5)


def test_ten_megabytes_in_one_cell(model: UDT) -> None:
    assert model.predict(["good " * 2_000_000, "bad"]).tolist() == ["good", "bad"]
    assert model.predict("bad " * 2_500_000).tolist() == ["bad"]


def test_a_bare_string_is_a_path_if_it_looks_like_one(model: UDT, rows: Rows) -> None:
    csv_file(rows, "my rows.csv")
    assert len(model.predict("my rows.csv")) == 120
    assert len(model.predict("his rows.csv")) == 1
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        model.predict("nowhere.csv")


def test_many_rows_are_predicted_in_blocks_alike(text_model: UDT, rows: Rows) -> None:
    many = (rows["text"] * 150)[:17_001]
    probas = text_model.predict_proba(many)
    np.testing.assert_array_equal(probas[:120], text_model.predict_proba(rows["text"]))
    np.testing.assert_array_equal(probas[-1:], text_model.predict_proba(many[-1:]))
    np.testing.assert_array_equal(
        text_model.predict(many), text_model.classes_[probas.argmax(axis=1)]
    )
