"""What a run tells of itself: stable keys, sums that add up, labels and rows that count."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.api.conftest import Rows, make_rows, quick
from udt import UDT
from udt.account import Stages, name_ngrams
from udt.carbon import Meter, find_machine, find_place


def test_stable_keys(model: UDT) -> None:
    report = json.loads(json.dumps(model.report_.to_dict()))
    assert set(report["time"]) == {
        "wall_s", "start_s", "read_s", "featurize_s", "compile_s", "search_s", "fit_s", "epoch_s",
        "test_s", "cpu_s",
    }  # fmt: skip
    assert set(report["metrics"]) == {
        "split", "n_rows", "accuracy", "macro_f1", "log_loss", "ece", "accuracy_ci95", "majority",
    }  # fmt: skip
    assert set(report["network"]) == {
        "n_features", "width", "sparsity", "work_train", "work_predict", "active_fraction_mean",
        "wide", "ngrams", "deep_fraction",
    }  # fmt: skip
    assert {"car_m", "roberta_g", "per_million_g", "repaid_predictions"} <= set(report["carbon"])
    assert 0 < report["network"]["work_train"] <= 1
    assert 0 < report["network"]["work_predict"] <= 1
    assert report["metrics"]["split"] == "holdout"
    assert report["n_rows"] == 120
    assert report["search"]["n_trials"] == len(report["search"]["leaderboard"])


def test_the_stages_add_up_to_the_whole(rows: Rows) -> None:
    told: list[str] = []
    fitted = quick(target="label").fit(rows, on_progress=lambda stage, *_: told.append(stage))
    time = fitted.report_.time
    stages = sum(
        time[f"{s}_s"] for s in ("start", "read", "featurize", "compile", "search", "fit", "test")
    )
    assert stages == pytest.approx(time["wall_s"], rel=0.02)
    assert time["start_s"] > 0  # of this process
    assert list(dict.fromkeys(told)) == ["read", "featurize", "search", "fit", "test"]


def test_the_cost_of_predictions_repays_the_training(model: UDT) -> None:
    carbon = model.report_.carbon
    training = carbon["per_million_g"] * carbon["repaid_predictions"] / 1e6
    assert training == pytest.approx(carbon["total_g"])
    assert "1 million predictions" in model.report_.to_text()


def test_a_test_table_is_what_is_measured(rows: Rows) -> None:
    test = make_rows(50, seed=3)
    test["label"][:3] = [None, "never seen", "bad"]
    fitted = quick(target="label").fit(rows, test=test)
    metrics = fitted.report_.metrics
    assert metrics["split"] == "test"
    assert metrics["n_rows"] == 49
    assert metrics["accuracy"] == pytest.approx(fitted.score(test))
    assert any("1 row to test on has a label not seen" in w for w in fitted.report_.warnings)
    evaluated = fitted.evaluate(test)
    assert evaluated["metrics"] == metrics
    assert evaluated["n_unknown"] == 1
    assert sum(map(sum, evaluated["confusion"])) == 48
    assert evaluated["labels"] == ["bad", "good"]


def test_valid_rows_are_what_is_chosen_on(rows: Rows) -> None:
    valid = make_rows(30, seed=4)
    valid["label"][:2] = [None, "never seen"]
    fitted = quick(target="label").fit(rows, valid=valid)
    assert fitted.report_.metrics["n_rows"] == 28
    assert fitted.report_.n_rows == 120
    assert fitted.report_.source == "a dict"


def test_warnings(rows: Rows) -> None:
    rows["label"][:2] = [None, "strange"]
    rows["hint"] = [f"is {label}" for label in rows["label"]]
    told = " ".join(quick(target="label").fit(rows).report_.warnings)
    assert "1 row without a label left out" in told
    assert "1 class has one row only" in told
    assert "'strange'" in told
    assert "Column 'hint' alone tells the label" in told
    assert "imbalanced" in told


def test_no_warnings_of_a_sound_table(model: UDT) -> None:
    assert model.report_.warnings == []


# --- scores -----------------------------------------------------------------------------------


def test_score_across_types_of_labels(rows: Rows) -> None:
    y = [int(label == "good") for label in rows["label"]]
    fitted = quick(target="label").fit({**rows, "label": y})
    expected = fitted.score({**rows, "label": y})
    assert expected > 0.9
    for same in (y, [str(v) for v in y], [f"{v}.0" for v in y], np.array(y, float)):
        assert fitted.score(rows, same) == expected
    assert fitted.score(rows, [f"other {v}" for v in y]) == 0


def test_score_weighs_rows_and_leaves_out_missing_labels(text_model: UDT) -> None:
    texts = ["good fine", "bad poor", "good fine", "nothing"]
    y = ["good", "bad", "bad", None]
    assert text_model.score(texts, y) == pytest.approx(2 / 3)
    assert text_model.score(texts, y, sample_weight=[1, 1, 2, 9]) == pytest.approx(0.5)


def test_top_k_agrees_with_predict(model: UDT, rows: Rows) -> None:
    labels, probas = model.predict_top_k(rows, k=2)
    np.testing.assert_array_equal(labels[:, 0], model.predict(rows))
    assert (np.diff(probas, axis=1) <= 0).all()
    np.testing.assert_allclose(probas.sum(axis=1), 1, rtol=1e-5)


# --- the account ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "name"),
    [
        (("word 1", "word 2", "word 3"), "1–3-grams"),
        (("word 1",), "words"),
        (("char 2", "char 3"), "characters"),
        (("word 1", "word 2", "char 3"), "1–2-grams + characters"),
    ],
)
def test_names_of_ngrams(kinds: tuple[str, ...], name: str) -> None:
    assert name_ngrams(kinds) == name


def test_compiling_is_charged_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now, compiled = [0.0], [0.0]
    monkeypatch.setattr("udt.account.compile_seconds", lambda: compiled[0])
    meter = Meter(find_machine(), find_place(), clock=lambda: (now[0], now[0]))
    with Stages(meter, None) as stages:
        stages("read")
        now[0] = 1.0
        stages("search")
        now[0], compiled[0] = 6.0, 3.0
        stages("search", 0.5, "half way")
        now[0] = 7.0
        stages("read")
        now[0] = 9.0
    meter.stop()
    time = stages.time_dict(epoch_s=0.5)
    assert {k: v for k, v in time.items() if v} == {
        "wall_s": 9, "read_s": 3, "search_s": 3, "compile_s": 3, "epoch_s": 0.5, "cpu_s": 9,
    }  # fmt: skip
    assert math.isclose(sum(time[k] for k in ("read_s", "search_s", "compile_s")), time["wall_s"])
