"""Weights, metrics, abstention and going on learning, through the estimator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

import udt
from udt import UDT
from udt.errors import DataError, SettingsError

WORDS = {
    "good": ("good", "fine", "lovely"),
    "bad": ("bad", "poor", "broken"),
    "odd": ("odd", "weird"),
}


def texts_of(rng: np.random.Generator, labels: list[str], clear: float = 0.9) -> list[str]:
    """A text for each label; some say nothing of it."""
    made = []
    for label in labels:
        mine = list(rng.choice(WORDS[label], 2)) if rng.random() < clear else []
        made.append(" ".join([*mine, *rng.choice(("it", "the", "thing", "a", "so"), 4)]))
    return made


def make(rng: np.random.Generator, n: int, **shares: float) -> tuple[list[str], list[str]]:
    labels = rng.choice(list(shares), n, p=list(shares.values())).tolist()
    return texts_of(rng, labels), labels


def test_rows_that_count_0_are_as_if_they_were_not_there(rng):
    X, y = make(rng, 200, good=0.5, bad=0.5)
    counted = np.arange(200) % 4 > 0
    kept = UDT(random_state=0, n_threads=1, width=0).fit(
        [x for x, c in zip(X, counted, strict=True) if c],
        [label for label, c in zip(y, counted, strict=True) if c],
    )
    weighted = UDT(random_state=0, n_threads=1, width=0).fit(X, y, sample_weight=counted)
    assert np.allclose(kept.predict_proba(X), weighted.predict_proba(X), atol=1e-3)
    assert any("50 rows count 0" in w for w in weighted.report_.warnings)


def test_a_heavy_class_becomes_more_probable(rng):
    X, y = make(rng, 300, good=0.85, bad=0.15)
    unclear = [" ".join(rng.choice(("it", "the", "thing", "a", "so"), 4)) for _ in range(40)]
    plain = UDT(random_state=0, n_threads=1).fit(X, y)
    balanced = UDT(random_state=0, n_threads=1, class_weight="balanced").fit(X, y)
    named = UDT(random_state=0, n_threads=1, class_weight={"bad": 6}).fit(X, y)
    column = plain.classes_.tolist().index("bad")
    for model in (balanced, named):
        gain = model.predict_proba(unclear)[:, column] - plain.predict_proba(unclear)[:, column]
        assert gain.mean() > 0.03


def test_a_column_of_weights_is_no_feature(rng, tmp_path: Path):
    X, y = make(rng, 200, good=0.5, bad=0.5)
    weights = np.where(np.array(y) == "bad", 5, 1)
    frame = {"text": X, "label": y, "w": weights.tolist()}
    model = UDT("label", weight="w", random_state=0, n_threads=1).fit(frame)
    assert [c.name for c in model.schema_.columns] == ["text"]
    beside = UDT(random_state=0, n_threads=1).fit({"text": X}, y, sample_weight=weights)
    assert np.allclose(model.predict_proba(X), beside.predict_proba(X), atol=1e-6)
    model.save(tmp_path / "m.udt")
    assert udt.load(tmp_path / "m.udt").weight == "w"
    with pytest.raises(SettingsError, match="Expected one source of weights"):
        UDT(weight="w").fit({"text": X, "w": y}, y, sample_weight=weights)
    with pytest.raises(SettingsError, match="but it is the target"):
        UDT("label", weight="label").fit(frame)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("class_weight", "even"), ("class_weight", {}), ("class_weight", {"a": 0}),
        ("metric", "f1"), ("weight", 1.5),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(parameter: str, value: Any):
    with pytest.raises(SettingsError, match=f"The '{parameter}' parameter of UDT must be"):
        UDT(**{parameter: value}).fit(["a", "b"] * 5, [0, 1] * 5)


def test_macro_f1_of_a_rare_class(rng):
    labels = rng.choice(["good", "bad"], 1_200, p=[0.88, 0.12]).tolist()
    noisy = [str(rng.choice(["good", "bad"])) if rng.random() < 0.25 else label for label in labels]
    X = texts_of(rng, noisy, clear=0.8)
    half = 600
    plain = UDT(random_state=0, n_threads=1).fit(X[:half], labels[:half])
    tuned = UDT(random_state=0, n_threads=1, metric="macro_f1").fit(X[:half], labels[:half])
    score = {
        name: f1_score(labels[half:], model.predict(X[half:]), average="macro")
        for name, model in {"plain": plain, "tuned": tuned}.items()
    }
    assert score["tuned"] > score["plain"]
    told = [c for c in tuned.report_.choices if c["what"] == "threshold"]
    assert len(told) == 1
    best = tuned.leaderboard_[0]
    assert best["metric"] == max(t["metric"] for t in tuned.leaderboard_)


def test_a_threshold_survives_the_file(rng, tmp_path: Path):
    X, y = make(rng, 400, good=0.9, bad=0.1)
    model = UDT(random_state=0, n_threads=1, metric="macro_f1").fit(X, y)
    model.save(tmp_path / "m.udt")
    loaded = udt.load(tmp_path / "m.udt")
    assert loaded.metric == "macro_f1"
    assert loaded.predict(X).tolist() == model.predict(X).tolist()


# -- abstention --------------------------------------------------------------------------------


def test_unsure_rows_get_no_label(rng):
    X, y = make(rng, 200, good=0.5, bad=0.5)
    model = UDT(random_state=0, n_threads=1).fit(X, y)
    p = model.predict_proba(X).max(axis=1)
    least = float(np.median(p))
    found, sure = model.predict(X, min_confidence=least), model.predict(X)
    assert [v is None for v in found] == (p < least).tolist()
    assert (found[p >= least] == sure[p >= least]).all()
    assert model.predict(X, min_confidence=0).tolist() == sure.tolist()
    for wrong in (1.5, "0.8", True):
        with pytest.raises(SettingsError, match="'min_confidence' parameter of predict must be"):
            model.predict(X, min_confidence=wrong)


@pytest.mark.parametrize(("labels", "none"), [([1, 2], None), ([0.5, 1.5], "nan")])
def test_no_label_among_numbers(rng, labels: list[Any], none: Any):
    X, y = make(rng, 120, good=0.5, bad=0.5)
    numbers = [labels[label == "bad"] for label in y]
    model = UDT(random_state=0, n_threads=1).fit(X, numbers)
    found = model.predict(["it the", "good fine"], min_confidence=0.9)
    if none is None:
        assert found.tolist() == [None, 1]
    else:
        assert found.dtype == np.float64
        assert np.isnan(found[0])
        assert found[1] == 0.5


# -- going on ----------------------------------------------------------------------------------


def parts(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    first = make(rng, 300, good=0.5, bad=0.5)
    second = make(rng, 200, good=0.3, bad=0.3, odd=0.4)
    return first, second, make(rng, 300, good=0.4, bad=0.3, odd=0.3)


def test_new_rows_labels_and_features(rng, tmp_path: Path):
    first, second, test = parts(rng)
    model = UDT(random_state=0, n_threads=1).fit(*first)
    n_features = model.report_.network["n_features"]
    assert model.partial_fit(*second) is model
    assert model.classes_.tolist() == ["bad", "good", "odd"]
    assert model.report_.network["n_features"] > n_features
    assert model.score(*test) > 0.8
    added = next(c for c in model.report_.choices if c["what"] == "added")
    assert added["value"].startswith("200 rows, 1 new label, ")
    lineage = model.report_.carbon["lineage"]
    assert lineage["n_trainings"] == 2
    assert lineage["n_rows"] == 500
    assert lineage["total_g"] > model.report_.carbon["total_g"]
    model.save(tmp_path / "m.udt")
    again = udt.load(tmp_path / "m.udt").partial_fit(*first)
    assert again.report_.carbon["lineage"]["n_trainings"] == 3
    assert again.classes_.tolist() == ["bad", "good", "odd"]
    assert again.score(*test) > 0.8


def test_labels_that_new_rows_lack_are_not_forgotten(rng):
    first, _, _ = parts(rng)
    model = UDT(random_state=0, n_threads=1).fit(*first)
    only = make(rng, 300, odd=1.0)
    model.partial_fit(*only)
    assert model.score(*make(rng, 200, good=0.5, bad=0.5)) > 0.85
    assert model.score(*make(rng, 100, odd=1.0)) > 0.8
    assert any(c["what"] == "recalled" for c in model.report_.choices)


def test_the_first_time_is_fit_and_few_rows_are_enough(rng):
    first, second, _ = parts(rng)
    model = UDT(random_state=0, n_threads=1).partial_fit(*first, classes=["bad", "good"])
    assert model.predict_proba(first[0]).shape == (300, 2)
    model.partial_fit(second[0][:1], second[1][:1])
    assert model.report_.n_rows == 1
    assert model.score(*first) > 0.85


def test_a_seed_makes_it_reproducible(rng):
    first, second, _ = parts(rng)
    models = [UDT(random_state=3, n_threads=1).fit(*first).partial_fit(*second) for _ in range(2)]
    assert models[0].content_sha256_ == models[1].content_sha256_


def test_what_cannot_be_learned_leaves_the_model_as_it_was(rng):
    first, _, _ = parts(rng)
    numbers = [int(label == "bad") for label in first[1]]
    model = UDT(random_state=0, n_threads=1).fit(first[0], numbers)
    before = model.predict_proba(first[0])
    with pytest.raises(DataError, match="A new label is of another type than the model's"):
        model.partial_fit(["so new"] * 4, ["x"] * 4)
    assert np.array_equal(model.predict_proba(first[0]), before)
    sparse = UDT(random_state=0, n_threads=1, sparsity=0.25).fit(*first)
    with pytest.raises(SettingsError, match="cannot be updated: it computes a fixed share"):
        sparse.partial_fit(*first)


def test_several_labels_a_row(rng):
    X, y = make(rng, 300, good=0.5, bad=0.5)
    both = [[label, "short"] if i % 3 == 0 else [label] for i, label in enumerate(y)]
    model = UDT(random_state=0, n_threads=1).fit(X, both)
    more, labels = make(rng, 150, good=0.4, odd=0.6)
    model.partial_fit(more, [[label] for label in labels])
    assert model.classes_.tolist() == ["bad", "good", "odd", "short"]
    found = [set(labels) for labels in model.predict(["odd weird it", "good fine so"])]
    assert "odd" in found[0]
    assert "good" in found[1]
