"""Explanations of models in which trees answer beside the network."""

from __future__ import annotations

import pytest

from tests.api.conftest import quick, rows_for_trees
from tests.api.test_explain import check_sums
from udt import UDT
from udt.explain_trees import of_trees


@pytest.fixture(scope="module")
def stacked() -> UDT:
    """Return a model in which trees answer beside the network."""
    model = quick(target="label").fit(rows_for_trees())
    assert model._model.predictor.stack is not None
    return model


ROW = {"note": "red small", "left": 0.6, "right": 0.7, "noise": 3.0}


@pytest.mark.parametrize(
    "changes", [{}, {"left": -0.6}, {"left": None}, {"note": ""}, dict.fromkeys(ROW)]
)
def test_words_and_columns_sum_to_the_logit(stacked, changes):
    row = ROW | changes
    check_sums(stacked, row, stacked.explain(row))


def test_the_columns_that_decide_weigh_most(stacked):
    (c,) = stacked.explain(ROW, label="same").classes
    weights = {x.column: x.weight for x in c.columns}
    assert min(weights["left"], weights["right"]) > 0.5
    assert abs(weights["noise"]) < 0.5 * min(weights["left"], weights["right"])
    assert stacked.report_.details["importance"][0]["column"] in ("left", "right")


def test_a_text_has_its_length_for_a_column(stacked):
    values = {x.column: x.value for x in stacked.explain(ROW).classes[0].columns}
    assert values.get("note", "9 bytes") == "9 bytes"
    assert values["left"] == "0.6"


def test_columns_share_what_the_trees_say(stacked):
    model = stacked._model
    parts = of_trees(model.predictor.stack, model._read(ROW))
    empty = of_trees(model.predictor.stack, model._read(dict.fromkeys(ROW)))
    assert empty.adds == pytest.approx(0)
    assert empty.before == pytest.approx(parts.before)
    swapped = of_trees(model.predictor.stack, model._read(ROW | {"left": 0.7, "right": 0.6}))
    assert swapped.before == pytest.approx(parts.before)
    assert parts.adds.sum(axis=0) == pytest.approx(
        parts.pool(model.predictor.stack).after - parts.before
    )
