"""The estimator inside scikit-learn's tools, on text."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.api.conftest import Rows, quick
from udt import UDT


def lower(texts: Any) -> list[str]:
    return [text.lower() for text in texts]


FORMS = {
    "list": list,
    "array": lambda texts: np.array(texts, dtype=object),
    "fixed width": np.array,
    "Series": lambda texts: pd.Series(texts, name="review", index=range(5, 5 + len(texts))),
    "DataFrame": lambda texts: pd.DataFrame({"review": texts}),
}


@pytest.mark.parametrize("form", FORMS)
def test_cross_val_score(rows: Rows, form: str) -> None:
    X = FORMS[form](rows["text"])
    assert cross_val_score(quick(), X, np.array(rows["label"]), cv=3).mean() > 0.9


def test_pipeline_hands_texts_on(rows: Rows) -> None:
    pipeline = make_pipeline(FunctionTransformer(lower), quick())
    pipeline.fit(rows["text"], rows["label"])
    assert pipeline.score(rows["text"], rows["label"]) > 0.9
    assert pipeline.predict_proba(["GOOD", "BAD"]).argmax(axis=1).tolist() == [1, 0]
    assert pipeline[-1].get_params() == quick().get_params()


def test_grid_search_sets_parameters(rows: Rows) -> None:
    frame = pd.DataFrame(rows).drop(columns="label")
    search = GridSearchCV(quick(), {"width": [0, 8], "ignore": [None, ["price"]]}, cv=2)
    search.fit(frame, pd.Series(rows["label"]))
    assert search.best_score_ > 0.9
    assert set(search.best_params_) == {"width", "ignore"}
    assert search.predict(frame.head(3)).shape == (3,)


def test_cross_val_predict_of_probabilities(rows: Rows) -> None:
    probas = cross_val_predict(quick(), rows["text"], rows["label"], cv=2, method="predict_proba")
    np.testing.assert_allclose(probas.sum(axis=1), 1, atol=1e-6)


def test_clone_is_unfitted_and_equal(text_model: UDT) -> None:
    copy = clone(text_model)
    assert copy.get_params() == text_model.get_params()
    assert not hasattr(copy, "classes_")


def test_pickle_predicts_the_same(text_model: UDT, rows: Rows) -> None:
    copy = pickle.loads(pickle.dumps(text_model))
    np.testing.assert_array_equal(
        copy.predict_proba(rows["text"]), text_model.predict_proba(rows["text"])
    )


def test_repr_shows_what_was_set() -> None:
    assert repr(UDT("label", width=8)) == "UDT(target='label', width=8)"
